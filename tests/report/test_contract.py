"""JSON and CSV of every command keep the written contract."""

import json
import re

import click
import pytest
from click.testing import CliRunner

from elastic_search.cli.main import COMMANDS, cli
from elastic_search.report.contract import FORMS, Form
from elastic_search.report.emit import SCHEMA, emit
from elastic_search.report.keys import KEYS
from tests.data.staging import tree
from tests.report.staging import of_a_search, strays, violations

MODULES = """
import torch
from torch import nn


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)
        self.ratio = nn.Conv2d(16, 8, 1)

    def forward(self, x):
        return torch.erf(torch.erf(self.ratio(self.conv(x))))
"""

COMMAND_LINES = {
    "flops": (
        "flops resnext50 --elastic",
        "flops dla_x60 --convention macs --by op --max-macs 1T --max-params 1G",
        "flops resnext50 --elastic --convention torch --by block --input 193x257",
        "flops resnet18 --depth 2 --input 64,96",
    ),
    "flops --convention all": (
        "flops resnext50 --elastic --convention all --input 64",
        "flops dla_x60 --convention all",
    ),
    "flops --training": ("flops resnext50 --elastic --training --input 64", "flops resnet18 --training --input 64"),
    "compare": (
        "compare resnext50 densenet201 --input 64",
        "compare resnext50 resnet18 --convention macs --input 64",
    ),
    "diff": (
        "diff resnext50 se_resnext50 --input 64",
        "diff resnext50 resnext50_coco --convention macs --input 64",
    ),
    "models": ("models --input 16", "models"),
    "match": ("match resnext50 --tolerance 0.1%", "match dla_x60 --convention macs --tolerance 3% --input 64",
              "match resnext50 --tolerance 0.5% --params-tolerance 5%"),  # fmt: skip
    "space count": ("space count demo",),
    "space sample": ("space sample demo -n 2", "space bounds demo", "space nearest demo --target 4.2G"),
    "space explain": ("space explain demo",),
    "space explain NETWORK": ("space explain demo resnext50_elastic", "space explain demo resnext101"),
    "conventions": ("conventions",),
    "pyramids": ("pyramids", "pyramids --size 43 --channels 96 --split 1/3,1/3@1/2,1/3@1/4 --convention torch"),
    "paper": ("paper table2", "paper table6", "paper table7"),
    "paper figure4": ("paper figure4",),
}  # fmt: skip

WITH_TORCH = {
    "flops": (
        "flops user_modules:Unknown --input 32 --elastic",
        "flops user_modules:Unknown --input 32 --convention thop",
    ),
    "flops --convention all": ("flops user_modules:Unknown --input 32 --convention all",),
    "flops --training": ("flops user_modules:Unknown --input 32 --training",),
    "flops --latency": (
        "flops resnext50 --elastic --latency --input 32 --device cpu",
        "flops resnext50 --convention macs --latency --input 32 --device cpu",
    ),
    "compare": ("compare user_modules:Unknown resnet18 --input 64",),
    "diff": ("diff user_modules:Unknown resnet18 --input 64",),
    "validate": ("validate resnext50_elastic --input 64",),
    "doctor": ("doctor",),
}


DATA = {"data": ("data {}", "data {} --subset 50% --rank-on val --edge 8"), "data --caches": ("data --caches",)}
"""With a folder of images."""


def both(line):
    """JSON as data and CSV as text of a command line, and what CSV says beside it."""
    found = []
    for fmt in ("json", "csv"):
        args = [*line.split(), *(["--json"] if fmt == "json" else ["--format", "csv"])]
        if "explain" in line and fmt == "csv":
            return *found, "", ""
        done = CliRunner().invoke(cli, args)
        assert done.exit_code in (0, 1), done.output
        found += [json.loads(done.stdout)] if fmt == "json" else [done.stdout, done.stderr]
    return found


def check(name, data, text, said):
    form = FORMS[name]
    assert (data["schema"], data["form"]) == (SCHEMA, name)
    assert violations(form, data) == []
    assert bool(form.columns) == bool(text)
    if text:
        assert strays(form, text) == []
        notes = [line.removeprefix("note: ") for line in said.splitlines() if line.startswith("note: ")]
        # Two measurements of time have different numbers of passes.
        assert [re.sub(r"\d+ passes", "", note) for note in notes] == [
            re.sub(r"\d+ passes", "", note) for note in data["notes"]
        ]


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in COMMAND_LINES.items() for line in lines])
def test_a_command_keeps_the_contract(name, line):
    check(name, *both(line))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in WITH_TORCH.items() for line in lines])
