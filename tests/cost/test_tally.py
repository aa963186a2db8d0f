"""Nodes in a row that look alike are counted as what they are."""

import pytest

from elastic_search.arch import ops
from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.densenet import densenet
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.graph import Builder, Graph, Node
from elastic_search.arch.ops import Shape, image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.errors import SpecError

CONV = ops.Conv(4, 4, 3, 1, 1, 1, 1, False)
SHAPE, EACH, WEIGHTS = (4, 8, 8), 4 * 4 * 9 * 64, 4 * 4 * 9


def test_equal_nodes_that_share_weights_count_their_parameters_once():
    nodes = (
        Node("a", CONV, ("x",)),
        Node("b", CONV, ("a",), "a"),
        Node("c", CONV, ("b",)),
        Node("d", CONV, ("c",), "c"),
    )
    found = tally(Graph("net", ("x",), tuple(nodes), ("d",)), SHAPE, MACS)
    assert (found.total, found.params) == (4 * EACH, 2 * WEIGHTS)
    assert [row.cost.params for row in found.rows] == [WEIGHTS, 0, WEIGHTS, 0]


def test_equal_nodes_keep_their_own_recorded_counts():
    recorded = (("macs", 7),)
    nodes = (Node("a", CONV, ("x",)), Node("b", CONV, ("a",), recorded=recorded), Node("c", CONV, ("b",)))
    found = tally(Graph("net", ("x",), nodes, ("c",)), SHAPE, MACS)
    assert [row.cost.total for row in found.rows] == [EACH, 7, EACH]


def test_a_dead_node_among_equal_ones_is_left_out_where_the_convention_does():
    nodes = (Node("a", CONV, ("x",)), Node("dead", CONV, ("x",)), Node("b", CONV, ("a",)), Node("c", CONV, ("b",)))
    graph = Graph("net", ("x",), nodes, ("c",))
    assert graph.live == {"a", "b", "c"}
    assert tally(graph, SHAPE, MACS).total == 4 * EACH
    found = tally(graph, SHAPE, FVCORE)
    assert [row.cost.total for row in found.rows] == [EACH, 0, EACH, EACH]
    assert found.params == 4 * WEIGHTS


def test_a_node_read_only_by_a_dead_one_is_dead():
    nodes = (Node("a", CONV, ("x",)), Node("b", CONV, ("x",)), Node("dead", CONV, ("b",)))
    assert Graph("net", ("x",), nodes, ("a",)).live == {"a"}


def test_equal_ops_at_other_shapes_are_counted_at_those():
    shrink = ops.Pool("max", 2, 2)
    nodes = (Node("a", shrink, ("x",)), Node("b", shrink, ("a",)), Node("c", shrink, ("b",)))
    assert Graph("net", ("x",), nodes, ("c",)).shape(Shape(4, 8, 8)) == Shape(4, 1, 1)
    assert [row.output for row in tally(Graph("net", ("x",), nodes, ("c",)), SHAPE).rows] == [
        Shape(4, 4, 4), Shape(4, 2, 2), Shape(4, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("spec", (elastic(resnext((2, 5, 3, 2)), HALVES), elastic(densenet((4, 5)), HALVES)))
def test_a_stage_is_its_blocks_one_after_another(spec):
    for i in range(len(spec.stages)):
        made, channels = spec.stage_graph(i, 64), 64
        for j, split in enumerate(spec.stages[i].splits):
            assert made.nodes[j] == Node(str(j), spec.block_graph(i, j, channels, split), (str(j - 1) if j else "x",))
            channels = spec.block_channels(i, channels)


def test_a_longer_stage_costs_what_its_blocks_add():
    def cost(depth):
        return tally(elastic(resnext((3, depth, 3)), HALVES).graph(), image(64, 64)).total

    assert cost(40) - cost(39) == cost(4) - cost(3)


def test_a_chain_takes_no_name_that_is_there():
    b = Builder("stage", "x")
    b.add("1", CONV, "x")
    with pytest.raises(SpecError, match="two values of one stage are called '1'"):
        b.chain([Graph("block", ("x",), (Node("a", CONV, ("x",)),), ("a",))] * 2, "x")
