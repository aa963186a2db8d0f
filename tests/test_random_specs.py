"""Random networks: our counts equal the tools', and the built module returns what the graph says."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import image
from elastic_search.arch.zoo import from_dict, spec_id, to_dict
from elastic_search.errors import ShapeError
from elastic_search.nn.verify import empty_net, verify
from tests.strategies import specs

EDGES = st.integers(1, 65)
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
FULL = settings(QUICK, max_examples=300)


def has_room(spec, height, width):
    """Whether the network takes so small an image; where the graph says no, torch must say so too."""
    try:
        spec.graph().shapes(image(height, width))
    except ShapeError:
        with pytest.raises(RuntimeError), torch.no_grad():
            empty_net(spec.graph())(torch.zeros(1, 3, height, width))
        return False
    return True


def counts_equal(spec, height, width):
    if has_room(spec, height, width):
        different = [check for check in verify(spec.graph(), image(height, width)) if not check.equal]
        assert not different


@QUICK
@given(specs(), EDGES, EDGES)
def test_random_network_counts_equal_the_tools(spec, height, width):
    counts_equal(spec, height, width)


@pytest.mark.full
@FULL
@given(specs(), EDGES, EDGES)
def test_300_random_networks_count_as_the_tools_do(spec, height, width):
    counts_equal(spec, height, width)


@QUICK
@given(specs(), EDGES, EDGES)
def test_random_network_returns_the_shapes_of_its_graph(spec, height, width):
    """Every nested module's output has the shape that the graph computes."""
    if not has_room(spec, height, width):
        return
    graph = spec.graph()
    net = empty_net(graph)
    wrong = []

    def compare(module, inputs, output):
        shapes = [tuple(x.shape[1:]) for x in inputs]
        expected = module.graph.shape(*[image(1, 1)._replace(channels=c, height=h, width=w) for c, h, w in shapes])
        if tuple(output.shape[1:]) not in (tuple(expected), (expected.channels,)):
            wrong.append((module.graph.kind, shapes, tuple(output.shape), expected))

    for module in net.modules():
        if isinstance(getattr(module, "graph", None), Graph):
            module.register_forward_hook(compare)
    with torch.no_grad():
        assert net(torch.zeros(2, 3, height, width)).shape == (2, spec.head.classes)
    assert not wrong


@settings(max_examples=200, deadline=None)
@given(specs(), specs())
def test_spec_survives_plain_data_and_its_id_names_it_alone(spec, other):
    assert from_dict(to_dict(spec)) == spec
    assert (spec_id(spec) == spec_id(other)) == (spec == other)
