"""A convolution divided over branches, as in Table 1. Wang et al. 2019, sections 3.1 and 3.2.

Branch i holds the weights of its share of the input channels and works at scale 1/r_i; the outputs are added, and the
bias is added once. So the parameters stay the same, in number and in value, and the output keeps its shape.

The functions marked for ``torch.fx`` are one node each in a symbolic trace; none costs a multiply-add. They and the
``forward`` methods keep to what ``torch.jit.script`` compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic_search.arch.split import Branch, Split, as_split, whole_groups
from elastic_search.errors import SplitError


def take_channels(x: Tensor, start: int, length: int, groups: int) -> Tensor:
    """Channels ``start`` to ``start + length`` of each group: [N, C, H, W] to [N, groups · length, H, W]."""
    if groups == 1:
        return x.narrow(1, start, length)
    return torch.unflatten(x, 1, (groups, x.shape[1] // groups)).narrow(2, start, length).flatten(1, 2)


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sizes are multiples."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(x, (0, right, 0, bottom), mode="replicate") if bottom or right else x


def crop_like(x: Tensor, like: Tensor) -> Tensor:
    """Cut ``x`` at the bottom and the right to the height and width of ``like``."""
    return x[..., : like.shape[-2], : like.shape[-1]]


for _name in ("take_channels", "pad_to_multiple", "crop_like"):
    torch.fx.wrap(_name)


class ElasticBranch(nn.Module):
    """U_r(T(D_r(x))) of equation 3, where T is a convolution of a share of the input channels.

    Args:
        conv: T, which takes ``length`` channels of each of its groups.
        branch: its scale; ``pooled`` puts a 3 × 3 average pool before the convolution.
        start: first of its channels in each group of the input.
        length: number of its channels in each group.
        up: "bilinear" or "nearest".
    """

    def __init__(self, conv: nn.Conv2d, branch: Branch, start: int, length: int, up: str) -> None:
        super().__init__()
        self.start, self.length, self.factor = start, length, branch.factor
        self.down = nn.AvgPool2d(branch.factor) if branch.factor > 1 else None
        self.pool = nn.AvgPool2d(3, 1, 1) if branch.pooled else None
        self.conv = conv
        self.up = nn.Upsample(scale_factor=float(branch.factor), mode=up) if branch.factor > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = take_channels(x, self.start, self.length, self.conv.groups)
        if self.down is not None:
            y = self.down(pad_to_multiple(y, self.factor))
        if self.pool is not None:
            y = self.pool(y)
        y = self.conv(y)
        return y if self.up is None else crop_like(self.up(y), x)


class ElasticConv2d(nn.Module):
    """A convolution of stride 1 whose input channels are divided over branches: [N, C, H, W] to [N, C_out, H, W].

    Children are named as the branches of an Elastic block: ``at1.conv``, ``at2.conv``, … The first branch holds the
    bias. A state dict of the plain convolution (``weight``, ``bias``) can be loaded too.

    A grouped convolution gives every branch all groups, with its share of the input channels of each.
    """

    # A script holds the branches as children; the compiler would read the property too.
    __jit_unused_properties__ = ("branches",)

    def __init__(self, conv: nn.Conv2d, split: Split) -> None:
        super().__init__()
        found = obstacle(conv, read_split(split))
        if found:
            raise SplitError(f"{conv} cannot be divided into {split}: {found[1]}")
        self.split = split
        self.in_channels, self.out_channels, self.groups = conv.in_channels, conv.out_channels, conv.groups
        self.kernel_size, self.stride, self.dilation = conv.kernel_size, conv.stride, conv.dilation
        self.padding, self.padding_mode = conv.padding, conv.padding_mode
        for i, (branch, start, length) in enumerate(shares(conv, split)):
            part = _part(conv, branch, start, length, bias=i == 0 and conv.bias is not None)
            self.add_module(branch.name, ElasticBranch(part, branch, start, length, split.up))
        self.register_load_state_dict_pre_hook(_divide_plain_weights)  # type: ignore[no-untyped-call]
        for module in self.modules():
            module.training = conv.training

    @classmethod
    def from_conv(cls, conv: nn.Conv2d, split: str | Split) -> ElasticConv2d:
        """The convolution with its weights copied over the branches; ``conv`` is left unchanged.

        Raises:
            SplitError: if the convolution cannot be divided in this way.
        """
        return cls(conv, read_split(split))

    @property
    def branches(self) -> tuple[ElasticBranch, ...]:
        return tuple(child for child in self.children() if isinstance(child, ElasticBranch))

    def forward(self, input: Tensor) -> Tensor:
        y: Tensor | None = None
        for branch in self.children():
            part: Tensor = branch(input)
            y = part if y is None else y + part
        assert y is not None
        return y

    def extra_repr(self) -> str:
        return f"split={self.split}"


def _divide_plain_weights(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Replace a plain convolution's entries in a state dict by those of the branches."""
    assert isinstance(module, ElasticConv2d)
    names = [branch.name for branch in module.split.branches]
    if f"{prefix}weight" in state:
        weight = state.pop(f"{prefix}weight")
        for name, branch in zip(names, module.branches, strict=True):
            state[f"{prefix}{name}.conv.weight"] = weight[:, branch.start : branch.start + branch.length]
    if f"{prefix}bias" in state:
        state[f"{prefix}{names[0]}.conv.bias"] = state.pop(f"{prefix}bias")


