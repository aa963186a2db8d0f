"""The paper's tables beside our counts: what is equal, and the three cells that are not."""

import dataclasses
from decimal import ROUND_HALF_UP, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.arch.ops import image
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import AUTHORS, MACS
from elastic_search.paper.figure4 import TITLES, figure4
from elastic_search.paper.reproduce import METHODS, TABLES, Cell, round_half_up, table2, table6, table7
from elastic_search.paper.tables import tables

DIFFERING = [
    ("densenet201_elastic", "flops", "4.3", "4.4"),
    ("dla_x102_elastic", "params", "25.0", "24.9"),
    ("dla_x102_elastic", "flops", "6.0", "6.1"),
]


# --- the printed figures


def test_figures_keep_their_digits():
    first = tables().table2[0]
    assert (str(first.params), str(first.flops), str(first.top1), str(first.top5)) == ("20.0", "4.4", "22.25", "6.26")
    assert str(tables().table2[1].top5) == "6.00"
    assert str(tables().table3[1].scores["f1_overall"]) == "74.50"
    assert str(tables().table5[0].scores["elastic"]) == "77.70"


def test_every_table_is_there_and_names_known_networks():
    found = tables()
    sizes = [len(getattr(found, field.name)) for field in dataclasses.fields(found)]
    assert sizes == [16, 9, 2, 3, 6, 4]
    for name in ("table2", "table3", "table4", "table5"):
        for row in getattr(found, name):
            assert row.model in PUBLISHED
    assert {row.method for row in found.table6} == set(METHODS)
    assert all(row.high + row.low == 100 for row in found.table7)


def test_printed_figures_are_plausible():
    for row in tables().table2:
        assert row.source in ("own", "quoted")
        assert row.top5 is None or row.top5 < row.top1
        assert (row.params.as_tuple().exponent, row.flops.as_tuple().exponent) == (-1, -1)
    # The paper's claim: augmenting always improves the accuracy.
    errors = {row.model: row.top1 for row in tables().table2}
    for name, entry in PUBLISHED.items():
        if entry.elastic in errors and name in errors:
            assert errors[entry.elastic] < errors[name]


# --- rounding


@given(st.integers(0, 10**15), st.integers(0, 6), st.sampled_from((1, 10**6, 10**9)))
def test_rounding_is_half_up_at_the_printed_digit(value, places, unit):
    exact = Decimal(value).scaleb(-len(str(unit)) + 1)
    expected = exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, Context(prec=60))
    found = round_half_up(value, unit, places)
    assert str(found) == str(expected)


@given(st.integers(0, 10**40), st.integers(1, 10**12), st.integers(0, 3))
def test_rounding_is_exact_for_any_size(value, unit, places):
    found = round_half_up(value, unit, places)
    assert found.as_tuple().exponent == -places
    scaled = int("".join(map(str, found.as_tuple().digits)))
    assert -unit < 2 * (value * 10**places - scaled * unit) <= unit or 2 * (value * 10**places - scaled * unit) == -unit


def test_a_half_goes_up():
    assert str(round_half_up(24_950_000, 10**6, 1)) == "25.0"
    assert str(round_half_up(24_949_999, 10**6, 1)) == "24.9"
    assert str(round_half_up(0, 10**6, 1)) == "0.0"


def test_a_cell_compares_digits():
    assert Cell(24_960_000, 10**6, Decimal("25.0")).equal
    assert not Cell(24_960_000, 10**6, Decimal("25.00")).equal
    assert Cell(24_960_000, 10**6).equal is None


# --- the reproduction


def test_exactly_three_cells_differ_and_each_has_its_reason():
    found = [entry for make in TABLES.values() for entry in make().differing]
    listed = [(row.name, kind, str(cell.printed), str(cell.rounded)) for row, kind, cell in found]
    assert listed == DIFFERING
    for _, _, cell in found:
        assert cell.reason


