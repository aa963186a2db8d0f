"""``flops`` beyond the plain table: every tool, several sizes, budgets, measured time; ``diff`` and ``conventions``."""

import csv
import io
import json

import pytest

GOLDEN_TOTALS = {"macs": 4230479872, "fvcore": 4259381248, "thop": 4288184320, "torchinfo": 4230549096}


def test_every_tool_stands_in_one_table_and_the_reasons_in_another(command):
    out = command("flops", "resnext50", "--elastic", "--convention", "all").stdout
    assert "change   -1.27%  -0.26%  -1.27%   -0.07%        -1.27%  +1.37%     -1.27%   +0.82%" in out
    assert "Why they differ: resnext50_elastic" in out
    data = json.loads(command("flops", "resnext50", "--convention", "all", "--json").stdout)
    tools = data["networks"][0]["conventions"]
    assert {name: tools[name]["count"] for name in GOLDEN_TOTALS} == GOLDEN_TOTALS
    for tool in tools.values():
        assert sum(tool["operators"].values()) == sum(tool["parts"].values()) == tool["count"]
    rows = list(
        csv.DictReader(io.StringIO(command("flops", "resnext50", "--convention", "all", "--format", "csv").stdout))
    )
    assert {
        row["convention"]: int(row["count"]) for row in rows if row["level"] == "total"
    }.items() >= GOLDEN_TOTALS.items()


@pytest.mark.parametrize("fmt", ("markdown", "latex"))
def test_every_tool_in_documents(command, fmt):
    assert "ptflops-aten" in command("flops", "resnext50", "--convention", "all", "--format", fmt).stdout.replace(
        "\n", "-"
    )


def test_several_sizes_are_rows(command):
    data = json.loads(command("flops", "dla_x60", "--elastic", "--input", "96,224,225x193", "--json").stdout)
    sizes = [(row["input"], row["role"]) for row in data["networks"]]
    shapes = ([3, 96, 96], [3, 224, 224], [3, 225, 193])
    assert sizes == [(shape, role) for shape in shapes for role in ("base", "elastic")]
    one = json.loads(command("flops", "dla_x60", "--input", "3x225x193", "--json").stdout)
    assert data["networks"][4] == one["networks"][0]
    args = ("flops", "dla_x60", "--elastic", "--input", "96,224", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(command(*args).stdout)))
    totals = [int(row["macs"]) for row in rows if row["level"] == "total"]
    assert totals == [network["macs"] for network in data["networks"][:4]]
    assert len(rows) > len(totals)


@pytest.mark.parametrize(
    ("options", "code"),
    (
        (["--max-macs", "4.3e9", "--max-params", "26M"], 0),
        (["--max-macs", "4.3e9", "--max-params", "25M"], 1),
        (["--max-macs", "4230479872"], 0),
        (["--max-macs", "4230479871"], 1),
        (["--max-activations", "14M"], 1),
        (["--max-macs", "4.2G"], 1),
        (["--max-macs", "4.2G", "--elastic"], 0),
        (["--max-macs", "1G", "--input", "64,96"], 0),
        (["--max-macs", "1G", "--input", "64,224"], 1),
    ),
)
def test_a_budget_decides_the_exit_code(command, options, code):
    done = command("flops", "resnext50", *options, check=code)
    assert "total" in done.stdout or "by input size" in done.stdout
    assert ("over" in done.stderr) == bool(code)


@pytest.mark.parametrize(
    "options",
    (
        ["--max-macs", "many"],
        ["--max-macs", "-1"],
        ["--max-macs", "nan"],
        ["--input", "224,"],
        ["--input", "1x2x3x4"],
        ["--input", "224,96", "--convention", "all"],
        ["--training", "--latency"],
        ["--batch", "0"],
    ),
)
def test_wrong_options_are_usage_errors(command, options):
    command("flops", "resnext50", *options, check=2)


@pytest.mark.slow
def test_time_is_measured_beside_the_counts(command):
    data = json.loads(
        command("flops", "resnext50", "--elastic", "--input", "32", "--latency", "--device", "cpu", "--json").stdout
    )
    base, elastic = data["networks"]
    assert base["time_ratio"] == 1
    assert 0 < elastic["ms_low"] <= elastic["ms_median"] <= elastic["ms_high"]
    assert data["device"].startswith("cpu")


def test_conventions_are_listed_with_their_rules(command):
    assert "bilinear 11·E_out" in command("conventions").stdout
    data = json.loads(command("conventions", "--json").stdout)
    assert [entry["name"] for entry in data["conventions"] if not entry["counts_unread"]] == ["fvcore"]