def test_a_command_that_loads_torch_keeps_the_contract(name, line, tmp_path, monkeypatch):
    (tmp_path / "user_modules.py").write_text(MODULES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    check(name, *both(line))


@pytest.mark.parametrize(("name", "line"), [(name, line) for name, lines in DATA.items() for line in lines])
def test_data_keeps_the_contract(name, line, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    root = tree(tmp_path / "set")
    (root / "cat" / "broken.png").write_bytes(b"")
    both(f"data {root}")
    check(name, *both(line.format(root)))


@pytest.mark.parametrize("report", of_a_search(), ids=lambda report: report.form)
def test_a_report_of_a_run_keeps_the_contract(report, capsys):
    emit(report, "json")
    data = json.loads(capsys.readouterr().out)
    emit(report, "csv")
    done = capsys.readouterr()
    check(report.form, data, done.out, done.err)


def test_every_form_and_every_command_is_walked():
    walked = {*COMMAND_LINES, *WITH_TORCH, *DATA, *(report.form for report in of_a_search())}
    assert walked == set(FORMS)
    printing = set()
    for name in COMMANDS:
        command = cli.get_command(None, name)
        for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            if any("--json" in param.opts for param in one.params):
                printing.add(name if one is command else f"{name} {one.name}")
    # bounds and nearest print what sample prints.
    printing -= {"space bounds", "space nearest"}
    assert printing == {
        " ".join(name.split(" --")[0].removesuffix(" NETWORK").removesuffix(" figure4").split()) for name in FORMS
    }


def test_no_key_is_left_over():
    used = set()
    for form in FORMS.values():
        used |= {id(form.key(name, column=True)) for name in form.columns.split()}
        for place, keys in form.objects().items():
            used |= {id(form.key(f"{place}.{name.rstrip('?')}".lstrip("."))) for name in keys.split()}
            used |= {id(form.key(place))} if place.endswith(".*") else set()
    assert [name for name, key in KEYS.items() if id(key) not in used] == []


def test_what_breaks_the_contract_is_seen():
    form = FORMS["validate"]
    data, text, _ = both("models --input 64")
    models = FORMS["models"]
    assert violations(models, data) == []
    network = data["networks"][0]
    for key, wrong in (("params", "1"), ("params", True), ("macs", 1.5), ("depths", "3-4-6-3"), ("paper_tables", None)):
        assert violations(models, {**data, "networks": [{**network, key: wrong}]})
    assert violations(models, {**data, "more": 1})
    assert violations(models, {key: value for key, value in data.items() if key != "notes"})
    assert violations(form, data)
    assert strays(models, text) == []
    for old, new in (("count", "fvcore"), ("3x64x64", "64"), ("fvcore", "")):
        assert strays(models, text.replace(old, new))


def test_a_budget_stands_in_json_whatever_is_shown():
    for more, code in (("", 1), ("--convention all", 1), ("--training", 1), ("--input 64", 0)):
        line = f"flops resnext50 {more} --max-macs 4.2G --max-params 1G --json"
        done = CliRunner().invoke(cli, line.split())
        budget = json.loads(done.stdout)["budget"]
        assert (done.exit_code, budget["within"]) == (code, not code)
        macs, params = budget["limits"]
        assert (macs["quantity"], macs["limit"], macs["within"]) == ("macs", 4_200_000_000, not code)
        assert (params["value"], params["within"], params["uncounted"]) == (25_028_904, True, 0)
    assert json.loads(CliRunner().invoke(cli, ["flops", "resnext50", "--json"]).stdout)["budget"] is None


def test_the_columns_of_a_form_do_not_depend_on_the_convention():
    for line in ("flops resnext50", "compare resnext50 resnet50", "match resnext50", "diff resnext50 se_resnext50"):
        headers = {
            CliRunner().invoke(cli, [*line.split(), "--convention", rules, "--format", "csv"]).stdout.splitlines()[0]
            for rules in ("macs", "fvcore", "torch")
        }
        assert len(headers) == 1
        (header,) = headers
        assert "convention" in header.split(",")
        assert any(name in header.split(",") for name in ("count", "a_count"))


def test_starred_columns_take_what_the_rows_have():
    form = Form("x", "a macs_of_* macs_of_all", {"": ""})
    assert form.header([{"a": 1, "macs_of_stem": 2, "macs_of_all": 3}]) == ["a", "macs_of_stem", "macs_of_all"]
