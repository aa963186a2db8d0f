import copy
import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from elastic_search.arch import ops
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.split import Split, parse_split
from elastic_search.cost.pyramids import Layer, built, cost, split_ratios
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, MACS, TORCH
from elastic_search.errors import ShapeError, SpecError, SplitError, UnknownNameError
from elastic_search.nn.elastic.elastic_conv import ElasticConv2d
from elastic_search.nn.elastic.elasticize import REASONS, Change, Left, elasticize
from elastic_search.nn.init import build
from elastic_search.nn.tools import authors_counts, fvcore_counts, torch_counts
from elastic_search.nn.trace.tracing import trace


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    torch.manual_seed(0)


class Residual(nn.Module):
    """A stem, a block with a shortcut, a block called twice, an average and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.conv1 = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, groups=4)
        self.short = nn.Conv2d(16, 32, 1)
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.again = nn.Conv2d(32, 32, (1, 5), padding=(0, 2))
        self.fc = nn.Linear(32, 10)

    def forward(self, x):
        x = self.stem(x)
        x = self.short(x) + self.conv2(F.relu(self.bn1(self.conv1(x))))
        x = self.again(F.relu(self.again(self.depthwise(x))))
        return self.fc(x.mean((2, 3)))


class VGG(nn.Module):
    def __init__(self):
        super().__init__()
        layers = []
        for i, (inputs, width) in enumerate(((3, 16), (16, 32), (32, 64))):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)] if i < 2 else [nn.AdaptiveAvgPool2d(2)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(256, 5), nn.Dropout(), nn.Linear(5, 5))

    def forward(self, x):
        return self.classifier(self.features(x))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1 = nn.Conv2d(3, 16, 3, padding=1)
        self.down2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect") for _ in range(2)])
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.join = nn.Conv2d(32, 16, 5, padding=2)
        self.out = nn.Conv2d(16, 2, 1)

    def forward(self, x):
        a = F.relu(self.down1(x))
        y = F.relu(self.down2(a))
        for conv in self.middle:
            y = F.relu(conv(y))
        return {"map": self.out(self.join(torch.cat((a, self.up(y)), 1)))}


CNNS = {
    Residual: ["conv1", "conv2", "again"],
    VGG: ["features.2", "features.6", "features.8", "features.12", "features.14"],
    UNet: ["middle.0", "middle.1", "join"],
}


def reference(conv, split, x):
    """Equation 3 for one convolution, written out: the sum over branches, and the bias once."""
    height, width = x.shape[-2:]
    per_group, start = conv.in_channels // conv.groups, 0
    total = 0 if conv.bias is None else conv.bias[:, None, None]
    for branch in split.branches:
        length, r = int(branch.share * per_group), branch.factor
        rows = [g * per_group + i for g in range(conv.groups) for i in range(start, start + length)]
        y = x[:, rows]
        if r > 1:
            while y.shape[-2] % r:
                y = torch.cat((y, y[..., -1:, :]), -2)
            while y.shape[-1] % r:
                y = torch.cat((y, y[..., -1:]), -1)
            y = F.avg_pool2d(y, r)
        if branch.pooled:
            y = F.avg_pool2d(y, 3, 1, 1)
        sides = []
        for kernel, dilation in reversed(list(zip(conv.kernel_size, conv.dilation, strict=True))):
            reach = dilation * branch.dilation * (kernel - 1)
            sides += [reach // 2, reach - reach // 2]
        y = F.pad(y, sides, mode="constant" if conv.padding_mode == "zeros" else conv.padding_mode)
        weight = conv.weight[:, start : start + length]
        dilation = [d * branch.dilation for d in conv.dilation]
        y = F.conv2d(y, weight, dilation=dilation, groups=conv.groups)
        if r > 1:
            y = F.interpolate(y, scale_factor=r, mode=split.up)[..., :height, :width]
        total = total + y
        start += length
    return total


# --- one convolution

CONVS = {
    "plain": {"padding": 1},
    "no bias": {"padding": 1, "bias": False},
    "groups": {"padding": 1, "groups": 2},
    "three groups of four": {"padding": 1, "groups": 3, "in_channels": 12, "out_channels": 9},
    "reflect": {"padding": 1, "padding_mode": "reflect"},
    "replicate": {"padding": 1, "padding_mode": "replicate"},
    "circular": {"padding": 1, "padding_mode": "circular"},
    "same": {"padding": "same"},
    "even kernel": {"padding": "same", "kernel_size": (2, 4)},
    "dilated": {"padding": (2, 4), "dilation": (2, 2), "kernel_size": (3, 5)},
    "row": {"padding": (0, 3), "kernel_size": (1, 7)},
    "dilated circular groups": {"padding": 2, "dilation": 2, "padding_mode": "circular", "groups": 4},
}
SPLITS = [
    parse_split("1/2,1/2"),
    parse_split("1/2,1/4,1/4"),
    parse_split("1/4@1,3/4@1/3", up="nearest"),
    parse_split("1/2@1/2,1/2@1/4"),
    parse_split("1@1/2"),
    parse_split("1/4@1,1/4@1/2~2,1/4@1~2,1/4@1~2ap"),
]


def make(in_channels=16, out_channels=12, kernel_size=3, **options):
    return nn.Conv2d(in_channels, out_channels, kernel_size, **options)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_a_divided_convolution_computes_equation_3(options, split):
    conv = make(**options)
    divided = ElasticConv2d.from_conv(conv, split)
    for size in ((24, 32), (23, 29), (25, 26)):
        x = torch.randn(2, conv.in_channels, *size)
        y = divided(x)
        assert y.shape == conv(x).shape
        torch.testing.assert_close(y, reference(conv, split, x), atol=1e-5, rtol=1e-5)


def test_the_bias_is_added_once_also_where_no_branch_has_full_resolution():
    conv = make(padding=1)
    for text in ("1/2,1/4,1/4", "1/2@1/2,1/2@1/4"):
        y = ElasticConv2d.from_conv(conv, text)(torch.zeros(1, 16, 11, 13))
        torch.testing.assert_close(y, conv.bias[:, None, None].expand(y.shape[1:])[None])


def test_a_split_of_one_full_branch_is_the_same_convolution():
    conv, x = make(padding=1, groups=2), torch.randn(2, 16, 9, 9)
    assert torch.equal(ElasticConv2d.from_conv(conv, "1@1")(x), conv(x))


@pytest.mark.parametrize("split", SPLITS, ids=str)
@pytest.mark.parametrize("options", CONVS.values(), ids=CONVS)
def test_parameters_stay_in_number_and_value(options, split):
    conv = make(**options)
    divided = ElasticConv2d.from_conv(conv, split)
    parts = [branch.conv for branch in divided.branches]
    assert torch.equal(torch.cat([part.weight for part in parts], 1), conv.weight)
    biases = [part.bias for part in parts if part.bias is not None]
    assert len(biases) == (conv.bias is not None)
    assert all(torch.equal(bias, conv.bias) for bias in biases)
    assert sum(p.numel() for p in divided.parameters()) == sum(p.numel() for p in conv.parameters())


@pytest.mark.parametrize("size", (24, 23, 7))
@pytest.mark.parametrize("text", ("1/2,1/2", "1/2,1/4,1/4", "3/4@1/2,1/4@1/3"))
def test_one_layer_costs_what_table_1_says(size, text):
    layer = Layer(size, 16, 3, split_ratios(parse_split(text)), 12)
    divided = ElasticConv2d.from_conv(make(padding=1, bias=False), text).eval()
    x = torch.zeros(1, 16, size, size)
    counted, _ = fvcore_counts(divided, x)
    ours = built("elastic", layer)
    assert (counted["conv"], counted["upsample_bilinear2d"]) == ours
    assert sum(torch_counts(divided, x).values()) == built("elastic", layer, TORCH).net == 2 * ours.conv
    assert sum(authors_counts(divided, x).values()) == built("elastic", layer, CONVENTIONS["authors"]).net
    assert sum(p.numel() for p in divided.parameters()) == cost("elastic", layer).params
    if size % 12 == 0:
        assert ours.conv == cost("elastic", layer).flops < cost("single_scale", layer).flops


def test_device_dtype_layout_mode_and_frozen_weights_are_kept():
    conv = make(padding=1, groups=2).to(torch.bfloat16, memory_format=torch.channels_last).eval()
    conv.weight.requires_grad_(False)
    divided = ElasticConv2d.from_conv(conv, "1/2,1/2")
    for module in divided.modules():
        assert not module.training
    for branch in divided.branches:
        assert branch.conv.weight.is_contiguous(memory_format=torch.channels_last)
        assert not branch.conv.weight.requires_grad
        assert branch.conv.weight.dtype == torch.bfloat16
        assert branch.conv.padding_mode == "zeros"
    assert divided.branches[0].conv.bias.requires_grad
    meta = ElasticConv2d.from_conv(make(padding=1, device="meta"), "1/2,1/2")
    assert all(p.is_meta for p in meta.parameters())


def test_the_copy_does_not_share_memory():
    conv = make(padding=1)
    before = copy.deepcopy(conv.state_dict())
    divided = ElasticConv2d.from_conv(conv, "1/2,1/2")
    with torch.no_grad():
        for parameter in divided.parameters():
            parameter.zero_()
    assert all(torch.equal(conv.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("options", "split", "problem"),
    [
        ({"padding": 1, "stride": 2}, "1/2,1/2", "stride 2x2"),
        ({"padding": 1}, "1/3@1,2/3@1/2", r"share 1/3 of 16 input channels is 5\.33"),
        ({"padding": 1, "groups": 4}, "1/2,3/8,1/8", r"share 3/8 of 4 input channels in each group is 1\.50"),
        ({"padding": 1, "in_channels": 8, "out_channels": 8, "groups": 8}, "1/2,1/2", "8 groups of 1 input channel"),
        ({}, "1/2,1/2", "does not keep height and width"),
        ({"padding": "valid"}, "1/2,1/2", "does not keep height and width"),
        ({"padding": 1, "kernel_size": 2}, "1/2,1/2", "does not keep height and width"),
        ({"kernel_size": 1}, "1/2,1/2", "1x1"),
    ],
)
def test_what_cannot_be_divided_is_an_error_alone(options, split, problem):
    with pytest.raises(SplitError, match=problem):
        ElasticConv2d.from_conv(make(**options), split)


# --- a model


@pytest.mark.parametrize("split", ("1/2,1/2", "1/2,1/4,1/4"))
@pytest.mark.parametrize("cnn", CNNS)
def test_a_cnn_keeps_class_other_weights_and_shapes_and_costs_less(cnn, split):
    model = cnn().eval()
    before = copy.deepcopy(model)
    report = elasticize(model, split, input=(3, 64, 48))
    assert report.model is model
    assert type(model) is cnn
    assert [change.path for change in report.replaced] == CNNS[cnn]
    convs = [path for path, module in before.named_modules() if isinstance(module, nn.Conv2d)]
    assert sorted(CNNS[cnn] + [left.path for left in report.left]) == sorted(convs)
    for path, module in before.named_modules():
        if path not in CNNS[cnn]:
            assert type(model.get_submodule(path)) is type(module)
    old, new = before.state_dict(), model.state_dict()
    kept = [name for name in old if name.rpartition(".")[0] not in CNNS[cnn]]
    assert all(torch.equal(new[name], old[name]) for name in kept)
    assert sum(p.numel() for p in before.parameters()) == sum(p.numel() for p in model.parameters()) == report.params

    x = torch.zeros(1, 3, 64, 48)
    tools = [(fvcore_counts(m, x)[0], sum(torch_counts(m, x).values())) for m in (before, model)]
    (fvcore_before, torch_before), (fvcore_after, torch_after) = tools
    assert fvcore_after["conv"] < fvcore_before["conv"]
    assert sum(fvcore_before.values()) - sum(fvcore_after.values()) == report.saved > 0
    assert (report.macs_before, report.macs_after) == (torch_before // 2, torch_after // 2)

    for size in ((64, 48), (50, 66), (34, 38)):
        images = torch.randn(2, 3, *size)
        y, z = before(images), model(images)
        if isinstance(y, dict):
            y, z = y["map"], z["map"]
        assert y.shape == z.shape
        assert not torch.equal(y, z)
        assert z.isfinite().all()


@pytest.mark.parametrize("convention", ("macs", "fvcore", "torch", "authors"))
def test_a_change_is_what_the_tool_counts_on_the_module(convention):
    model = Residual().eval()
    before = copy.deepcopy(model)
    report = elasticize(model, "1/2,1/4@1/2,1/4@1/3", input=(3, 62, 94), convention=convention)
    assert report.replaced
    assert (report.convention, report.unit) == (convention, CONVENTIONS[convention].unit)
    tool = {"macs": "torch", "fvcore": "fvcore"}.get(convention, convention)
    counter = {"fvcore": lambda m, x: fvcore_counts(m, x)[0], "torch": torch_counts, "authors": authors_counts}[tool]
    for change in report.replaced:
        for side, count in ((before, change.before), (model, change.after)):
            module = side.get_submodule(change.path)
            counted = sum(sum(counter(module, torch.zeros(1, *x)).values()) for x, _ in change.calls)
            assert count == counted // (2 if convention == MACS.name else 1)
    assert len(report.replaced[-1].calls) == 2


def test_gradients_flow_and_the_model_learns():
    model = VGG()
    elasticize(model, "1/2,1/4,1/4", input=(3, 32, 32))
    assert all(module.training for module in model.modules())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    images, labels = torch.randn(10, 3, 27, 33), torch.arange(10) % 5
    losses = []
    for _ in range(15):
        loss = F.cross_entropy(model.features(images).flatten(1)[:, :5], labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.features[2].parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2


def test_trial_runs_leave_modes_buffers_and_random_numbers_alone():
    class Counting(VGG):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x):
            self.calls += 1
            torch.rand(1)
            return super().forward(x)

    model = Counting()
    model.features[3].eval()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state = torch.get_rng_state()
    assert elasticize(model, input=(3, 32, 32)).replaced
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name, module in model.named_modules() if not module.training] == ["features.3"]
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, buffers[name]), name


def test_a_state_dict_from_before_still_loads():
    plain, model = Residual(), Residual()
    elasticize(model, "1/2,1/4,1/4", input=(3, 64, 64))
    old = plain.state_dict()
    names = list(old)
    model.load_state_dict(old)
    assert list(old) == names
    elasticize(plain, "1/2,1/4,1/4", input=(3, 64, 64))
    assert {"conv2.at1.conv.bias", "conv2.at4.conv.weight"} <= set(plain.state_dict())
    for name, tensor in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)
    del old["conv2.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*conv2\.at1\.conv\.weight"):
        model.load_state_dict(old)


# --- what is left, and why


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


# --- errors change nothing


class Reads(VGG):
    """Also uses a weight without its module."""

    def forward(self, x):
        return super().forward(x) + self.features[2].weight.sum()


@pytest.mark.parametrize(
    ("make_model", "options", "error", "problem"),
    [
        (VGG, {"split": "1/2,1/3"}, SplitError, "must add up to 1"),
        (VGG, {"split": "halves"}, SplitError, "cannot read branch"),
        (VGG, {"split": parse_split("1/2,1/2", "trained", "trained")}, SplitError, "adds parameters"),
        (VGG, {"convention": "fvcor"}, UnknownNameError, "fvcor"),
        (VGG, {"input": (4, 32, 32)}, ShapeError, "does not run on an image of 4x32x32"),
        (VGG, {"where": lambda path, conv: 1 / 0}, ZeroDivisionError, "division"),
        (Reads, {}, SpecError, "cannot run with its convolutions replaced"),
        (lambda: nn.Sequential(nn.LazyConv2d(8, 3, padding=1)), {}, SpecError, "lazy"),
        (lambda: nn.Conv2d(8, 8, 3, padding=1), {}, SpecError, "alone"),
    ],
)
def test_an_error_leaves_the_model_as_it_was(make_model, options, error, problem):
    model = make_model().train()
    modules = dict(model.named_modules())
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with pytest.raises(error, match=problem) as raised:
        elasticize(model, **{"input": (3, 32, 32), **options})
    if issubclass(error, SpecError) and problem != "must add up to 1":
        assert raised.value.hint
    assert dict(model.named_modules()) == modules
    assert all(module.training and not module._forward_hooks for module in modules.values())
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in model.named_buffers())


# --- tools


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


def test_the_report_is_a_value_that_prints():
    model = VGG()
    report = elasticize(model, Split(parse_split("1/2,1/2").branches, up="nearest"), input=(3, 32, 32))
    assert "Linear" not in repr(report)
    assert report.input == Shape(3, 32, 32)
    assert all(isinstance(change, Change) and change.after < change.before for change in report.replaced)
    assert model.features[2].at2.up.mode == "nearest"
    with pytest.raises(FrozenInstanceError):
        report.params = 0
