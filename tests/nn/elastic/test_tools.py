"""Tools that read, compile, copy and export a divided model."""

import copy
import pickle

import pytest
import torch
from torch import nn

from elastic_search.arch import ops
from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.nn.elastic.elasticize import elasticize
from elastic_search.nn.tools import fvcore_counts
from elastic_search.nn.trace.tracing import trace
from tests.nn.elastic.staging import Residual


def small():
    model = Residual().eval()
    report = elasticize(model, "1/2,1/4,1/4", input=(3, 45, 37))
    assert report.replaced
    return model, torch.randn(2, 3, 45, 37)


@pytest.mark.parametrize("split", ("1/2,1/4,1/4", "1/4,3/4@1/3"))
def test_an_elastic_module_is_read_without_unknown_operations(split):
    model = Residual().eval()
    assert elasticize(model, split, input=(3, 45, 37)).replaced
    graph = trace(model, Shape(3, 45, 37))
    assert not opaque_nodes(graph)
    assert {ops.Pad, ops.Crop} <= {type(op) for _, op in graph.walk()}
    with torch.no_grad():
        assert tally(graph, Shape(3, 45, 37), CONVENTIONS["fvcore"]).total == sum(
            fvcore_counts(model, torch.zeros(1, 3, 45, 37))[0].values()
        )


def test_symbolic_tracing_sees_plain_layers_and_functions_at_every_size():
    model, x = small()
    traced = torch.fx.symbolic_trace(model)
    assert torch.equal(traced(x), model(x))
    other = torch.randn(1, 3, 64, 50)
    assert torch.equal(traced(other), model(other))
    leaves = {type(traced.get_submodule(n.target)) for n in traced.graph.nodes if n.op == "call_module"}
    assert {nn.Conv2d, nn.AvgPool2d, nn.Upsample} <= leaves
    assert all(leaf.__module__.startswith("torch.nn.") for leaf in leaves)
    functions = {n.target.__name__ for n in traced.graph.nodes if n.op == "call_function"}
    assert {"take_channels", "pad_to_multiple", "crop_like", "add"} <= functions


def test_export_gives_the_same_numbers():
    model, x = small()
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), model(x))


def test_the_model_compiles_without_a_graph_break():
    model, x = small()
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(x), model(x))


def test_copies_and_pickles_are_the_same_model():
    model, x = small()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))
        twin.load_state_dict(Residual().state_dict())
        assert not torch.equal(twin(x), model(x))
