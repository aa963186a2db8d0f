"""``paper``: each table and the figure, in each form."""

import csv
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from elastic_search.draw.figure4 import ROWS
from elastic_search.paper.figure4 import TITLES
from tests.staging import HEAVY, bare, loaded_by, on_a_terminal

WHAT = ("table2", "table6", "table7", "figure4")
REASONED = {("densenet201_elastic", "flops"), ("dla_x102_elastic", "params"), ("dla_x102_elastic", "flops")}


# --- the tables


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("fmt", ("table", "json", "csv", "markdown", "latex"))
def test_every_form_is_printed(command, what, fmt):
    out = command("paper", what, "--format", fmt, PYTHONIOENCODING="ascii").stdout
    assert len(out.splitlines()) > 4
    assert out.isascii()


def test_json_says_of_each_cell_whether_it_is_equal(command):
    data = json.loads(command("paper", "table2", "--json").stdout)
    assert (data["schema"], data["table"], data["input"]) == (2, 2, [3, 224, 224])
    assert (data["compared"], data["equal"]) == (32, 29)
    different = set()
    for row in data["rows"]:
        for kind in ("params", "flops"):
            cell = row[kind]
            assert isinstance(cell["ours"], int)
            assert isinstance(cell["printed"], str)
            assert (cell["reason"] is None) is cell["equal"]
            if not cell["equal"]:
                different.add((row["name"], kind))
    assert different == REASONED
    row = next(row for row in data["rows"] if row["name"] == "densenet201")
    assert row["params"] == {"printed": "20.0", "ours": 20_013_928, "equal": True, "reason": None}
    assert (row["top1_error_printed"], row["top5_error_printed"]) == ("22.25", "6.26")


def test_json_of_an_ablation_names_its_edit(command):
    data = json.loads(command("paper", "table6", "--json").stdout)
    rows = {row["name"]: row for row in data["rows"]}
    assert (rows["original"]["split"], rows["original"]["down"]) == (None, None)
    assert (rows["trained_filter"]["down"], rows["trained_filter"]["up"]) == ("trained", "trained")
    for name in ("trained_dilated_filter", "trained_dilated_filter_ap"):  # they keep their resolution
        assert (rows[name]["down"], rows[name]["up"]) == (None, None)
    assert rows["original"]["params"] == {"printed": None, "ours": 17_649_816, "equal": None, "reason": None}
    assert data["equal"] == data["compared"] == 6


def test_csv_holds_true_and_false_and_the_printed_digits(command):
    rows = list(csv.DictReader(io.StringIO(command("paper", "table2", "--format", "csv").stdout)))
    assert len(rows) == 16
    assert rows[0]["params_printed"] == "20.0"
    assert rows[0]["params_ours"] == "20013928"
    assert {row["flops_equal"] for row in rows} == {"true", "false"}
    assert [row["name"] for row in rows if row["params_equal"] == "false"] == ["dla_x102_elastic"]
    assert [row["name"] for row in rows if row["reason"]] == ["densenet201_elastic", "dla_x102_elastic"]
    rows = list(csv.DictReader(io.StringIO(command("paper", "table7", "--format", "csv").stdout)))
    assert [(row["params_printed"], row["params_equal"]) for row in rows] == [("", "")] * 4
    assert rows[0]["split"] == ""


def test_table_for_people_marks_cells_and_gives_reasons(command):
    text = command("paper", "table2").stdout
    assert re.search(r"^resnext50_elastic +25\.2 +25\.247 +yes +4\.2 +4\.177 +yes +21\.56 +5\.83$", text, re.M)
    assert re.search(r"^densenet201_elastic +19\.5 +19\.483 +yes +4\.3 +4\.386 +NO +22\.07 +6\.00$", text, re.M)
    assert re.search(r"^dla_x102_elastic +25\.0 +24\.917 +NO +6\.0 +6\.077 +NO", text, re.M)
    assert "resnext50 (quoted)" in text
    joined = re.sub(r"\s+", " ", text)
    assert "29 of 32 cells equal to the printed digit" in joined
    assert "NO dla_x102_elastic, params: printed 25.0 M, ours rounds to 24.9: " in joined
    assert "17.650 M stands for 17,649,816, which rounds to 17.6" in joined
    assert "not measured here" in joined
    trained = re.sub(r"\s+", " ", command("paper", "table6").stdout)
    assert "trained_filter adds 89,600 parameters" in trained
    assert re.search(r"25/75 +1/4,3/4 +17\.650 +2\.9 +2\.921 +yes +21\.44", command("paper", "table7").stdout)


def test_documents_have_every_column(command):
    text = command("paper", "table2", "--format", "markdown").stdout
    assert "| network | source | counter | params | ours M | = | FLOPs | ours G | = | top-1 | top-5 |" in text
    assert (
        "\nparams, FLOPs: as printed, in M and G; = compares ours, rounded half up, with the printed digits\n" in text
    )
    assert "| resnext50 | quoted | macs | 25.0 | 25.029 | yes | 4.2 | 4.230 | yes | 22.2 | - |" in text
    assert r"dla\_x60 & own & authors & 17.6 &" in command("paper", "table2", "--format", "latex").stdout


