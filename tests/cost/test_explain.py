"""Counts by kind of operator, and where two graphs differ."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.edit import elastic
from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.cost.difference import differences
from elastic_search.cost.explain import by_kind, kind
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE, MACS
from elastic_search.errors import ShapeError
from elastic_search.report.conventions import rules_data
from elastic_search.report.difference import op_text
from tests.strategies import specs

MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(specs(), st.integers(16, 65))
def test_kinds_add_up_to_the_totals_of_every_convention(spec, edge):
    graph, input = spec.graph(), image(edge, edge + 3)
    try:
        totals = {name: tally(graph, input, convention).total for name, convention in CONVENTIONS.items()}
    except ShapeError:
        return
    kinds = by_kind(graph, input, CONVENTIONS.values())
    assert {name: sum(row[name] for row in kinds.values()) for name in CONVENTIONS} == totals


def test_what_nobody_reads_stands_apart():
    kinds = by_kind(published("dla_x60").graph(), image(224, 224), CONVENTIONS.values())
    assert kinds["unread convolution"]["fvcore"] == 0
    # Three projections: level3 and level4's outer trees.
    assert kinds["unread convolution"]["macs"] == 28**2 * 128 * 256 + 2 * 14**2 * 256 * 512
    assert kinds["unread batch norm"]["authors"] == 2 * (28**2 * 256 + 2 * 14**2 * 512)


def test_rules_say_what_is_counted():
    rules = {entry["name"]: entry["rules"] for entry in rules_data()}
    assert rules["macs"].keys() >= {"convolution", "transposed convolution", "linear"}
    assert rules["thop"]["batch norm"].startswith("4·E_out")
    assert rules["fvcore"]["up-sampling"].startswith("bilinear 4·E_out, nearest E_out")
    assert "transposed convolution" not in rules["authors"]


def test_every_kind_of_operator_has_a_name_that_people_know():
    named = {
        "adaptive average pool": traced_ops.AdaptivePool("avg", 1, 1),
        "adaptive max pool": traced_ops.AdaptivePool("max", 1, 1),
        "average pool": ops.Pool("avg", 2, 2),
        "layer norm": traced_ops.Norm("layer"),
        "silu": traced_ops.Activation("silu"),
    }
    assert {name: kind(op) for name, op in named.items()} == {name: name for name in named}
    types = {name for entry in rules_data() for name in entry["rules"]}
    assert {"adaptive pool", "arithmetic", "norm"} <= types
    assert not {"adaptivepool", "elementwise", "fixedelementwise"} & types


@MANY
@given(specs())
def test_a_network_does_not_differ_from_itself(spec):
    assert not differences(spec.graph(), spec.graph(), image(64, 64), FVCORE)


def test_differences_name_the_nodes_and_their_costs():
    a = published("resnext50")
    b = elastic(a, parse_split("1/2,1/2"), lambda stage, block: (stage, block) == (1, 2))
    found = differences(a.graph(), b.graph(), image(224, 224), MACS)
    assert {d.path.rpartition(".")[0] for d in found} == {"layer2.2", "layer2.2.at1"}
    only_b = [d.path for d in found if d.a is None]
    assert only_b == ["layer2.2.at2", "layer2.2.sum"]
    conv = next(d for d in found if d.path == "layer2.2.at1.conv2")
    assert op_text(conv.a.op) == "3x3 conv 256 to 256, 32 groups"
    assert op_text(conv.b.op) == "3x3 conv 128 to 128, 16 groups"
    assert conv.a.cost.total == 2 * conv.b.cost.total == 28**2 * 256 * 8 * 9


@pytest.mark.parametrize(
    ("a", "b"), (("resnext50", "resnext50_elastic"), ("dla_x60", "dla_x102"), ("densenet201", "densenet201_elastic"))
)
def test_differences_add_up_to_the_difference_in_cost(a, b):
    """What differs, counted at the highest level at which it does, is all that the totals differ by."""
    graphs = [published(name).graph() for name in (a, b)]
    totals = [tally(graph, image(224, 224), FVCORE).total for graph in graphs]
    found = differences(*graphs, image(224, 224), FVCORE)
    added = sum((d.b.cost.total if d.b else 0) - (d.a.cost.total if d.a else 0) for d in found)
    assert added == totals[1] - totals[0]
    assert not [
        d for d in found if isinstance(d.a and d.a.op, Graph) and isinstance(d.b and d.b.op, Graph) and d.a.op == d.b.op
    ]
