"""``compare``: networks side by side."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from elastic_search.arch.zoo import published
from elastic_search.cli.main import cli
from elastic_search.files import dump_spec
from tests.staging import HEAVY, bare, loaded_by, on_a_terminal

THREE = ("resnext50", "resnext50_elastic", "dla_x60_elastic")
QUANTITIES = (
    "params", "macs", "count", "activations", "bytes_moved", "peak_memory", "intensity", "depth", "receptive_field",
)  # fmt: skip


def compared(*args):
    done = CliRunner().invoke(cli, ["compare", *args, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_json_agrees_with_flops_and_holds_plain_integers(command):
    data = compared("resnext50", "resnext50_elastic")
    counted = json.loads(command("flops", "resnext50", "--elastic", "--json").stdout)["networks"]
    for mine, theirs in zip(data["networks"], counted, strict=True):
        keys = ("name", "id", "params", "params_live", "macs", "count", "activations", "elastic_blocks")
        assert {key: mine[key] for key in keys} == {key: theirs[key] for key in keys}
        assert all(isinstance(mine[key], int) for key in ("bytes_moved", "peak_memory", "depth"))
        assert [(part["path"], part["macs"]) for part in mine["stages"]] == [
            (part["path"], part["macs"]) for part in theirs["parts"]
        ]
    base, elastic = data["networks"]
    assert (data["schema"], data["reference"], data["dtype"]) == (2, "resnext50", "fp32")
    assert (base["depth"], base["blocks"], base["receptive_field"]) == (50, [3, 4, 6, 3], [427, 427])
    assert base["ratio"] == dict.fromkeys(QUANTITIES, 1.0)
    assert elastic["ratio"]["macs"] == elastic["macs"] / base["macs"]
    assert base["intensity"] == 2 * base["macs"] / base["bytes_moved"]


def test_element_type_halves_the_bytes():
    (full,) = compared("resnext50")["networks"]
    (half,) = compared("resnext50", "--dtype", "bf16")["networks"]
    assert 2 * half["bytes_moved"] == full["bytes_moved"]
    assert half["peak_memory"] < full["peak_memory"]
    assert half["intensity"] == 2 * full["intensity"]


@pytest.mark.parametrize("key", ("params", "bytes", "depth", "field", "count", "intensity", "peak"))
def test_sorting_keeps_what_ratios_are_to(key):
    column = {"bytes": "bytes_moved", "field": "receptive_field", "peak": "peak_memory"}.get(key, key)
    down = compared(*THREE, "--sort", key, "--reverse")
    up = compared(*THREE, "--sort", key)
    values = [network[column] for network in down["networks"]]
    assert values == sorted(values, reverse=True)
    assert [network[column] for network in up["networks"]] == values[::-1]
    assert down["reference"] == up["reference"] == THREE[0]


def test_sorting_by_name_and_reversing_the_order_given():
    names = [network["name"] for network in compared(*THREE, "--sort", "name")["networks"]]
    assert names == sorted(THREE)
    assert [network["name"] for network in compared(*THREE, "--reverse")["networks"]] == list(THREE[::-1])


def test_macs_as_convention_are_shown_once(command):
    (network,) = compared("resnext50", "--convention", "macs", "--sort", "count")["networks"]
    assert network["count"] == network["macs"]
    assert command("compare", "resnext50", "--convention", "macs").stdout.count("4.230 G") == 1


def test_csv_is_a_network_a_row(command):
    rows = list(csv.DictReader(io.StringIO(command("compare", *THREE, "--format", "csv").stdout)))
    assert [row["network"] for row in rows] == list(THREE)
    assert rows[0]["macs"] == "4230479872"
    assert float(rows[1]["macs_ratio"]) == int(rows[1]["macs"]) / int(rows[0]["macs"])
    parts = ("stem", "stage1", "stage2", "stage3", "stage4", "head")
    assert all(sum(int(row[f"macs_of_{part}"]) for part in parts) == int(row["macs"]) for row in rows)


def test_three_networks_fit_80_columns_in_a_pipe(command):
    lines = command("compare", *THREE).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    (macs,) = (line.split() for line in lines if line.startswith("macs "))
    assert macs == ["macs", "4.230", "G", "4.177", "G", "×0.99", "3.110", "G", "×0.74"]
    (blocks,) = (line.split() for line in lines if line.startswith("blocks "))
    assert blocks == ["blocks", "per", "stage", "3-4-6-3", "6-8-5-3", "2-4-8-2"]
    assert sum("█" in line for line in lines) >= 4


@pytest.mark.parametrize("names", (THREE, (*THREE, "densenet201_elastic"), ("resnext50_elastic_coco",) * 4))
def test_narrow_and_wide_terminals_show_every_number(names):
    narrow, wide = (bare(on_a_terminal("compare", *names, columns=columns)) for columns in (80, 200))
    for text, columns in ((narrow, 80), (wide, 200)):
        assert max(map(len, text.splitlines())) <= columns
        assert "…" not in text
        assert text.count(names[0]) >= text.count("fvcore: ") == 1
        assert "4.17" in text
    assert "█" in narrow
    (*_, row) = (line.split() for line in wide.splitlines() if line.startswith(f"{names[-1]} "))
    assert len(row) == 2 + 2 * len(QUANTITIES) + 1


@pytest.mark.parametrize("fmt", ("table", "json", "csv", "markdown", "latex"))
def test_every_form_is_ascii_where_stdout_is(command, fmt):
    out = command("compare", *THREE, "--format", fmt, PYTHONIOENCODING="ascii").stdout
    assert out.isascii()
    assert "?" not in out
    assert len(out.splitlines()) > 3


def test_latex_is_ascii_and_markdown_has_a_column_a_network(command):
    assert command("compare", *THREE, "--format", "latex").stdout.isascii()
    lines = [line for line in command("compare", *THREE, "--format", "markdown").stdout.splitlines() if "|" in line]
    assert {line.count("|") for line in lines} == {5}


def test_spec_file_is_compared_with_a_published_network(tmp_path):
    (tmp_path / "mine.toml").write_text(dump_spec(published("resnext50")))
    mine, theirs = compared(str(tmp_path / "mine.toml"), "resnext50")["networks"]
    assert {**mine, "name": ""} == {**theirs, "name": ""}


@pytest.mark.parametrize(
    ("args", "code", "expected"),
    (
        ("compare", 2, "missing argument"),
        ("compare resnext50 resnext5", 2, "did you mean resnext50"),
        ("compare resnext50 densenet201 --input 16", 2, "densenet201: block3.transition.pool"),
        ("compare resnext50 --sort flops", 2, "macs"),
    ),
)
def test_wrong_use_ends_with_a_message(command, args, code, expected):
    done = command(*args.split(), check=code)
    assert expected in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("fmt", ("table", "json"))
def test_comparing_loads_nothing_heavy(fmt):
    assert not loaded_by("compare", "resnext50", "dla_x60", "--format", fmt) & HEAVY
