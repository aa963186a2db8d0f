"""DLA-X: deep layer aggregation with grouped bottlenecks, plain and Elastic.

Yu et al. 2018; Wang et al. 2019, section 3.3. A level is a binary tree of blocks whose roots aggregate by
concatenation. The published networks hold projections whose result is never read; the graph has them, as dead
nodes, since the paper's parameters and its counter include them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Self

from elastic_search.arch import ops
from elastic_search.arch.blocks import bottleneck_path, projection, split_sum
from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families import Published, multi_label
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.initial import DEFAULT, ONE, ZERO, Initial, he_fan_out
from elastic_search.arch.ops import Conv, Op
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split
from elastic_search.errors import SpecError

PATHS = 32
"""Paths of a block whose inner width is its stage's width."""


@dataclass(frozen=True, repr=False)
class DLA(Spec):
    """A DLA-X: levels 2, 3, … are trees of bottlenecks, each entered with stride 2.

    ``Stage.width`` is a level's channels. A level of depth d is a tree of depth d: 2^d blocks, of which the first
    has stride 2; ``splits`` are in execution order.

    Attributes:
        cardinality: paths of a block; its inner width is width · cardinality / 32.
        residual_root: whether roots add the last block's output.
        stem_width: channels of the base layer and level 0; level 1 has twice as many.
        stem: "imagenet" (7 × 7 at full resolution) or "small" (3 × 3 in its place, no level 0).

    Raises:
        SpecError: if a value is out of range, or a split stands on a block that cannot be elastic.
    """

    cardinality: int = 32
    residual_root: bool = False
    stem_width: int = 16
    stem: str = "imagenet"

    RANK = 3
    FIRST_STAGE = 2
    BLOCK_KIND = "bottleneck"
    RELEASED_NAMES = (
        (r"^stem\.conv_base\.", "base_layer.0."),
        (r"^stem\.bn_base\.", "base_layer.1."),
        (r"^stem\.conv(\d)\.", r"level\1.0."),
        (r"^stem\.bn(\d)\.", r"level\1.1."),
        (r"\.project\.conv\.", ".project.0."),
        (r"\.project\.bn\.", ".project.1."),
        (r"^head\.", ""),
    )
    STAGE_WORD = "level"
    IS_CHAIN = False
    WHY_DEAD = "the first subtree projects for itself; the published networks hold and count them all the same"

    def check_widths(self) -> None:
        for i, stage in enumerate(self.stages):
            if stage.width < PATHS or stage.width % PATHS:
                raise SpecError(f"width {stage.width} at {self.stage_name(i)} is not a multiple of {PATHS}")
            if stage.splits and len(stage.splits) != 2 ** self.depth(i):
                raise SpecError(f"{len(stage.splits)} blocks at {self.stage_name(i)}: a tree has 2, 4, 8, …")

    @staticmethod
    def blocks(depth: int) -> int:
        return int(2**depth)

    def depth(self, stage: int) -> int:
        return len(self.stages[stage].splits).bit_length() - 1

    def stride(self, stage: int, block: int) -> int:
        return 2 if block == 0 else 1

    def paths(self, stage: int) -> int:
        return self.cardinality

    @property
    def stem_channels(self) -> int:
        return 2 * self.stem_width

    def out_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width

    def stem_graph(self) -> Graph:
        return _stem(self.stem, self.stem_width, self.in_channels)

    def stage_graph(self, stage: int, in_channels: int) -> Graph:
        this = self.stages[stage]
        level_root = stage > 0
        return _tree(
            in_channels, this.width, 2, level_root, (), this.splits, self.cardinality, self.residual_root, "stage"
        )

    def classifier_graph(self, in_channels: int, classes: int) -> Graph:
        return _classifier(in_channels, classes)

    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        """He normal by fan-out; biases keep PyTorch's default."""
        if isinstance(op, Conv):
            return he_fan_out(op, 1 if path.endswith(".conv3") else halves), DEFAULT
        return ONE, ZERO

    def scaled(self, factor: Fraction) -> Self:
        stages = tuple(
            replace(stage, width=max(1, round(stage.width // PATHS * factor)) * PATHS) for stage in self.stages
        )
        return replace(self, stages=stages, stem_width=max(1, round(self.stem_width * factor)))


@lru_cache(maxsize=64)
def _stem(kind: str, width: int, in_channels: int) -> Graph:
    b = Builder("stem", "x")
    if kind == "small":
        y = b.conv_bn_relu("_base", "x", in_channels, width, 3)
    else:
        y = b.conv_bn_relu("_base", "x", in_channels, width, 7)
        y = b.conv_bn_relu("0", y, width, width, 3)
    return b.done(b.conv_bn_relu("1", y, width, 2 * width, 3, stride=2))


@lru_cache(maxsize=64)
def _classifier(channels: int, classes: int) -> Graph:
    b = Builder("head", "x")
    y = b.add("pool", ops.GlobalPool("window"), "x")
    y = b.conv("fc", y, channels, classes, bias=True)
    return b.done(b.add("flatten", ops.Flatten(), y))


@lru_cache(maxsize=4096)
def _block(in_channels: int, width: int, paths: int, stride: int, split: Split) -> Graph:
    """A bottleneck whose residual comes from outside; the sum of its branches stands before its last BN."""

    def body(b: Builder, x: str, branch: Branch) -> str:
        return bottleneck_path(b, x, branch, in_channels, width // PATHS * paths, width, paths, stride)

    b = Builder("bottleneck", "x", "residual")
    y = split_sum(b, "x", split, in_channels, width, body)
    y = b.bn("bn3", y, width)
    return b.done(b.relu("relu", b.add("add", ops.Add(), y, "residual")))


@lru_cache(maxsize=1024)
def _root(channels: tuple[int, ...], width: int, residual: bool) -> Graph:
    """Concatenation of the last block, the one before and the children; 1 × 1, BN, (+ the last block,) ReLU."""
    names = tuple(f"x{i}" for i in range(len(channels)))
    b = Builder("root", *names)
    y = b.add("concat", ops.Concat(), *names)
    y = b.bn("bn", b.conv("conv", y, sum(channels), width), width)
    if residual:
        y = b.add("add", ops.Add(), y, names[0])
    return b.done(b.relu("relu", y))


@lru_cache(maxsize=4096)
def _tree(
    in_channels: int, width: int, stride: int, level_root: bool, children: tuple[int, ...],
    splits: tuple[Split, ...], paths: int, residual_root: bool, kind: str = "tree",
) -> Graph:  # fmt: skip
    """A tree of 2, 4, 8, … blocks. Cached.

    Args:
        in_channels: channels of the input.
        width: channels of the output.
        stride: of the first block.
        level_root: whether the down-sampled input joins the concatenation of the last root.
        children: channels of earlier outputs that the last root concatenates too.
        splits: one for each block, in execution order.
        paths: of a block.
        residual_root: whether roots add the last block's output.
        kind: of the graph.
    """
    names = tuple(f"child{i}" for i in range(len(children)))
    b = Builder(kind, "x", *names)
    bottom = b.add("down", ops.Pool("max", 2, 2, ceil=True), "x") if stride > 1 else "x"
    # The projection of an outer tree is never read: its first subtree projects for itself.
    residual = b.add("project", projection(in_channels, width), bottom) if in_channels != width else bottom
    joined, channels = names, children
    if level_root:
        joined, channels = (*joined, bottom), (*channels, in_channels)
    half = len(splits) // 2
    if half == 1:
        x1 = b.add("tree1", _block(in_channels, width, paths, stride, splits[0]), "x", residual)
        x2 = b.add("tree2", _block(width, width, paths, 1, splits[1]), x1, x1)
        root = _root((width, width, *channels), width, residual_root)
        return b.done(b.add("root", root, x2, x1, *joined))
    first = _tree(in_channels, width, stride, False, (), splits[:half], paths, residual_root)
    x1 = b.add("tree1", first, "x")
    second = _tree(width, width, 1, False, (*channels, width), splits[half:], paths, residual_root)
    return b.done(b.add("tree2", second, x1, *joined, x1))


def dla(depths: tuple[int, ...], *, cardinality: int = 32, residual_root: bool = False) -> DLA:
    """A plain DLA-X of 128, 256, … channels."""
    stages = tuple(Stage(128 * 2**i, (PLAIN,) * 2**depth) for i, depth in enumerate(depths))
    return DLA(stages, cardinality=cardinality, residual_root=residual_root)


FAMILY = DLA
PUBLISHED = {
    "dla_x60": Published(lambda: dla((1, 2, 3, 1)), (2, 5, 6, 7), "dla_x60_elastic"),
    "dla_x60_elastic": Published(lambda: elastic(dla((1, 2, 3, 1)), HALVES), (2, 5, 6, 7)),
    "dla_x102": Published(lambda: dla((1, 3, 4, 1), residual_root=True), (2,), "dla_x102_elastic"),
    "dla_x102_elastic": Published(lambda: elastic(dla((3, 3, 3, 1), cardinality=50, residual_root=True), HALVES), (2,)),
}
PUBLISHED |= multi_label(PUBLISHED, dla_x60=(3,), dla_x60_elastic=(3,))
