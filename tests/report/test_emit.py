"""A report in every format."""

import csv
import io
import json

import pytest

from elastic_search.report.documents import typeset
from elastic_search.report.emit import Field, Report, emit, unit_of
from elastic_search.report.text import flat

FIELDS = (
    Field("name", "network"), Field("depths", "depths", "depths"), Field("macs", "macs", "count"),
    Field("change", "change", "change"), Field("share", "share", "percent"), Field("equal", "equal", "check"),
)  # fmt: skip
FIRST = {"name": "a|b_1", "depths": [3, 4], "macs": 2_499_500_000, "change": -0.000001, "share": 0.25, "equal": True}
SECOND = {"name": "c\x1b[31m", "depths": [3], "macs": 999, "share": 1.0, "equal": False}
REPORT = Report("Title", FIELDS, [FIRST, None, SECOND], ["note"], {"input": [3, 8, 8], "networks": [FIRST, SECOND]})


@pytest.fixture
def printed(capsys):
    def run(report, fmt="table"):
        emit(report, fmt)
        return capsys.readouterr().out

    return run


def test_json_holds_raw_values_below_the_schema(printed):
    data = json.loads(printed(REPORT, "json"))
    assert data == {"schema": 2, "input": [3, 8, 8], "networks": [FIRST, SECOND], "notes": ["note"]}
    assert list(data) == ["schema", "input", "networks", "notes"]


def test_head_is_made_for_json_alone(printed):
    def head():
        asked.append(1)
        return {"a": 1}

    asked = []
    report = REPORT._replace(head=head)
    for fmt in ("table", "csv", "markdown", "latex"):
        printed(report, fmt)
    assert not asked
    assert json.loads(printed(report, "json")) == {"schema": 2, "a": 1, "notes": ["note"]}


def test_csv_holds_raw_values_by_key(printed):
    rows = list(csv.DictReader(io.StringIO(printed(REPORT, "csv"))))
    assert rows[0] == {
        "name": "a|b_1", "depths": "3-4", "macs": "2499500000", "change": "-1e-06", "share": "0.25", "equal": "true",
    }  # fmt: skip
    assert (rows[1]["change"], rows[1]["equal"]) == ("", "false")


def test_csv_is_a_header_and_rows_and_its_notes_go_to_stderr(capsys):
    record = {"level": "fate", "fate": "same", "keys": 3, "more": 1}
    emit(REPORT._replace(form="convert", records=[record, {"level": "total", "keys": 3}]), "csv")
    done = capsys.readouterr()
    assert done.out == "level,fate,rule,keys\nfate,same,,3\ntotal,,,3\n"
    assert done.err == "note: note\n"


def test_notes_of_all_forms_and_tables_are_in_json_once(printed):
    more = REPORT._replace(narrow=REPORT._replace(notes=["note", "narrow"]), below=[REPORT._replace(notes=["below"])])
    assert json.loads(printed(more, "json"))["notes"] == ["note", "narrow", "below"]


@pytest.mark.parametrize(
    ("value", "text"),
    (
        ([3, 4, 6, 3], "3-4-6-3"), ((), ""), (((56, 56), (28, 28)), "56x56+28x28"), ({"erf": 2, "b": 1}, "erf=2 b=1"),
        (["Own", "More"], "Own More"), (True, "true"), (0.5, 0.5), (None, None),
    ),
)  # fmt: skip
def test_values_are_flat_in_csv(value, text):
    assert flat(value) == text


def test_table_in_a_pipe_is_aligned_and_never_cut(printed):
    assert printed(REPORT).splitlines() == [
        "Title",
        "network  depths  macs G  change   share  equal",
        "----------------------------------------------",
        "a|b_1    3-4      2.500  +0.00%   25.0%  yes",
        "",
        "c[31m    3        0.000       -  100.0%  NO",
        "note",
    ]


def test_documents_escape_and_take_the_narrow_form(printed):
    narrow = REPORT._replace(fields=FIELDS[:1])
    assert "| a\\|b_1 |" in printed(REPORT._replace(narrow=narrow), "markdown")
    text = printed(REPORT._replace(narrow=narrow), "latex")
    assert r"a\textbar{}b\_1 \\" in text
    assert "\\begin{tabular}{l}" in text


def test_latex_is_that_of_booktabs(printed):
    assert printed(REPORT, "latex").splitlines() == [
        "% Title",
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{llrrrl}",
        r"\toprule",
        r"network & depths & macs G & change & share & equal \\",
        r"\midrule",
        r"a\textbar{}b\_1 & 3-4 & 2.500 & +0.00\% & 25.0\% & yes \\",
        r"\midrule",
        r"c[31m & 3 & 0.000 & -- & 100.0\% & NO \\",
        r"\bottomrule",
        r"\end{tabular}",
        "% note",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    (
        ("-0.26%", r"$-$0.26\%"),
        ("25.247 M ×1.01", r"25.247 M $\times$1.01"),
        ("3x3/2 conv 64 to 128, 224x224", r"3$\times$3/2 conv 64 to 128, 224$\times$224"),
        ("57x49 +29x25", r"57$\times$49 +29$\times$25"),
        ("resnext101_64x4d", r"resnext101\_64x4d"),
        ("resnext50x2_elastic", r"resnext50x2\_elastic"),
        ("3-4-6-3", "3-4-6-3"),
        ("1/2,1/4 3/4 | 1/2@1~2", r"1/2,1/4 3/4 \textbar{} 1/2@1\textasciitilde{}2"),
        ("2·E_out", r"2$\cdot$E\_out"),
        ("a\\b", r"a\textbackslash{}b"),
        ("[a]", "{}[a]"),
        ("macs x", r"macs $\times$"),
        ("-", "--"),
    ),
)
def test_cells_are_typeset(text, shown):
    assert typeset(text) == shown


def test_a_column_left_out_is_named(printed):
    slim = REPORT.without("share", "macs", "nothing").slim
    assert [[field.key for field in form.fields] for form in slim] == [
        ["name", "depths", "macs", "change", "equal"],
        ["name", "depths", "change", "equal"],
    ]
    assert slim[1].notes == ["note", "not shown: share, macs (a wider terminal has room)"]
    assert "share" in printed(REPORT._replace(slim=slim))


def test_tables_below_stand_after_an_empty_line(printed):
    below = Report("Below", FIELDS[:1], [SECOND])
    lines = printed(REPORT._replace(below=[below])).splitlines()
    assert lines[lines.index("note") + 1 : lines.index("note") + 3] == ["", "Below"]
    assert "Below" not in printed(REPORT._replace(below=[below]), "csv")


@pytest.mark.parametrize(
    ("values", "letter"), (((), ""), ((0, 999), ""), ((-1000,), "k"), ((5, 10**9), "G"), (("",), ""))
)
def test_unit_is_the_largest_that_the_largest_value_fills(values, letter):
    assert unit_of(values)[1] == letter
