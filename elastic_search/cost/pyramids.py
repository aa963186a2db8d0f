"""Table 1 of Wang et al. 2019 (ELASTIC): what one multi-scale convolution costs, in exact rationals. No torch.

The input is n × n × c and the kernel k × k. Branch i of q has b_i and r_i: it works on c / b_i channels at
1 / r_i of the resolution. The formulas are the paper's, times the output channels. ``graph`` is the real
layer of each kind: ``built`` counts from it what Table 1 leaves out, the resampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from elastic_search.arch import blocks, ops
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.ops import Shape
from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import SpecError, SplitError, UnknownNameError

MAX_LENGTH = 1 << 20  # far above any real layer, and low enough that every count can still be shown as a float


class Ratios(NamedTuple):
    """Branching ratio b and scaling ratio r of a branch."""

    b: Fraction
    r: Fraction


@dataclass(frozen=True)
class Layer:
    """The sizes that Table 1's formulas take.

    Attributes:
        n: height and width of the input, in elements.
        c: channels of the input.
        k: height and width of the kernel.
        branches: b_i and r_i, both at least 1 (r_i = 1 is a branch at full resolution); the 1 / b_i add up to 1.
        out: output channels; Table 1 is for one.
    """

    n: int
    c: int
    k: int
    branches: tuple[Ratios, ...]
    out: int = 1

    def __post_init__(self) -> None:
        lengths = {"size": self.n, "channels": self.c, "kernel": self.k, "out-channels": self.out}
        for name, value in lengths.items():
            if not 1 <= value <= MAX_LENGTH:
                raise SpecError(f"{name} {value}: must be 1 to {MAX_LENGTH}", f"try {min(max(value, 1), MAX_LENGTH)}")
        branches = tuple(Ratios(Fraction(b), Fraction(r)) for b, r in self.branches)
        object.__setattr__(self, "branches", branches)
        for b, r in branches:
            if b < 1 or r < 1:
                raise SplitError(f"b = {b}, r = {r}: both must be at least 1", "b is 1 / share, r is 1 / scale")
        if sum(1 / b for b, _ in branches) != 1:
            raise SplitError(f"shares {', '.join(str(1 / b) for b, _ in branches)} must add up to 1")

    @property
    def q(self) -> int:
        """Number of branches."""
        return len(self.branches)


def split_ratios(split: Split) -> tuple[Ratios, ...]:
    """b_i and r_i of a split's branches: b is 1 / share, r is 1 / scale."""
    for branch in split.branches:
        if branch.dilation > 1:
            raise SplitError(
                f"branch {branch}: Table 1 has no dilation, only b and r",
                f"leave out ~{branch.dilation}; the dilated filter pyramid uses r as its dilation",
            )
    return tuple(Ratios(1 / branch.share, Fraction(branch.factor)) for branch in split.branches)


class Cost(NamedTuple):
    """A row of Table 1 for one layer: multiply-adds and parameters, whole only where the sizes allow it."""

    flops: Fraction
    params: Fraction


def _slice(layer: Layer, at: Ratios) -> int:
    """Channels of a branch."""
    share = 1 / at.b
    channels = share * layer.c
    if channels.denominator != 1:
        raise SplitError(
            f"share {share} of {layer.c} channels is {float(channels):.2f} channels",
            f"choose a number of channels divisible by {share.denominator}",
        )
    return channels.numerator


def _factor(at: Ratios) -> int:
    if at.r.denominator != 1:
        raise SplitError(f"a real layer cannot have r = {at.r}", "choose a whole r; only the formulas accept fractions")
    return at.r.numerator


