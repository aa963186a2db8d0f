"""Modules of the user: counted as the real tools count the module itself, or refused in one clear line."""

from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch_training import tracked_peak

from elastic_search.arch import traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.difference import differences
from elastic_search.cost.explain import by_kind
from elastic_search.cost.memory import memory
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE, MACS, TORCH
from elastic_search.cost.training import passes
from elastic_search.cost.traits import traits
from elastic_search.draw.sketch import sketch
from elastic_search.errors import ElasticError, ShapeError, UsageError
from elastic_search.nn.net import Net
from elastic_search.nn.tools import TOOLS
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.rules import register_rule
from elastic_search.nn.trace.tracing import trace
from tests.nn.trace.staging import INPUT, Function, counted_as_tools_do


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 12, 3, padding=1, bias=False)

    def forward(self, x):
        return self.conv(self.conv(x))


def test_shared_weights_count_once_in_params_and_twice_in_macs():
    graph = counted_as_tools_do(Twice())
    assert [(node.name, node.weights_of) for node in graph.nodes] == [("conv", None), ("conv_2", "conv")]
    assert tally(graph, INPUT, MACS).total == 362880
    assert graph.params == graph.params_live == tally(graph, INPUT).params == 12 * 12 * 9


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(12, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList(Residual() for _ in range(2))
        self.dead, self.never = nn.Conv2d(8, 4, 1), nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        self.dead(x)
        return {"logits": self.fc(x.mean((2, 3))), "map": x}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


def test_graph_nests_as_the_modules_do():
    graph = trace(Nested(), INPUT)
    assert [path for path, _ in graph.walk()] == [
        "stem.0", "stem.1", "stem.2",
        "blocks.0.conv", "blocks.0.bn", "blocks.0.add", "blocks.0.relu",
        "blocks.1.conv", "blocks.1.bn", "blocks.1.add", "blocks.1.relu",
        "dead", "mean", "fc", "unused.never.weight", "unused.never.bias",
    ]  # fmt: skip
    assert graph.at("blocks.0") == graph.at("blocks.1")
    assert isinstance(graph.at("blocks.1"), Graph)
    assert list(graph.dead()) == ["dead", "unused"]
    assert graph.params - graph.params_live == 8 * 4 + 4 + 3 * 3 + 3


def test_dead_calls_are_counted_by_the_tools_that_run_them():
    module = nn.Sequential(Nested()).eval()
    graph = trace(module, INPUT)
    for name in ("fvcore", "torch"):
        assert tally(graph, INPUT, CONVENTIONS[name]).total == sum(
            TOOLS[name][1](Logits(module), torch.zeros(1, *INPUT)).values()
        )


class Logits(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)["logits"]


class Branching(nn.Module):
    """Branches on a size, as plain numbers allow."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(12, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        if x.shape[-1] > 3 and len(x) == 1:
            x = self.body(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_branches_on_sizes_are_those_that_the_module_takes():
    graph = counted_as_tools_do(Branching())
    assert [node.name for node in graph.nodes] == ["body", "adaptive_avg_pool2d", "flatten", "fc"]


def test_module_that_does_not_take_the_image_is_refused():
    with pytest.raises(ElasticError, match=r"does not run at 12x10x14.*expected"):
        trace(nn.Sequential(nn.Conv2d(5, 3, 1)), INPUT)


@torch.library.custom_op("elastic_search_tests::mixed", mutates_args=())
def mixed(x: torch.Tensor) -> torch.Tensor:
    """An operator that torch knows nothing about."""
    return x.clone()


def test_unknown_operation_is_named_and_can_be_given_a_rule(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    module = Function(lambda m, x: mixed(mixed(x)))
    graph = trace(module, INPUT)
    (name,) = opaque_nodes(graph)
    assert opaque_nodes(graph) == {name: 2}

    @register_rule(name)
    def of_mixed(inputs, output):
        assert inputs == (INPUT,)
        return 3 * output.numel

    graph = trace(module, INPUT)
    assert not opaque_nodes(graph)
    assert tally(graph, INPUT, MACS).total == tally(graph, INPUT, FVCORE).total == 6 * INPUT.numel
    assert tally(graph, INPUT, TORCH).total == 12 * INPUT.numel


def test_what_no_tool_counts_is_no_unknown_operation():
    module = Function(lambda m, x: torch.erf(torch.addcmul(x.softmax(1), x, x)).cumsum(1).flatten(1)[:, :3])
    assert not opaque_nodes(counted_as_tools_do(module))


def pad(x):
    """Called like a function of torch that costs nothing."""
    return F.conv2d(x, torch.ones(12, 12, 1, 1))


def test_a_function_named_like_one_of_torch_is_not_taken_for_it():
    assert tally(counted_as_tools_do(Function(lambda m, x: pad(x))), INPUT, MACS).total == 12 * 12 * 140


def test_rule_for_a_function_of_the_user_takes_it_as_a_whole(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    monkeypatch.setattr(rules, "RULED", {})
    register_rule(pad)(lambda inputs, output: 11)
    graph = trace(Function(lambda m, x: F.relu(pad(x))), INPUT)
    assert [(node.name, type(node.op).__name__) for node in graph.nodes][1:] == [("pad", "Custom"), ("relu", "Relu")]
    assert tally(graph, INPUT, MACS).total == 11


def test_what_makes_weights_is_live():
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(12, 8, 3))
    graph = trace(nn.Sequential(conv, nn.ReLU()), INPUT)
    assert graph.params_live == graph.params == sum(p.numel() for p in conv.parameters())


def test_rule_for_a_class_keeps_its_parameters(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    register_rule(Residual)(lambda inputs, output: 7)
    graph = trace(nn.Sequential(nn.Conv2d(12, 8, 1), Residual()), INPUT)
    assert isinstance(graph.at("1"), traced_ops.Custom)
    assert graph.at("1").params == 8 * 8 * 9 + 8 + 16


def test_rule_must_return_a_count(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    register_rule(Residual)(lambda inputs, output: "many")
    with pytest.raises(UsageError, match="returned 'many'"):
        trace(nn.Sequential(nn.Conv2d(12, 8, 1), Residual()), INPUT)


def test_graph_holds_at_the_size_at_which_it_was_read():
    graph = trace(Function(lambda m, x: x.view(1, -1)), INPUT)
    with pytest.raises(ShapeError, match="view was read on 12x10x14, not 12x12x14"):
        tally(graph, Shape(12, 12, 14))


def test_tracing_leaves_the_module_alone():
    module = nn.Sequential(nn.Conv2d(12, 4, 1), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trace(module, INPUT)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_graph_read_from_a_module_is_not_built_again():
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()), Shape(3, 8, 8))
    with pytest.raises(ElasticError, match="cannot be built"):
        Net(graph)


class Pyramid(nn.Module):
    """Returns two maps; what it computes beside them is read by nobody."""

    def __init__(self):
        super().__init__()
        self.high, self.low = nn.Conv2d(12, 4, 3, padding=1), nn.Conv2d(4, 5, 3, 2, 1)
        self.dead = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        high = F.relu(self.high(x))
        self.dead(high)
        return high, self.low(high)


class Heads(nn.Module):
    def __init__(self, auxiliary=False):
        super().__init__()
        self.body, self.auxiliary = nn.Sequential(OrderedDict(pyramid=Pyramid())), auxiliary
        self.of_high, self.of_low = nn.Conv2d(4, 6, 1), nn.Conv2d(5, 6, 1)

    def forward(self, x):
        high, low = self.body(x)
        low = self.of_low(low)
        return self.of_high(high) if self.auxiliary else {"high": self.of_high(high), "low": low}


def test_values_that_a_module_returns_are_the_outputs_of_its_graph():
    graph = counted_as_tools_do(Heads())
    assert graph.outputs == ("of_high", "of_low")
    assert graph.at("body").outputs == ("pyramid", "pyramid:1")
    assert graph.at("body.pyramid").outputs == ("relu", "low")
    assert [node.inputs for node in graph.nodes] == [("x",), ("body:1",), ("body",)]
    assert set(graph.dead()) == {"body.pyramid.dead"}
    assert graph.shapes(INPUT)["body:1"] == Shape(5, 5, 7)


def test_values_that_are_read_in_vain_are_not_counted_by_tools_that_leave_them_out():
    graph = counted_as_tools_do(Heads(auxiliary=True))
    assert set(graph.dead()) == {"body_pyramid_dead", "body_pyramid_low", "of_low"}


def test_every_reader_takes_a_nested_graph_of_two_outputs():
    module = Heads()
    graph = trace(module, INPUT)
    kinds = by_kind(graph, INPUT, CONVENTIONS.values())
    for name, convention in CONVENTIONS.items():
        assert sum(row[name] for row in kinds.values()) == tally(graph, INPUT, convention).total
    assert not differences(graph, trace(module, INPUT), INPUT, FVCORE)
    # High is a convolution of 3 × 3; low one of stride 2 behind it: 1 + 2 + 2 pixels.
    assert traits(graph, INPUT).receptive_field == (5, 5)
    assert passes(graph, INPUT).forward == 2 * traits(graph, INPUT).macs_live
    found = memory(graph, INPUT)
    assert found.inference == tracked_peak(Heads, INPUT, training=False)
    drawn = sketch(Network("heads", graph), INPUT)
    assert [panel.name for panel in drawn.panels] == ["body", "layers", "layers"]
    assert drawn.edges == ((-1, 0), (0, 1), (0, 2))
