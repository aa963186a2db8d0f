import pytest
import torch
from hypothesis import given, settings
from torch import nn

from benchmarks.memory import torch_passes
from elastic_search.arch.edit import elastic
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.cost.training import passes
from elastic_search.nn.net import Net
from tests.strategies import specs

TRAINED = parse_split("1/2,1/4,1/4", "trained", "trained")
NETWORKS = {
    "plain": lambda: published("resnet101").with_depths((2, 2, 2, 2)),
    "grouped": lambda: published("resnext50"),
    "squeeze-excite": lambda: published("se_resnext50_elastic").with_depths((2, 2, 2, 1)),
    "dead nodes": lambda: published("dla_x60_elastic").with_depths((1, 2, 1, 1)),
    "trained": lambda: elastic(published("dla_x60").with_depths((1, 2, 1, 1)), TRAINED),
    "dense": lambda: published("densenet201_elastic").with_depths((2, 3, 2, 2)),
}


class OneByOne(nn.Module):
    """A grouped layer as separate ones, a group each, for which the tool is right."""

    def __init__(self, layer):
        super().__init__()
        sizes = layer.kernel_size, layer.stride, layer.padding
        ins, outs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        self.parts = nn.ModuleList(type(layer)(ins, outs, *sizes, bias=False) for _ in range(layer.groups))
        for part in self.parts:
            part.dilation = layer.dilation

    def forward(self, x):
        return torch.cat([part(y) for part, y in zip(self.parts, x.chunk(len(self.parts), 1), strict=True)], 1)


def ungrouped(module):
    for name, child in module.named_children():
        if getattr(child, "groups", 1) > 1:
            setattr(module, name, OneByOne(child))
        else:
            ungrouped(child)
    return module


def on_meta(graph, input, change=lambda net: net):
    """FlopCounterMode's forward and backward FLOPs of two images, an image."""
    with torch.device("meta"):
        both = torch_passes(change(Net(graph)), torch.empty(2, *input))
    return tuple(count // 2 for count in both)


def test_resnext50_has_the_known_count_and_the_tools():
    counted = passes(published("resnext50").graph(), image(224, 224))
    assert (counted.total, counted.torch_total) == (25_146_851_328, 39_481_933_824)
    # Only the stem has no gradient of its input: 112² positions of 64 x 3 x 7² weights.
    assert 3 * counted.forward - counted.total == 2 * 112**2 * 64 * 3 * 7**2


@pytest.mark.parametrize("name", NETWORKS)
def test_what_the_tool_says_is_foretold(name):
    graph = NETWORKS[name]().graph()
    counted = passes(graph, image(65, 97))
    assert on_meta(graph, image(65, 97)) == (counted.forward, counted.torch_backward)


@settings(max_examples=10, deadline=None)
@given(specs())
def test_any_network_is_counted_as_the_tool_counts_it_without_groups(spec):
    graph = spec.graph()
    counted = passes(graph, image(41, 50))
    assert on_meta(graph, image(41, 50)) == (counted.forward, counted.torch_backward)
    assert on_meta(graph, image(41, 50), ungrouped) == (counted.forward, counted.backward)


def test_the_tool_is_right_where_nothing_is_grouped():
    counted = passes(published("resnet101").graph(), image(64, 64))
    assert counted.torch_backward == counted.backward
