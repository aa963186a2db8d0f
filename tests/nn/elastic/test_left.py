"""What is left as it is, and why."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import Shape
from elastic_search.nn.elastic.elasticize import REASONS, Left, elasticize
from elastic_search.nn.init import build
from elastic_search.report.notes import left_notes


class Odd(nn.Module):
    """A convolution for nearly every reason to leave one."""

    def __init__(self):
        super().__init__()

        class Own(nn.Conv2d):
            pass

        def conv(inputs=8, outputs=8, kernel=3, padding=1, **options):
            return nn.Conv2d(inputs, outputs, kernel, padding=padding, **options)

        self.indivisible = conv(3)
        self.stride = conv(stride=2)
        self.one = conv(kernel=1, padding=0)
        self.size = conv(padding=0)
        self.depthwise = conv(groups=8)
        self.cheap = conv(kernel=(1, 3), padding=(0, 1), groups=4)
        self.unreached = conv()
        self.subclass = Own(8, 8, 3, padding=1)
        self.tied1, self.tied2 = conv(), conv()
        self.tied2.weight = self.tied1.weight
        self.hooked = conv()
        self.hooked.register_forward_hook(lambda module, args, output: output * 2)
        self.normed = weight_norm(conv())
        self.chosen, self.unchosen = conv(), conv()
        self.listed = conv()
        self.small = conv(kernel=5, padding=2)
        self.single = conv()
        self._list = [self.listed]

    def forward(self, x):
        x = self.depthwise(self.size(self.one(self.stride(self.indivisible(x)))))
        x = self.hooked(self.tied2(self.tied1(self.subclass(self.cheap(x)))))
        x = self.unchosen(self.chosen(self.normed(x)))
        (listed,) = self._list
        y = self.single(x[0])
        return self.small(F.adaptive_avg_pool2d(listed(x) + y, 6))


def test_what_is_left_is_reported_with_its_reason():
    model = Odd().eval()
    report = elasticize(model, input=(3, 64, 64), where=lambda path, conv: path != "unchosen")
    assert [change.path for change in report.replaced] == ["chosen"]
    assert {left.path: left.reason for left in report.left} == {
        "indivisible": "indivisible",
        "stride": "stride",
        "one": "1x1",
        "size": "size",
        "depthwise": "depthwise",
        "cheap": "saves nothing",
        "unreached": "not reached",
        "subclass": "subclass",
        "tied1": "shared",
        "tied2": "shared",
        "hooked": "altered",
        "normed": "altered",
        "unchosen": "not chosen",
        "listed": "held elsewhere",
        "small": "too small",
        "single": "unbatched",
    }
    details = {left.path: left.detail for left in report.left}
    assert details["small"] == "a map of 6x6, 3x3 at scale 1/2; the kernel covers 5x5"
    # 30 x 30 x 8 outputs of 3 x 2 weights; 3 full and 3 quarter ones, and 4 for the interpolation.
    assert details["cheap"] == "43,200 MACs before, 55,800 after with resampling"
    assert type(model.listed) is nn.Conv2d
    assert {left.reason for left in report.left} <= set(REASONS)
    again = elasticize(model, input=(3, 64, 64))
    assert Left("chosen", "elastic", "divided into 1/2@1,1/2@1/2") in again.left
    assert [change.path for change in again.replaced] == ["unchosen"]


@pytest.mark.parametrize(("map_", "replaced"), (((4, 4), False), ((5, 4), False), ((5, 5), True), ((6, 6), True)))
def test_too_small_is_a_low_map_below_the_kernel(map_, replaced):
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1))
    assert bool(elasticize(model, input=(64, *map_)).replaced) == replaced


def test_a_saving_that_resampling_eats_depends_on_the_convention():
    layer = nn.Conv2d(2, 8, 3, padding=1)
    for convention, replaced in (("fvcore", True), ("authors", False), ("macs", True)):
        report = elasticize(nn.Sequential(copy.deepcopy(layer)), input=(2, 8, 8), convention=convention)
        assert bool(report.replaced) == replaced, convention
    plain = elasticize(nn.Sequential(copy.deepcopy(layer)), "1@1", input=(2, 8, 8), convention="macs")
    assert [left.reason for left in plain.left] == ["saves nothing"]
    assert plain.macs_before == plain.macs_after
    dilated = elasticize(nn.Sequential(layer), "1/2@1,1/2@1~2", input=(2, 8, 8), convention="macs")
    assert [left.reason for left in dilated.left] == ["saves nothing"]


def test_a_module_with_two_names_is_replaced_once_in_both_places():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(16, 16, 3, padding=1)
            self.inner = nn.Sequential(self.first)

        def forward(self, x):
            return self.first(self.inner(x)[..., ::2, ::2])

    model = Twice()
    (change,) = elasticize(model, input=(16, 32, 32)).replaced
    assert change.path == "first"
    assert model.first is model.inner[0]
    assert [x for x, _ in change.calls] == [Shape(16, 32, 32), Shape(16, 16, 16)]


def test_a_network_with_a_description_is_left_to_its_spec():
    net = build(resnext((1, 1, 1), path_width=1, cardinality=4))
    report = elasticize(net, input=(3, 64, 64))
    assert not report.replaced
    assert {left.reason for left in report.left} == {"described"}


class Same(nn.Conv2d):
    """Computes what the plain class does."""


class Standardized(nn.Conv2d):
    """Computes something else with its weight."""

    def forward(self, x):
        return self._conv_forward(x, self.weight - self.weight.mean(), self.bias)


class Scaled(nn.Conv2d):
    """Has a parameter more."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return super().forward(x) * self.scale


def test_every_subclass_is_left_and_named_with_the_reason():
    model = nn.Sequential(*(kind(8, 8, 3, padding=1) for kind in (Same, Standardized, Scaled, nn.Conv2d)))
    before = list(model)
    report = elasticize(model, input=(8, 32, 32))
    assert report.left == (
        Left("0", "subclass", "class Same"),
        Left("1", "subclass", "class Standardized"),
        Left("2", "altered", "it has parameters, buffers or children of its own"),
    )
    assert list(model)[:3] == before[:3]
    assert [change.path for change in report.replaced] == ["3"]
    assert left_notes(report) == [
        "1 convolution made Elastic at 32x32, 3 left",
        "left, subclass (a subclass may compute something else): 0, 1",
        "left, altered (hooks, a parametrization or additions of its own would be lost): 2",
    ]


def test_a_lazy_convolution_that_has_run_is_a_plain_one():
    model = nn.Sequential(nn.LazyConv2d(8, 3, padding=1))
    model(torch.zeros(1, 8, 32, 32))
    assert [change.path for change in elasticize(model, input=(8, 32, 32)).replaced] == ["0"]


def test_a_network_without_anything_to_replace_says_so_in_one_line():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, 2, 1), Same(8, 8, 1))
    report = elasticize(model, input=(3, 32, 48))
    said = "no convolution could be made Elastic: stride (2 x), 1x1 (1 x), subclass (1 x) at 32x48"
    assert str(report) == said
    assert left_notes(report) == [
        said,
        "left, stride (a stride above 1 changes the resolution itself): 0, 2",
        "left, 1x1 (a kernel of 1 x 1 sees one position): 1",
        "left, subclass (a subclass may compute something else): 3",
    ]
    without = elasticize(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), input=(3, 2, 2))
    assert left_notes(without) == [str(without)] == ["no convolution could be made Elastic: the model has no Conv2d"]
