"""Tables on terminals of 80 and 200 columns: nothing is cut, nothing too wide, and no number broken."""

import re
import sys
from types import SimpleNamespace

import pytest

from elastic_search.arch.network import Network
from elastic_search.arch.ops import image
from elastic_search.arch.zoo import published
from elastic_search.cost.parts import measure
from elastic_search.cost.tools import FVCORE
from elastic_search.report.checks import checks_report
from elastic_search.report.conventions import tools_report
from elastic_search.report.costs import costs_report
from elastic_search.report.emit import emit
from elastic_search.report.networks import models_report
from tests.report.staging import of_a_search
from tests.staging import bare

NUMBER = re.compile(r"[+-]?\d[\d.,]*%?")
INPUT = image(224, 224)


def every_tool(by):
    networks = [Network(name, published(name).graph()) for name in ("resnext50", "resnext50_elastic")]
    costs = [measure(net, role, INPUT, FVCORE, by) for net, role in zip(networks, ("base", "elastic"), strict=True)]
    return tools_report(costs, INPUT, by)


def parts(by):
    name = "resnext101_elastic"
    return costs_report([measure(Network(name, published(name).graph()), "base", INPUT, FVCORE, by)], by)


def checks():
    def check(quantity, number, tool):
        return SimpleNamespace(quantity=quantity, ours=number, theirs=number, tool=tool, equal=True, failed=None)

    found = [check("macs", 7_801_405_440, "FlopCounterMode / 2"), check("fvcore adaptive_avg_pool2d", 8192, "fvcore")]
    found.append(check("fvcore scaled_dot_product_attention", 4_230_479_872_000, "fvcore"))
    return checks_report([("resnext50_elastic_coco", found), ("dla_x60", found[:1])], [INPUT, INPUT])


REPORTS = {
    **{report.form: report for report in of_a_search()},
    "models": models_report(INPUT),
    "flops --convention all": every_tool("stage"),
    "flops --convention all --by op": every_tool("op"),
    "flops --by op": parts("op"),
    "validate": checks(),
}


@pytest.fixture
def shown(monkeypatch, capsys):
    def show(report, columns=None):
        if columns is not None:
            monkeypatch.setenv("COLUMNS", str(columns))
            monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: columns is not None)
        emit(report)
        return bare(capsys.readouterr().out)

    return show


def numbers(report, text):
    """The numbers in the rows of a table and of those below it."""
    notes = " ".join([*report.remarks(), "not shown: "]).split()
    return {word for line in text.splitlines() for word in NUMBER.findall(line) if word not in notes}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("columns", (80, 200))
def test_a_table_fits_and_breaks_no_number(shown, name, columns):
    report = REPORTS[name]
    text = shown(report, columns)
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text
    piped = numbers(report, shown(report))
    found = numbers(report, text)
    assert found <= piped
    if columns == 200:
        assert found == piped
        assert "not shown" not in text


def test_what_a_narrow_terminal_leaves_out_is_named(shown):
    assert "not shown: Elastic (a wider terminal has room)" in shown(REPORTS["models"], 80)
    text = shown(REPORTS["search"], 80)
    assert "not shown: proxy macs, s" in text
    assert "test acc" in text


def test_every_tool_stands_in_one_of_two_tables(shown):
    text = shown(REPORTS["flops --convention all"], 80)
    assert numbers(REPORTS["flops --convention all"], text) == numbers(
        REPORTS["flops --convention all"], shown(REPORTS["flops --convention all"])
    )
    assert "Why they differ: resnext50, in M by operator (continued)" in text


def test_checks_are_grouped_by_network(shown):
    lines = shown(REPORTS["validate"], 80).splitlines()
    assert [line.strip() for line in lines if line.startswith(("resnext50", "dla"))] == [
        "resnext50_elastic_coco",
        "dla_x60",
    ]
    assert [line.split()[0] for line in lines if line.startswith("  ") and line.endswith(("yes", "yes  "))] == [
        "macs",
        "fvcore",
        "fvcore",
        "macs",
    ]
