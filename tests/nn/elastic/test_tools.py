"""Tools that read, compile, copy and export a divided model."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from elastic_search.arch import ops
from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.split import parse_split
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.nn.elastic.elastic_conv import ElasticConv2d
from elastic_search.nn.elastic.elasticize import elasticize
from elastic_search.nn.tools import fvcore_counts
from elastic_search.nn.trace.tracing import trace
from tests.nn.elastic.staging import Residual

SIZES = ((48, 64), (45, 37), (38, 51), (25, 26))
scripts = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


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


@scripts
@pytest.mark.parametrize("options", ({}, {"groups": 4}, {"bias": False, "padding_mode": "reflect"}), ids=str)
@pytest.mark.parametrize("text", ("1/2,1/2", "1/4@1,3/4@1/3", "1/2@1/2,1/2@1/4", "1/4@1,1/4@1/2~2,1/4@1~2,1/4@1~2ap"))
@pytest.mark.parametrize("up", ("bilinear", "nearest"))
def test_a_scripted_convolution_gives_the_same_numbers_at_every_size(options, text, up):
    divided = ElasticConv2d.from_conv(nn.Conv2d(16, 12, 3, padding=1, **options), parse_split(text, up=up))
    script = torch.jit.script(divided)
    for size in SIZES:
        x = torch.randn(2, 16, *size)
        for _ in range(3):  # the first runs are profiled, later ones optimized for what they saw
            assert torch.equal(script(x), divided(x)), size


@scripts
@pytest.mark.filterwarnings("ignore:The TorchScript type system:UserWarning")  # of every torch.fx.GraphModule
def test_a_model_scripts_with_what_it_learns_and_goes_through_a_file():
    model, _ = small()
    script, file = torch.jit.script(model), io.BytesIO()
    assert list(script.state_dict()) == list(model.state_dict())
    torch.jit.save(script, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    read = torch.jit.script(torch.fx.symbolic_trace(model))
    for size in SIZES:
        x = torch.randn(2, 3, *size)
        for compiled in (script, loaded, read):
            assert torch.equal(compiled(x), model(x)), size
    script.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in model.conv1.parameters())


@scripts
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # padding and cropping depend on the size
def test_a_recorded_run_gives_the_same_numbers():
    model, x = small()
    traced = torch.jit.trace(model, x)
    other = torch.randn_like(x)
    assert torch.equal(traced(other), model(other))


def test_copies_and_pickles_are_the_same_model():
    model, x = small()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), model(x))
        twin.load_state_dict(Residual().state_dict())
        assert not torch.equal(twin(x), model(x))
