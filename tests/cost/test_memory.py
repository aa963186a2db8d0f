import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from benchmarks.memory import tracked_peak
from elastic_search.arch import ops
from elastic_search.arch.edit import elastic
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.graph import Builder
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.memory import OPTIMIZERS, itemsize, memory, peak_inference, peak_training
from elastic_search.errors import UnknownNameError
from elastic_search.nn.net import Net
from elastic_search.nn.trace.tracing import trace
from tests.strategies import specs

DISTINCT = [name for name in PUBLISHED if not name.endswith("_coco")]


def built(graph):
    return lambda: Net(graph)


class Storages(TorchDispatchMode):
    """Bytes of the storages that operators have returned and somebody still holds, and their peak."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.seen = WeakIdKeyDictionary()

    def see(self, tensor):
        storage = tensor.untyped_storage()
        if storage not in self.seen:
            nbytes = storage.nbytes()
            self.now += nbytes
            self.seen[storage] = weakref.ref(storage, lambda _: self.free(nbytes))

    def free(self, nbytes):
        self.now -= nbytes

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tree_map_only(torch.Tensor, self.see, result)
        self.peak = max(self.peak, self.now)
        return result


def heard_peak(graph, input, batch):
    """Peak of a forward and a backward pass without parameters, by a listener that installs no hooks."""
    with FakeTensorMode():
        net, images, heard = Net(graph), torch.zeros(batch, *input), Storages()
        for tensor in (*net.parameters(), *net.buffers()):
            heard.see(tensor)
        held = heard.now
        heard.see(images)
        with heard:
            output = net(images)
            output.backward(torch.ones_like(output))
    return heard.peak - held


@settings(max_examples=15, deadline=None)
@given(specs(), st.integers(1, 3), st.integers(33, 65), st.integers(33, 65))
def test_inference_equals_the_tracker_on_any_network(spec, batch, height, width):
    graph, input = spec.graph(), image(height, width)
    assert peak_inference(graph, input, batch) == tracked_peak(built(graph), input, batch, training=False)


@settings(max_examples=15, deadline=None)
@given(specs(), st.integers(2, 3), st.integers(33, 65), st.integers(33, 65))
def test_training_equals_what_operators_hold_on_any_network(spec, batch, height, width):
    graph, input = spec.graph(), image(height, width)
    assert peak_training(graph, input, batch, observed=True).total == heard_peak(graph, input, batch)


@pytest.mark.parametrize("split", ("1", "1/2,1/4,1/4", "1/2@1,1/2@1/3"))
def test_training_of_a_network_with_gates_equals_the_tracker(split):
    spec = elastic(resnext((2, 2, 1), path_width=1, se_reduction=4), parse_split(split))
    graph, input = spec.graph(), image(65, 50)
    assert peak_training(graph, input, 2, observed=True).total == tracked_peak(built(graph), input, 2, training=True)


def test_gradients_that_nobody_else_holds_are_added_in_place():
    graph = published("densenet201_elastic").graph()
    heard, alone = (peak_training(graph, image(224, 224), observed=observed).total for observed in (True, False))
    assert alone < heard < 1.01 * alone


@pytest.mark.parametrize(
    ("torch_dtype", "dtype"), ((torch.float32, "fp32"), (torch.bfloat16, "bf16"), (torch.float16, "fp16"))
)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_is_what_torch_holds(name, torch_dtype, dtype):
    graph = elastic(resnext((1, 1), path_width=1, cardinality=4, se_reduction=2), parse_split("1/2,1/2")).graph()
    net = Net(graph).to(torch_dtype)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    states = []
    if name != "none":
        make = torch.optim.AdamW if name == "adamw" else torch.optim.SGD
        optimizer = make(net.parameters(), lr=0.1, **({} if name == "adamw" else {"momentum": 0.9}))
        optimizer.step()
        states = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    ours = memory(graph, image(32, 32), 2, itemsize(dtype), name)
    assert ours.parameters == ours.gradients == sum(p.nbytes for p in net.parameters())
    assert ours.buffers == sum(buffer.nbytes for buffer in net.buffers())
    assert ours.optimizer == sum(state.nbytes for state in states)


def test_batch_scales_inference_and_half_precision_halves_it():
    graph, input = published("resnext50").graph(), image(224, 224)
    assert peak_inference(graph, input, 8) == 8 * peak_inference(graph, input)
    assert peak_inference(graph, input, itemsize=2) == peak_inference(graph, input) // 2


def test_a_sum_of_three_a_view_and_indices_take_what_they_take():
    b = Builder("sum", "x")
    y = b.add("sum", ops.Add(), "x", "x", "x")
    sums = b.done(y)
    # The image, the sum of two and the sum of three.
    assert peak_inference(sums, Shape(1, 4, 4)) == 3 * 64

    b = Builder("view", "x")
    small = b.add("small", ops.Pool("avg", 2, 2), "x")
    large = b.add("large", ops.Upsample(2, "nearest"), "x")
    cut = b.add("cut", ops.Crop(), large, small)
    # The view holds all of the 8 x 8 map, of which the last op reads 2 x 2.
    graph = b.done(b.add("again", ops.Upsample(1, "nearest"), cut))
    assert peak_inference(graph, Shape(1, 4, 4)) == 4 * (16 + 4 + 64)
    b = Builder("pool", "x")
    graph = b.done(b.add("pool", ops.Pool("max", 2, 2), "x"))
    assert peak_inference(graph, Shape(1, 4, 4)) == 4 * (16 + 4) + 8 * 4


def test_an_unknown_name_is_an_error():
    with pytest.raises(UnknownNameError, match="dtype 'bf61'"):
        itemsize("bf61")
    with pytest.raises(UnknownNameError, match="optimizer 'adam'"):
        memory(published("resnext50").graph(), image(224, 224), optimizer="adam")


class Bottleneck(nn.Module):
    """A block of another house: depth-wise, gated, with an activation that is no ReLU."""

    def __init__(self, activation):
        super().__init__()
        self.wide = nn.Sequential(nn.Conv2d(8, 32, 1, bias=False), nn.BatchNorm2d(32), activation())
        self.deep = nn.Sequential(nn.Conv2d(32, 32, 3, 1, 1, groups=32, bias=False), nn.BatchNorm2d(32), activation())
        self.gate = nn.Sequential(nn.Conv2d(32, 8, 1), activation(), nn.Conv2d(8, 32, 1), nn.Sigmoid())
        self.narrow = nn.Sequential(nn.Conv2d(32, 8, 1, bias=False), nn.BatchNorm2d(8))

    def forward(self, x):
        y = self.deep(self.wide(x))
        y = y * self.gate(y.mean((2, 3), keepdim=True))
        return x + self.narrow(y)


@pytest.mark.parametrize("activation", (nn.SiLU, nn.GELU, nn.ReLU))
def test_training_of_a_module_that_was_read_is_near_the_tracker(activation):
    def make():
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 10))
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), *[Bottleneck(activation) for _ in range(3)], *head)

    ours = peak_training(trace(make().eval(), image(64, 64)), image(64, 64), 2).total
    theirs = tracked_peak(make, image(64, 64), 2, training=True)
    assert ours == pytest.approx(theirs, rel=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("size", ((224, 224), (225, 193)), ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", DISTINCT)
def test_published_inference_equals_the_tracker(name, size):
    graph, input = published(name).graph(), image(*size)
    for batch in (1, 4):
        assert peak_inference(graph, input, batch) == tracked_peak(built(graph), input, batch, training=False)


IN_CI = ("resnext50_elastic", "dla_x60")
"""Networks that are trained at 224 px in CI; a step of all of them takes half an hour of a CPU."""


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16), ids=str)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in IN_CI else pytest.mark.full) for name in DISTINCT],
)
def test_published_training_is_within_three_percent_of_the_tracker(name, dtype):
    graph, input = published(name).graph(), image(224, 224)
    for batch in (1, 32):
        ours = peak_training(graph, input, batch, dtype.itemsize).total
        assert ours == pytest.approx(tracked_peak(built(graph), input, batch, dtype, training=True), rel=0.03)