def _conv(b: Builder, x: str, channels: int, out: int, kernel: int, dilation: int = 1) -> str:
    """A convolution that keeps the size, with any kernel."""
    reach = dilation * (kernel - 1)
    if reach % 2:  # padding is the same on both sides, so an even kernel needs one more row and column first
        x = b.add("pad_even", ops.Pad(extra=1, mode="constant"), x)
    return b.add("conv", ops.Conv(channels, out, kernel, padding=reach // 2, dilation=dilation), x)


def _plain(layer: Layer, channels: int, kernel: int, dilation: int = 1) -> Graph:
    b = Builder("convolution", "x")
    return b.done(_conv(b, "x", channels, layer.out, kernel, dilation))


def _resampled(kind: str, channels: int, factor: int, out: int, work: Callable[[Builder, str], str]) -> Graph:
    """``work`` on a map at 1 / factor of the resolution; its ``out`` channels are brought back to the input's size."""
    b = Builder(kind, "x")
    if factor == 1:
        return b.done(work(b, "x"))
    y = work(b, blocks.down(b, "x", channels, factor, "avgpool"))
    return b.done(blocks.up(b, y, "x", out, factor, "bilinear"))


def _single_scale(layer: Layer) -> Graph:
    b = Builder("single_scale", "x")
    return b.done(b.add("layer", _plain(layer, layer.c, layer.k), "x"))


def _feature_pyramid(layer: Layer, join: str) -> Graph:
    """Maps of the input at every scale, brought back to n × n and joined before the convolution."""
    b = Builder(f"feature_pyramid_{join}", "x")
    levels = []
    for i, factor in enumerate(map(_factor, layer.branches)):
        level = _resampled("level", layer.c, factor, layer.c, lambda b, x: x)
        levels.append("x" if factor == 1 else b.add(f"level{i}", level, "x"))
    joined, channels = (ops.Concat(), layer.q * layer.c) if join == "concat" else (ops.Add(), layer.c)
    return b.done(b.add("layer", _plain(layer, channels, layer.k), b.add("join", joined, *levels)))


def _branches(kind: str, layer: Layer, branch: Callable[[int, int], Graph]) -> Graph:
    """Sum of ``branch(channels, factor)`` on each slice of the channels; the slices are the inputs."""
    b = Builder(kind, *[f"x{i}" for i in range(layer.q)])
    outputs = [
        b.add(f"branch{i}", branch(_slice(layer, at), _factor(at)), f"x{i}") for i, at in enumerate(layer.branches)
    ]
    return b.done(b.add("sum", ops.Add(), *outputs) if layer.q > 1 else outputs[0])


def _elastic_branch(layer: Layer, channels: int, factor: int) -> Graph:
    return _resampled("branch", channels, factor, layer.out, lambda b, x: _conv(b, x, channels, layer.out, layer.k))


def _ck2(x: Layer) -> Fraction:
    return Fraction(x.c * x.k**2)


def _n2ck2(x: Layer) -> Fraction:
    return x.n**2 * _ck2(x)


class Method(NamedTuple):
    """A row of Table 1: title, FLOPs and parameters per output channel, and the real layer."""

    title: str
    flops: Callable[[Layer], Fraction]
    params: Callable[[Layer], Fraction]
    build: Callable[[Layer], Graph]


METHODS: dict[str, Method] = {
    "single_scale": Method("Single scale", _n2ck2, _ck2, _single_scale),
    "feature_pyramid_concat": Method(
        "Feature pyramid (concat)",
        lambda x: x.q * _n2ck2(x),
        lambda x: x.q * _ck2(x),
        lambda x: _feature_pyramid(x, "concat"),
    ),
    "feature_pyramid_add": Method("Feature pyramid (add)", _n2ck2, _ck2, lambda x: _feature_pyramid(x, "add")),
    "filter_pyramid_standard": Method(
        "Filter pyramid (standard)",
        lambda x: sum((x.n**2 * x.c * (x.k * r) ** 2 / b for b, r in x.branches), Fraction()),
        lambda x: sum((x.c * (x.k * r) ** 2 / b for b, r in x.branches), Fraction()),
        lambda x: _branches("filter_pyramid_standard", x, lambda c, r: _plain(x, c, x.k * r)),
    ),
    "filter_pyramid_dilated": Method(
        "Filter pyramid (dilated)",
        _n2ck2,
        _ck2,
        lambda x: _branches("filter_pyramid_dilated", x, lambda c, r: _plain(x, c, x.k, r)),
    ),
    "elastic": Method(
        "Elastic",
        lambda x: sum(((x.n / r) ** 2 * _ck2(x) / b for b, r in x.branches), Fraction()),
        _ck2,
        lambda x: _branches("elastic", x, lambda c, r: _elastic_branch(x, c, r)),
    ),
}


def cost(name: str, layer: Layer) -> Cost:
    """A row of Table 1, times the layer's output channels.

    Args:
        name: a key of ``METHODS``.
        layer: the sizes; fractional b and r are fine.
    """
    if name not in METHODS:
        raise UnknownNameError("method", name, list(METHODS))
    method = METHODS[name]
    return Cost(layer.out * method.flops(layer), layer.out * method.params(layer))


def graph(name: str, layer: Layer) -> Graph:
    """The real layer; its inputs are the map ``x``, or slices ``x0``, ``x1``, … where each branch has its own.

    A size that r does not divide is padded on the way down and cropped on the way up, as in an Elastic block.

    Raises:
        SplitError: if an r is not whole, or a share of the channels is not.
    """
    return METHODS[name].build(layer)


def inputs(name: str, layer: Layer) -> tuple[Shape, ...]:
    """Shapes of the inputs that ``graph`` takes, for one image: c channels, or c / b_i for each slice."""
    sliced = graph(name, layer).inputs != ("x",)
    channels = [_slice(layer, at) for at in layer.branches] if sliced else [layer.c]
    return tuple(Shape(width, layer.n, layer.n) for width in channels)


class Built(NamedTuple):
    """What a real layer costs under a convention, for one image: its convolutions, and everything else."""

    conv: int
    resampling: int

    @property
    def net(self) -> int:
        return self.conv + self.resampling


def built(name: str, layer: Layer, convention: Convention = FVCORE) -> Built:
    """Count the real layer: ``conv`` is Table 1's FLOPs where every r divides n (twice that for torch)."""
    whole, counts = graph(name, layer), []
    shapes = whole.shapes(*inputs(name, layer))
    for node in whole.nodes:
        if isinstance(node.op, Graph):  # the Add or Concat that joins them is free in every convention
            counts.append(tally(node.op, shapes[node.inputs[0]], convention))
    conv = sum(row.cost.total for part in counts for row in part.rows if row.kind == ops.Conv.__name__)
    return Built(conv, sum(part.total for part in counts) - conv)


RELATIVE = ("macs", "params", "net")
"""Costs that ``table1`` compares with the single scale's."""


def table1(layer: Layer, convention: Convention) -> list[dict[str, Any]]:
    """A row for each method of Table 1, in exact whole numbers and Fractions.

    ``macs`` and ``params`` are the paper's formulas; ``conv``, ``resampling`` and ``net`` count the real layer
    under the convention. ``*_relative`` is the quotient with the single scale's.
    """
    rows: list[dict[str, Any]] = []
    for name, method in METHODS.items():
        formula, real = cost(name, layer), built(name, layer, convention)
        row: dict[str, Any] = {"method": name, "title": method.title, "macs": formula.flops, "params": formula.params}
        row |= {"conv": real.conv, "resampling": real.resampling, "net": real.net}
        single = rows[0] if rows else row
        rows.append(row | {f"{key}_relative": Fraction(row[key]) / single[key] for key in RELATIVE})
    return rows
