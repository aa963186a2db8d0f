"""A family of its own, in one file: what ``tests/test_family.py`` adds to the package's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Self

from elastic_search.arch.blocks import image_stem, split_sum
from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families import Published
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.initial import ONE, ZERO, Initial, he_fan_in
from elastic_search.arch.ops import Conv, Op
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split
from elastic_search.errors import SpecError


@dataclass(frozen=True, repr=False)
class Toy(Spec):
    """Grouped 3 × 3 convolutions in a row; ``Stage.width`` is their channels.

    Attributes:
        groups: paths of a block.
        stem: as everywhere.
    """

    groups: int = 4
    stem: str = "imagenet"

    RANK = 9
    BLOCK_KIND = "toy block"

    def check_widths(self) -> None:
        for i, stage in enumerate(self.stages):
            if stage.width < 1 or stage.width % self.groups:
                raise SpecError(f"width {stage.width} at {self.stage_name(i)} is not a multiple of {self.groups} paths")

    def paths(self, stage: int) -> int:
        return self.groups

    @property
    def stem_channels(self) -> int:
        return self.groups

    def out_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width

    def stem_graph(self) -> Graph:
        return image_stem(self.stem, self.groups, self.in_channels)

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        return _block(in_channels, self.stages[stage].width, self.groups, self.stride(stage, block), split)

    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        return (he_fan_in(op) if isinstance(op, Conv) else ONE), ZERO

    def scaled(self, factor: Fraction) -> Self:
        widths = (max(1, round(stage.width // self.groups * factor)) * self.groups for stage in self.stages)
        return replace(
            self, stages=tuple(replace(s, width=width) for s, width in zip(self.stages, widths, strict=True))
        )


@lru_cache
def _block(in_channels: int, width: int, groups: int, stride: int, split: Split) -> Graph:
    def body(b: Builder, x: str, branch: Branch) -> str:
        paths = (branch.share * groups).numerator
        y = b.conv_bn_relu(1, x, in_channels, width // groups * paths, stride=stride)
        inner = width // groups * paths
        return b.conv(
            "conv2", b.conv("grouped", y, inner, inner, 3, groups=paths, dilation=branch.dilation), inner, width
        )

    b = Builder("toy block", "x")
    return b.done(b.relu("relu", b.bn("bn", split_sum(b, "x", split, in_channels, width, body), width)))


def toy(depths: tuple[int, ...]) -> Toy:
    return Toy(tuple(Stage(8 * 2**i, (PLAIN,) * depth) for i, depth in enumerate(depths)))


FAMILY = Toy
PUBLISHED = {
    "toy9": Published(lambda: toy((2, 2, 2, 2)), elastic="toy9_elastic"),
    "toy9_elastic": Published(lambda: elastic(toy((2, 2, 2, 2)), HALVES)),
}
