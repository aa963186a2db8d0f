"""One convolution, divided."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic_search.arch.split import parse_split
from elastic_search.cost.pyramids import Layer, built, cost, split_ratios
from elastic_search.cost.tools import CONVENTIONS, TORCH
from elastic_search.errors import SplitError
from elastic_search.nn.elastic.elastic_conv import ElasticConv2d
from elastic_search.nn.tools import authors_counts, fvcore_counts, torch_counts


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