def test_diff_names_the_nodes(command):
    out = command("diff", "resnext50", "se_resnext50").stdout
    assert "16 nodes differ" in out
    assert "layer4.2.se" in out
    assert command("diff", "resnext50", "resnext50", "--exit-code").stdout.startswith("0 nodes differ")
    command("diff", "resnext50", "se_resnext50", "--exit-code", check=1)
    data = json.loads(command("diff", "resnext50", "resnext50_coco", "--json").stdout)
    assert [node["path"] for node in data["nodes"]] == ["head.fc"]
    assert (data["convention"], data["nodes"][0]["b"]["count"]) == ("fvcore", 2048 * 80)


MODULES = """
import torch
from torch import nn


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        return mixed(mixed(self.conv(x)))


torch.library.define("user::mixed", "(Tensor x) -> Tensor")
torch.library.impl("user::mixed", "default", lambda x: x.clone())
mixed = torch.ops.user.mixed


class Numbers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x):
        y = self.conv(x)
        return y if y.sum() > 0 else y + 1


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2)
        self.first, self.second = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 15, 1)

    def forward(self, x):
        return self.second(self.first(self.stem(x)))
"""
UNKNOWN = "user.mixed (2 x)"


@pytest.mark.parametrize(
    "arguments",
    (
        ["flops"],
        *(
            pytest.param(arguments, marks=pytest.mark.slow)
            for arguments in (
                ["flops", "--convention", "all"],
                ["flops", "--input", "32,40"],
                ["flops", "--training", "--batch", "2"],
                ["flops", "--latency"],
                ["compare"],
                ["diff", "user_modules:Mixed"],
            )
        ),
    ),
    ids=" ".join,
)
def test_what_has_no_rule_is_named_in_every_output(inside, tmp_path, arguments):
    (tmp_path / "user_modules.py").write_text(MODULES)
    name, *options = arguments
    arguments = [name, "user_modules:Unknown", *options, *([] if "--input" in options else ["--input", "32"])]
    table = inside(*arguments)
    assert UNKNOWN in table.stdout
    assert 'register_rule("user.mixed")' in table.stdout
    assert "not counted" not in table.stderr
    for fmt in ("csv", "json"):
        done = inside(*arguments, "--format", fmt)
        assert UNKNOWN in done.stderr
    found = json.loads(done.stdout)
    opaque = found["opaque"]["a"] if name == "diff" else found["networks"][0]["opaque"]
    assert opaque == {"user.mixed": 2}


def test_a_drawing_names_what_has_no_rule(command, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES)
    assert UNKNOWN in command("draw", "user_modules:Unknown", "--format", "mermaid", "--input", "32").stderr


def test_what_elastic_leaves_is_told_with_its_reason(inside, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES)
    done = inside("flops", "user_modules:Mixed", "--elastic", "--input", "64", "--json")
    assert done.stderr.splitlines() == [
        "1 convolution made Elastic at 64x64, 2 left",
        "left, stride (a stride above 1 changes the resolution itself): stem",
        "left, 1x1 (a kernel of 1 x 1 sees one position): second",
    ]
    base, elastic = json.loads(done.stdout)["networks"]
    assert "elasticized" not in base
    assert elastic["params"] == base["params"]
    assert elastic["macs"] < base["macs"]
    assert [entry["path"] for entry in elastic["elasticized"]["replaced"]] == ["first"]
    assert {entry["path"]: entry["reason"] for entry in elastic["elasticized"]["left"]} == {
        "stem": "stride",
        "second": "1x1",
    }


def test_a_module_in_which_nothing_becomes_elastic_is_told_so_in_one_line(inside, tmp_path):
    (tmp_path / "user_plain_layers.py").write_text(
        "from torch import nn\nclass Own(nn.Conv2d): pass\n"
        "def net(): return nn.Sequential(Own(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1))\n"
    )
    done = inside("flops", "user_plain_layers:net", "--elastic", "--input", "32", "--json")
    assert done.stderr.splitlines() == [
        "no convolution could be made Elastic: subclass (1 x), 1x1 (2 x) at 32x32",
        "left, subclass (a subclass may compute something else): 0",
        "left, 1x1 (a kernel of 1 x 1 sees one position): 1, 2",
    ]
    base, elastic = json.loads(done.stdout)["networks"]
    assert elastic["count"] == base["count"]
    assert elastic["elasticized"]["replaced"] == []
    assert elastic["elasticized"]["left"][0] == {"path": "0", "reason": "subclass", "detail": "class Own"}


def test_layer_classes_of_the_user_are_counted_where_tools_see_them(inside, tmp_path):
    (tmp_path / "user_layers.py").write_text(
        "from torch import nn\n"
        "class Own(nn.Conv2d): pass\n"
        "class Block(nn.Sequential): pass\n"
        "def net(): return Block(Own(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))\n"
    )
    counts = inside("flops", "user_layers:net", "--input", "32", "--convention", "all", "--json").stdout
    (network,) = json.loads(counts)["networks"]
    second = 8 * 73 * 28**2
    # By its name the first is no convolution to torchinfo, which then counts each weight once.
    assert network["conventions"]["torchinfo"]["count"] == 8 * 28 + second
    assert network["conventions"]["thop"]["count"] == second - 8 * 28**2
    assert "authors" not in network["conventions"]
    inside("validate", "user_layers:net", "--tools", "all", "--input", "32")