def read_split(split: str | Split) -> Split:
    """A split whose resampling has no weights.

    Raises:
        SplitError: if it is malformed, or its resampling is trained.
    """
    found = as_split(split)
    if "trained" in (found.down, found.up):
        raise SplitError(
            "trained resampling adds parameters, but an Elastic convolution has as many as the plain one",
            "use down avgpool and up bilinear or nearest",
        )
    return found


def shares(conv: nn.Conv2d, split: Split) -> Iterator[tuple[Branch, int, int]]:
    """Each branch, with the first of its channels in a group and their number."""
    start = 0
    for branch in split.branches:
        length = whole_groups(branch.share, conv.in_channels // conv.groups, "the input channels")
        yield branch, start, length
        start += length


@torch.no_grad()
def _part(conv: nn.Conv2d, branch: Branch, start: int, length: int, bias: bool) -> nn.Conv2d:
    """The branch's convolution: the weights of its input channels."""
    padding = conv.padding
    part = nn.Conv2d(
        conv.groups * length,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        padding=padding if isinstance(padding, str) else tuple(p * branch.dilation for p in padding),  # type: ignore[arg-type]
        dilation=tuple(d * branch.dilation for d in conv.dilation),  # type: ignore[arg-type]
        groups=conv.groups,
        bias=bias,
        padding_mode=conv.padding_mode,
        device="meta",
    )
    layout = torch.contiguous_format if conv.weight.is_contiguous() else torch.channels_last
    weight = conv.weight[:, start : start + length].clone(memory_format=layout)
    part.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    if bias:
        assert conv.bias is not None
        part.bias = nn.Parameter(conv.bias.clone(), requires_grad=conv.bias.requires_grad)
    return part


def reach(conv: nn.Conv2d, branch: Branch) -> tuple[int, int]:
    """Height and width that the branch's kernel covers."""
    high, wide = (branch.dilation * d * (k - 1) + 1 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))
    return high, wide


def obstacle(conv: nn.Conv2d, split: Split) -> tuple[str, str] | None:
    """Why a convolution cannot be divided at any input size: a key of ``REASONS`` and the details."""
    height, width = conv.kernel_size
    channels = conv.in_channels // conv.groups
    if max(conv.stride) > 1:
        return "stride", f"stride {conv.stride[0]}x{conv.stride[1]}"
    if height == width == 1:
        return "1x1", "kernel 1x1"
    kept = conv.padding == "same" or (
        not isinstance(conv.padding, str)
        and all(2 * p == d * (k - 1) for p, d, k in zip(conv.padding, conv.dilation, conv.kernel_size, strict=True))
    )
    if not kept:
        return "size", f"kernel {height}x{width} with padding {conv.padding} does not keep height and width"
    if conv.groups > 1 and channels == 1:
        return "depthwise", f"{conv.groups} groups of 1 input channel"
    for branch in split.branches:
        share = branch.share * channels
        if share.denominator != 1:
            each = " in each group" if conv.groups > 1 else ""
            return "indivisible", f"share {branch.share} of {channels} input channels{each} is {float(share):.2f}"
    return None
