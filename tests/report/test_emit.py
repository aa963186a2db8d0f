"""A report in every format."""

import csv
import io
import json

import pytest

from elastic_search.report.emit import Field, Report, emit, unit_of

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
    assert data == {"schema": 1, "input": [3, 8, 8], "networks": [FIRST, SECOND]}
    assert list(data) == ["schema", "input", "networks"]


def test_head_is_made_for_json_alone(printed):
    def head():
        asked.append(1)
        return {"a": 1}

    asked = []
    report = REPORT._replace(head=head)
    for fmt in ("table", "csv", "markdown", "latex"):
        printed(report, fmt)
    assert not asked
    assert json.loads(printed(report, "json")) == {"schema": 1, "a": 1}


def test_csv_holds_raw_values_by_key(printed):
    rows = list(csv.DictReader(io.StringIO(printed(REPORT, "csv"))))
    assert rows[0] == {
        "name": "a|b_1", "depths": "3-4", "macs": "2499500000", "change": "-1e-06", "share": "0.25", "equal": "yes",
    }  # fmt: skip
    assert (rows[1]["change"], rows[1]["equal"]) == ("", "NO")
    report = REPORT._replace(keys=("name", "on"), records=[{"name": "x", "on": True}, {"name": "y", "on": False}])
    assert printed(report, "csv") == "name,on\nx,true\ny,false\n"


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
    assert r"a|b\_1 \\" in text
    assert "\\begin{tabular}{l}" in text


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
