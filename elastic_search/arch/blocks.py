"""Pieces that the families share: resampled branches, squeeze-and-excite, the classifier."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from elastic_search.arch import ops
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.split import Branch, Split


def down(b: Builder, x: str, channels: int, factor: int, kind: str) -> str:
    """D_r of equation 3: pad to a multiple of the factor, then shrink by it.

    ``avgpool`` averages r × r windows; ``trained`` is a learned per-channel r × r convolution of stride r.
    """
    x = b.add("pad", ops.Pad(multiple=factor), x)
    if kind == "trained":
        return b.add("down", ops.Conv(channels, channels, factor, factor, groups=channels), x)
    return b.add("down", ops.Pool("avg", factor, factor), x)


def up(b: Builder, x: str, like: str, channels: int, factor: int, kind: str, spelling: str = "module") -> str:
    """U_r of equation 3: grow by the factor, then cut to the size of ``like``.

    ``trained`` is a learned per-channel 2r × 2r transposed convolution of stride r.
    """
    if kind == "trained":
        x = b.add("up", ops.ConvTranspose(channels, channels, 2 * factor, factor, factor // 2, channels), x)
    else:
        x = b.add("up", ops.Upsample(factor, kind), x, spelling=spelling)
    return b.add("crop", ops.Crop(), x, like)


def split_sum(
    b: Builder,
    x: str,
    split: Split,
    in_channels: int,
    out_channels: int,
    body: Callable[[Builder, str, Branch], str],
    spelling: str = "module",
) -> str:
    """Sum over i of U_ri(T_i(D_ri(x))), equation 3: one nested graph per branch.

    Args:
        b: builder of the block.
        x: the block's input.
        split: the branches and their resampling.
        in_channels: channels of ``x``.
        out_channels: channels that every branch's body returns.
        body: adds T_i, the layers of a branch, and returns their output.
        spelling: "function" where the authors up-sample by a function instead of a module.
    """
    outputs = []
    for branch in split.branches:
        inner = Builder("branch", "x")
        low = branch.factor > 1
        y = down(inner, "x", in_channels, branch.factor, split.down) if low else "x"
        if branch.pooled:
            y = inner.add("pool", ops.Pool("avg", 3, 1, 1), y)
        y = body(inner, y, branch)
        if low:
            y = up(inner, y, "x", out_channels, branch.factor, split.up, spelling)
        outputs.append(b.add(branch.name, inner.done(y), x))
    return b.add("sum", ops.Add(), *outputs) if len(outputs) > 1 else outputs[0]


@lru_cache(maxsize=1024)
def squeeze_excite(channels: int, reduction: int) -> Graph:
    """Squeeze-and-excite: x · sigmoid(W2 · relu(W1 · mean(x)))."""
    b = Builder("squeeze-excite", "x")
    y = b.add("pool", ops.GlobalPool(), "x")
    y = b.conv("squeeze", y, channels, channels // reduction, bias=True)
    y = b.relu("relu", y)
    y = b.conv("excite", y, channels // reduction, channels, bias=True)
    y = b.add("sigmoid", ops.Sigmoid(), y)
    return b.done(b.add("gate", ops.Gate(), "x", y))


@lru_cache(maxsize=1024)
def classifier(channels: int, classes: int) -> Graph:
    """Global average pool and a linear layer."""
    b = Builder("head", "x")
    y = b.add("pool", ops.GlobalPool(), "x")
    y = b.add("flatten", ops.Flatten(), y)
    return b.done(b.add("fc", ops.Linear(channels, classes), y))


@lru_cache(maxsize=64)
def image_stem(kind: str, width: int, in_channels: int) -> Graph:
    """The stem of ResNet, ResNeXt and DenseNet: 7 × 7 of stride 2 and a max-pool, or ("small") a 3 × 3 of stride 2."""
    b = Builder("stem", "x")
    if kind == "small":
        return b.done(b.conv_bn_relu(1, "x", in_channels, width, 3, stride=2))
    y = b.conv_bn_relu(1, "x", in_channels, width, 7, stride=2)
    return b.done(b.add("pool", ops.Pool("max", 3, 2, 1), y))


@lru_cache(maxsize=1024)
def projection(in_channels: int, out_channels: int, stride: int = 1) -> Graph:
    """The shortcut of a block whose channels or resolution change: 1 × 1 convolution and BN."""
    b = Builder("shortcut", "x")
    return b.done(b.bn("bn", b.conv("conv", "x", in_channels, out_channels, stride=stride), out_channels))


def bottleneck_path(
    b: Builder, x: str, branch: Branch, in_channels: int, inner: int, out_channels: int, paths: int, stride: int
) -> str:
    """T_i of a grouped bottleneck: 1 × 1, BN, ReLU, grouped 3 × 3, BN, ReLU, 1 × 1.

    Args:
        b: builder of the branch.
        x: its input.
        branch: the share of the block's paths, and the dilation.
        in_channels: of ``x``.
        inner: channels of the whole block's 3 × 3.
        out_channels: of the block.
        paths: of the whole block.
        stride: of the 3 × 3.
    """
    groups = (branch.share * paths).numerator
    width = inner // paths * groups
    y = b.conv_bn_relu(1, x, in_channels, width)
    y = b.conv_bn_relu(2, y, width, width, 3, stride=stride, groups=groups, dilation=branch.dilation)
    return b.conv("conv3", y, width, out_channels)
