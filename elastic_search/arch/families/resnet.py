"""ResNet: of basic blocks in its shallow forms, of bottlenecks in its deep and its wide ones.

He et al. 2016; Zagoruyko and Komodakis 2016. A bottleneck of one path is a ``ResNeXt``'s (with the stride in the 3 × 3,
as in torchvision's), so the spec of this file is that of basic blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Self

from elastic_search.arch import ops
from elastic_search.arch.blocks import image_stem, projection, split_sum
from elastic_search.arch.families import Published, multi_label
from elastic_search.arch.families.resnext import ResNeXt, resnext
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.initial import DEFAULT, ONE, ZERO, Initial, he_fan_out
from elastic_search.arch.ops import Conv, Linear, Op
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split


@dataclass(frozen=True, repr=False)
class ResNet(Spec):
    """A ResNet of basic blocks: two 3 × 3 convolutions; every stage but the first halves the resolution.

    ``Stage.width`` is a stage's channels. A block has one path: its split cannot divide it, only move it to a lower
    resolution as a whole.

    Attributes:
        stem_width: channels after the stem.
        stem: "imagenet" (7 × 7 of stride 2, max-pool) or "small" (3 × 3 of stride 2).

    Raises:
        SpecError: if a value is out of range, or a split stands on a block that cannot be elastic.
        SplitError: if a split divides a block.
    """

    stem_width: int = 64
    stem: str = "imagenet"

    RANK = 2
    BLOCK_KIND = "basic block"
    LAST_CONV = "conv2"

    def paths(self, stage: int) -> int:
        return 1

    @property
    def stem_channels(self) -> int:
        return self.stem_width

    def out_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width

    def stem_graph(self) -> Graph:
        return image_stem(self.stem, self.stem_width, self.in_channels)

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        return _basic_block(in_channels, self.stages[stage].width, self.stride(stage, block), split)

    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        """torchvision's: He normal by fan-out; the classifier keeps PyTorch's default."""
        match op:
            case Conv():
                return he_fan_out(op), DEFAULT
            case Linear():
                return DEFAULT, DEFAULT
        return ONE, ZERO

    def scaled(self, factor: Fraction) -> Self:
        stages = tuple(replace(stage, width=max(1, round(stage.width * factor))) for stage in self.stages)
        return replace(self, stages=stages, stem_width=max(1, round(self.stem_width * factor)))


@lru_cache(maxsize=4096)
def _basic_block(in_channels: int, width: int, stride: int, split: Split) -> Graph:
    def body(b: Builder, x: str, branch: Branch) -> str:
        y = b.conv_bn_relu(1, x, in_channels, width, 3, stride=stride, dilation=branch.dilation)
        return b.conv("conv2", y, width, width, 3, dilation=branch.dilation)

    b = Builder("basic block", "x")
    y = b.bn("bn2", split_sum(b, "x", split, in_channels, width, body), width)
    projects = stride > 1 or in_channels != width
    shortcut = b.add("shortcut", projection(in_channels, width, stride), "x") if projects else "x"
    return b.done(b.relu("relu", b.add("add", ops.Add(), y, shortcut)))


def resnet(depths: tuple[int, ...]) -> ResNet:
    """A ResNet of basic blocks with 64, 128, … channels."""
    return ResNet(tuple(Stage(64 * 2**i, (PLAIN,) * depth) for i, depth in enumerate(depths)))


def _bottlenecks(depths: tuple[int, ...], width: int = 64) -> ResNeXt:
    """A ResNet of bottlenecks with 256, 512, … channels, whose 3 × 3 has ``width`` of them in the first stage."""
    return resnext(depths, path_width=width, cardinality=1, expansion=256 // width)


FAMILY = ResNet
PUBLISHED = {
    "resnet101": Published(lambda: _bottlenecks((3, 4, 23, 3)), (3,)),
    "resnet18": Published(lambda: resnet((2, 2, 2, 2))),
    "resnet34": Published(lambda: resnet((3, 4, 6, 3))),
    "resnet50": Published(lambda: _bottlenecks((3, 4, 6, 3))),
    "resnet152": Published(lambda: _bottlenecks((3, 8, 36, 3))),
    "wide_resnet50_2": Published(lambda: _bottlenecks((3, 4, 6, 3), 128)),
    "wide_resnet101_2": Published(lambda: _bottlenecks((3, 4, 23, 3), 128)),
}
PUBLISHED |= multi_label(PUBLISHED, resnet101=(3,))