def test_no_other_cell_has_a_reason():
    for make in TABLES.values():
        table = make()
        assert all((cell.reason is None) == cell.equal for _, _, cell in table.cells)
    assert [len(make().cells) for make in TABLES.values()] == [32, 6, 4]


def test_reasons_name_counted_figures():
    densenet, params, flops = (cell.reason for _, _, cell in table2().differing)
    for figure in ("4.37 G", "4.39 G", "4.27 G", "4.29 G"):
        assert figure in densenet
    assert "24.917 M" in params
    assert "6.08 G" in flops
    assert "5.95 G" in flops


def test_each_row_is_counted_as_the_paper_counted_it():
    for row in table2().rows:
        rule = AUTHORS if row.name.startswith(("dla", "densenet")) else MACS
        assert row.convention is rule
        graph = published(row.name).graph()
        assert row.params.ours == graph.params
        assert row.flops.ours == tally(graph, image(224, 224), rule).total
    assert {row.convention.name for make in (table6, table7) for row in make().rows} == {"authors"}


def test_no_single_rule_gives_table_2():
    """Why a row has its own convention."""
    for rule in (MACS, AUTHORS):
        cells = [
            Cell(tally(row.spec.graph(), image(224, 224), rule).total, 10**9, row.flops.printed)
            for row in table2().rows
        ]
        assert sum(not cell.equal for cell in cells) > 2


def test_tables_6_and_7_are_dla_x60_edited():
    rows = {row.name: row for make in (table6, table7) for row in make().rows}
    plain = published("dla_x60")
    assert rows["original"].spec == rows["100/0"].spec == plain
    assert rows["bilinear_ap"].spec == rows["50/50"].spec == published("dla_x60_elastic")
    assert str(rows["75/25"].split) == "3/4@1,1/4@1/2"
    assert str(rows["trained_dilated_filter"].split) == "1/2@1,1/2@1~2"
    assert str(rows["trained_dilated_filter_ap"].split) == "1/2@1,1/2@1~2ap"
    assert (rows["nearest_ap"].split.down, rows["nearest_ap"].split.up) == ("avgpool", "nearest")
    assert (rows["trained_filter"].split.down, rows["trained_filter"].split.up) == ("trained", "trained")
    printed = [str(row.flops.printed) for row in table6().rows]
    assert printed == ["3.6", "3.2", "3.2", "3.6", "3.6", "3.2"]
    assert [str(row.flops.rounded) for row in table6().rows] == printed
    assert len({row.spec for row in table6().rows}) == 6


def test_only_trained_filters_add_parameters():
    params = {row.name: row.params.ours for row in table6().rows}
    assert params.pop("trained_filter") > params["original"]
    assert set(params.values()) == {params["original"]}
    assert {row.params.ours for row in table7().rows} == {params["original"]}


# --- figure 4


def test_figure_has_each_network_of_table_2_once():
    figure = figure4()
    names = [point.network for point in figure.points]
    assert len(names) == len(set(names)) == 13
    assert set(names) == {row.model for row in tables().table2}
    assert [point.network for point in figure.quoted] == ["dla_x102"]
    assert {point.family for point in figure.points} == set(TITLES)


@pytest.mark.parametrize("family", TITLES)
def test_family_pairs_base_and_elastic(family):
    base, elastic = figure4().family(family)
    assert elastic.network == f"{family}_elastic"
    if family == "resnext50x2":
        assert base is None
    else:
        assert base.network == family
        assert elastic.accuracy > base.accuracy


def test_points_are_ours_against_the_printed_accuracy():
    points = {point.network: point for point in figure4().points}
    point = points["resnext50_elastic"]
    assert (point.params, point.flops, point.convention) == (25_246_504, 4_176_891_904, "macs")
    assert (str(point.top1_error), str(point.accuracy)) == ("21.56", "78.44")
    assert points["dla_x60"].top1_error == Decimal("21.92")  # the own run, not the quoted 21.8