def test_how_a_module_was_read_is_told_in_every_format(inside, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES)
    arguments = ("flops", "user_modules:Numbers", "--input", "32")
    said = "counted as it ran on an image of zeros"
    assert said in inside(*arguments).stdout
    assert said in inside(*arguments, "--format", "csv").stdout
    found = json.loads(inside(*arguments, "--json").stdout)
    assert said in found["notes"][0]
    assert said in found["networks"][0]["reading"][0]


def test_the_authors_counter_is_not_for_modules(inside, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES)
    said = inside("flops", "user_modules:Mixed", "--input", "32", "--convention", "authors", check=2).stderr
    assert "--convention authors is for the paper's networks" in said


def test_a_budget_is_not_kept_by_what_nobody_can_count(inside, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES)
    arguments = ("flops", "user_modules:Unknown", "--input", "32", "--max-macs", "1G")
    said = inside(*arguments, check=1).stderr
    assert "at least 194,400 macs, and 2 operations are unknown (user.mixed)" in said
    assert "--allow-unknown" in said
    inside(*arguments, "--allow-unknown")
    inside("flops", "user_modules:Unknown", "--input", "32", "--max-params", "1k")
    found = json.loads(inside(*arguments, "--json", check=1).stdout)["budget"]
    assert (found["within"], found["limits"][0]["uncounted"]) == (False, 2)
    said = inside(*arguments[:-1], "1k", "--allow-unknown", check=1).stderr
    assert "194,400 macs, over 1,000" in said


def test_a_factory_runs_once_a_command(command, tmp_path):
    (tmp_path / "user_modules.py").write_text(MODULES + "\n\ndef told():\n    print('called')\n    return Mixed()\n")
    for more in (["--elastic"], ["--input", "32,40"]):
        done = command("flops", "user_modules:told", *(more if "--input" in more else [*more, "--input", "32"]))
        assert done.stderr.count("called") == 1


def test_several_inputs_are_given_as_shapes(inside, tmp_path):
    (tmp_path / "user_two_inputs.py").write_text(
        "from torch import nn\n\nclass Two(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Conv2d(3, 8, 3), nn.Linear(64, 8)\n\n"
        "    def forward(self, x, query):\n        return self.a(x) * self.b(query)[..., None, None]\n"
    )
    found = json.loads(inside("flops", "user_two_inputs:Two", "--input", "3x32x32+64", "--json").stdout)
    assert found["networks"][0]["macs"] == 8 * 27 * 30**2 + 64 * 8
    assert "3x224x224+1x64" in inside("flops", "user_two_inputs:Two", "--input", "32", check=2).stderr
    assert "is not the shape of an input" in inside("flops", "user_two_inputs:Two", "--input", "32+x", check=2).stderr


def test_depth_divides_by_nested_modules(command):
    rows = json.loads(command("flops", "resnext50", "--depth", "2", "--json").stdout)["networks"][0]["parts"]
    paths = [row["path"] for row in rows]
    assert paths[:2] == ["stem.conv1", "stem.bn1"]
    assert "layer1.0" in paths
    assert "layer1" not in paths
    whole = json.loads(command("flops", "resnext50", "--json").stdout)["networks"][0]
    assert sum(row["macs"] for row in rows) == whole["macs"]
    assert "--by" in command("flops", "resnext50", "--depth", "2", "--by", "op", check=2).stderr


def test_spec_file_may_have_other_channels(command, tmp_path):
    text = 'schema = 1\nfamily = "resnet"\nin_channels = 1\nclasses = 10\n[[stages]]\nwidth = 64\ndepth = 2\n'
    (tmp_path / "grey.toml").write_text(text)
    (found,) = json.loads(command("flops", "grey.toml", "--input", "32", "--by", "op", "--json").stdout)["networks"]
    assert found["parts"][0]["params"] == 7 * 7 * 64
    (tmp_path / "grey.toml").write_text(text.replace("= 1\nclasses", "= 0\nclasses"))
    assert "in_channels: 0" in command("flops", "grey.toml", check=2).stderr


@pytest.mark.parametrize("name", ("resnet101", "resnet18"))
def test_resnet_has_nothing_to_split_and_no_hint_that_fails(command, name):
    said = command("flops", name, "--elastic", check=2).stderr
    assert "single path" in said
    hint = said.rpartition("hint: ")[2].rpartition(": ")[2].split()
    assert hint[0] == "flops"
    command(*hint)


def test_name_of_a_space_is_told_from_an_unknown_network(command):
    done = command("flops", "demo", check=2)
    assert done.stderr.splitlines()[0] == "error: 'demo' is a space, not a network"
    assert "elastic-search search" in done.stderr