@pytest.mark.parametrize("columns", (80, 140))
@pytest.mark.parametrize("what", WHAT)
def test_terminals_are_not_overrun(what, columns):
    text = bare(on_a_terminal("paper", what, columns=columns))
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    if what == "table2":
        assert ("counter" in text.splitlines()[1]) == (columns == 140)


@pytest.mark.parametrize("what", ("table2", "table6 --json", "table7 --format csv", "figure4 --json"))
def test_counting_loads_nothing_heavy(what):
    assert not loaded_by("paper", *what.split()) & (HEAVY | {"matplotlib", "plotext"})


# --- the figure


def test_figure_data_is_what_table_2_has(command):
    data = json.loads(command("paper", "figure4", "--json").stdout)
    assert (data["schema"], data["figure"]) == (2, 4)
    points = {point["network"]: point for point in data["points"]}
    assert len(points) == len(data["points"]) == 13
    assert points["dla_x102"]["source"] == "quoted"
    assert points["dla_x60_elastic"] == {
        "network": "dla_x60_elastic",
        "family": "dla_x60",
        "elastic": True,
        "source": "own",
        "convention": "authors",
        "unit": "FLOPs",
        "params": 17_649_816,
        "flops": 3_165_048_296,
        "top1_error_printed": "21.25",
        "top1_accuracy": 78.75,
    }
    rows = list(csv.DictReader(io.StringIO(command("paper", "figure4", "--format", "csv").stdout)))
    assert [row["network"] for row in rows] == list(points)


def test_figure_is_a_png(command, tmp_path):
    pytest.importorskip("matplotlib")
    done = command("paper", "figure4", "-o", "figure.PNG")
    assert done.stdout == ""
    assert "wrote figure.PNG" in done.stderr
    data = (tmp_path / "figure.PNG").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data[-8:-4] == b"IEND"
    assert len(data) > 20_000
    assert [path.name for path in tmp_path.iterdir()] == ["figure.PNG"]


def test_figure_is_an_svg_with_its_labels_and_always_the_same(command, tmp_path):
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        command("paper", "figure4", "-o", name)
    data = (tmp_path / "a.svg").read_bytes()
    assert data == (tmp_path / "b.svg").read_bytes()
    texts = ["".join(node.itertext()) for node in ET.fromstring(data).iter("{http://www.w3.org/2000/svg}text")]
    for title in TITLES.values():
        assert texts.count(title) == 2
    for wanted in ("parameters (M)", "top-1 accuracy (%)", "base", "Elastic"):
        assert wanted in texts
    assert any("paper prints" in text and "DLA-X102's base" in text for text in texts)


@pytest.mark.parametrize("columns", (40, 80, 140))
def test_terminal_drawing_has_every_network(command, columns):
    pytest.importorskip("plotext")
    text = command("paper", "figure4", columns=columns).stdout
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(len, lines)) <= columns
    canvas = "\n".join(re.findall("[│┤](.*?)│", text))
    for letter in "dretabDRETWAB":
        assert canvas.count(letter) == 2, letter  # once a panel
    for title in (*TITLES.values(), "by parameters (M)", "by FLOPs (G)"):
        assert title in text
    assert (sum("┌" in line for line in lines) == 1) == (columns == 140)
    # DLA-X102 is the most accurate, ResNeXt50 the least; DLA-X60 has the fewest parameters, ResNeXt50x2 the most.
    rows = [line[: columns // 2] if columns == 140 else line for line in lines]
    panel = [re.findall("[│┤](.*)│", row)[0] for row in rows[: ROWS - 2] if re.search("[│┤].*│", row)]
    assert (re.findall("[a-zA-Z]", "".join(panel))[0], re.findall("[a-zA-Z]", "".join(panel))[-1]) == ("B", "r")
    column = {letter: line.index(letter) for line in panel for letter in re.findall("[a-zA-Z]", line)}
    assert column["A"] == min(column.values())
    assert column["W"] == max(column.values())


def test_terminal_drawing_is_coloured_unless_told_not_to():
    pytest.importorskip("plotext")
    assert "\x1b[38;2;" in on_a_terminal("paper", "figure4")
    assert "\x1b" not in on_a_terminal("paper", "figure4", NO_COLOR="1")


# --- what is refused


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    (
        ("table3", 2, "'table3' is not one of"),
        ("table2 -o x.png", 2, "not with table2"),
        ("figure4 -o x.jpg", 2, "one of .png, .svg, .pdf"),
        ("figure4 -o x", 2, "one of .png, .svg, .pdf"),
        ("figure4 -o x.svg --json", 2, "give one of them"),
        ("figure4 -o missing/x.svg", 3, "missing/x.svg: cannot be written"),
    ),
)
def test_wrong_use_ends_with_a_way_out(command, tmp_path, args, code, problem):
    done = command("paper", *args.split(), check=code)
    assert problem in done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("module", "args"), (("plotext", ()), ("matplotlib", ("-o", "x.svg"))))
def test_a_missing_extra_is_one_line_with_its_cure(module, args):
    code = (
        "import sys, importlib.util as util; find = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {module!r} else find(name, *rest)\n"
        f"from elastic_search.cli.main import cli; cli({['paper', 'figure4', *args]!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 3
    assert f"{module} is not installed" in done.stderr
    assert "elastic-search[plot]" in done.stderr
    assert "Traceback" not in done.stderr
