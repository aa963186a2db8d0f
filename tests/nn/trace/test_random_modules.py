"""Random modules: counted as the real tools count them, or refused."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.errors import ElasticError
from elastic_search.nn.trace.tracing import trace
from tests.nn.trace.staging import counted_as_tools_do


class Subclass(nn.Conv2d):
    pass


class Steps(nn.Module):
    """Modules and functions one after the other; a function gets the module and x."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = []
        for i, step in enumerate(steps):
            if isinstance(step, nn.Module):
                self.add_module(f"step{i}", step)
                step = f"step{i}"
            self.steps.append(step)

    def forward(self, x):
        for step in self.steps:
            x = getattr(self, step)(x) if isinstance(step, str) else step(x)
        return x


class Around(nn.Module):
    """A body and what is done with it: ``how`` is residual, concat, gate, twice, dead, iadd or size."""

    def __init__(self, how, body, other=None):
        super().__init__()
        self.how, self.body, self.other = how, body, other

    def forward(self, x):
        if self.how == "residual":
            return self.body(x) + x
        if self.how == "concat":
            return torch.cat((self.body(x), x), 1)
        if self.how == "gate":
            return x * torch.sigmoid(self.other(F.adaptive_avg_pool2d(x, 1)))
        if self.how == "twice":
            return self.body(self.body(x))
        if self.how == "dead":
            self.body(x)
            return x
        if self.how == "iadd":
            y = self.body(x)
            y += x
            return y
        return F.interpolate(x, size=self.body(x).shape[2:], mode="bilinear")


class Bare(nn.Module):
    """A convolution written with its own parameter."""

    def __init__(self, inside, outside, kernel, stride):
        super().__init__()
        self.matrix, self.stride = nn.Parameter(torch.zeros(outside, inside, kernel, kernel)), stride

    def forward(self, x):
        return F.conv2d(x, self.matrix, stride=self.stride, padding=1)


def shuffled(x):
    return x.view(1, 2, -1, x.shape[2], x.shape[3]).transpose(1, 2).reshape(x.shape)


PLAIN_STEPS = (
    lambda c: nn.ReLU(inplace=True), lambda c: F.relu, lambda c: torch.relu, lambda c: nn.SiLU(), lambda c: nn.PReLU(),
    lambda c: nn.BatchNorm2d(c), lambda c: nn.BatchNorm2d(c, affine=False), lambda c: nn.GroupNorm(2, c),
    lambda c: nn.InstanceNorm2d(c), lambda c: nn.BatchNorm2d(c, track_running_stats=False), lambda c: nn.Dropout(),
    lambda c: nn.MaxPool2d(3, 2, 1), lambda c: nn.AvgPool2d(2, ceil_mode=True), lambda c: nn.AdaptiveAvgPool2d((3, 2)),
    lambda c: lambda x: F.max_pool2d(x, 2), lambda c: nn.Upsample(scale_factor=2, mode="bilinear"),
    lambda c: lambda x: F.interpolate(x, scale_factor=1.5), lambda c: lambda x: F.pad(x, (1, 0, 2, 1)),
    lambda c: torch.erf, lambda c: shuffled, lambda c: lambda x: x.add(1).mul(2), lambda c: lambda x: x[..., 1:],
    lambda c: lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), lambda c: lambda x: F.softmax(x, 1),
    lambda c: lambda x: x.clone().mul_(2),
)  # fmt: skip


@st.composite
def convolutions(draw, inside, outside=None):
    """A convolution and its output channels; all channels are even."""
    outside = outside or draw(st.sampled_from((2, 4, 6, 8)))
    kind = draw(st.sampled_from(("plain", "grouped", "depthwise", "transposed", "subclass", "same", "bare")))
    kernel = draw(st.sampled_from((1, 2, 3, (1, 3), (3, 2))))
    stride, dilation = draw(st.sampled_from((1, 1, 2, (1, 2)))), draw(st.sampled_from((1, 1, 2)))
    padding, bias = draw(st.integers(0, 2)), draw(st.booleans())
    if kind == "bare":
        return Bare(inside, outside, 3, draw(st.integers(1, 2))), outside
    if kind == "same":
        return nn.Conv2d(inside, outside, kernel, padding="same", dilation=dilation, bias=bias), outside
    if kind == "transposed":
        groups = draw(st.sampled_from((1, 2))) if inside % 2 == 0 else 1
        return nn.ConvTranspose2d(inside, outside, kernel, stride, 0, 0, groups, bias, dilation), outside
    if kind == "depthwise":
        return nn.Conv2d(inside, inside, kernel, stride, padding, dilation, inside, bias), inside
    groups = 2 if kind == "grouped" and inside % 2 == 0 else 1
    make = Subclass if kind == "subclass" else nn.Conv2d
    return make(inside, outside, kernel, stride, padding, dilation, groups, bias), outside


@st.composite
def modules(draw):
    """A random network, and the shape of its image."""
    channels = 3
    first, channels = draw(convolutions(channels, draw(st.sampled_from((2, 4, 6)))).filter(lambda c: c[1] % 2 == 0))
    steps = [first]
    for _ in range(draw(st.integers(0, 6))):
        what = draw(st.sampled_from(("conv", "plain", "plain", "around")))
        if what == "conv":
            step, channels = draw(convolutions(channels))
        elif what == "plain":
            step = draw(st.sampled_from(PLAIN_STEPS))(channels)
        else:
            how = draw(st.sampled_from(("residual", "concat", "gate", "twice", "dead", "iadd", "size")))
            body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
            if how in ("dead", "size"):
                body = nn.Sequential(body, nn.Conv2d(channels, 2, 1, 2))
            step = Around(how, body, nn.Conv2d(channels, channels, 1) if how == "gate" else None)
            channels = 2 * channels if how == "concat" else channels
        steps.append(step)
    if draw(st.booleans()):
        pool = draw(st.sampled_from((nn.AdaptiveAvgPool2d(1), lambda x: x.mean([2, 3], keepdim=True))))
        flatten = draw(st.sampled_from((nn.Flatten(), lambda x: x.flatten(1), lambda x: x.view(x.size(0), -1))))
        steps += [pool, flatten, nn.Linear(channels, 5, bias=draw(st.booleans()))]
    return Steps(*steps), Shape(3, draw(st.integers(1, 17)), draw(st.integers(1, 17)))


def right_or_refused(module, input):
    module.eval()
    warnings.simplefilter("ignore", UserWarning)  # torch's, of even kernels with padding "same"
    try:
        with torch.no_grad():
            module(torch.zeros(1, *input))
    except (RuntimeError, ValueError):
        with pytest.raises(ElasticError):
            trace(module, input)
        return
    assert not opaque_nodes(counted_as_tools_do(module, input, ("fvcore", "torch")))


QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(modules())
def test_random_module_counts_as_the_tools_do(case):
    right_or_refused(*case)


@pytest.mark.full
@settings(QUICK, max_examples=200)
@given(modules())
def test_200_random_modules_count_as_the_tools_do(case):
    right_or_refused(*case)
