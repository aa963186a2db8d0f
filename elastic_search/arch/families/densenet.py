"""DenseNet, plain and Elastic.

Huang et al. 2017; Wang et al. 2019, section 3.3 and figure 3 (right). A dense layer's bottleneck is divided over the
branches; their outputs are added, and the sum is the layer's new features. The first normalisation is shared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Self

from elastic_search.arch import ops
from elastic_search.arch.blocks import image_stem, split_sum
from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families import Published, multi_label
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.initial import DEFAULT, ONE, ZERO, Initial, he_fan_out
from elastic_search.arch.ops import Conv, Linear, Op
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split


@dataclass(frozen=True, repr=False)
class DenseNet(Spec):
    """A DenseNet-BC with compression 1/2.

    ``Stage.width`` is the bottleneck's channels in the layers of a dense block (4 × growth in the paper); they are the
    paths that a split divides. A stage is a dense block and the transition after it; the last has none.

    Attributes:
        growth: new features of a layer.
        stem_width: features after the stem.
        stem: "imagenet" (7 × 7 of stride 2, max-pool) or "small" (3 × 3 of stride 2).

    Raises:
        SpecError: if a value is out of range, or a split stands on a block that cannot be elastic.
    """

    growth: int = 32
    stem_width: int = 64
    stem: str = "imagenet"

    RANK = 4
    STAGE_WORD = "block"
    BLOCK_KIND = "dense layer"
    LAST_CONV = "conv2"
    RELEASED_NAMES = (
        (r"^stem\.conv1\.", "features.conv0."),
        (r"^stem\.bn1\.", "features.norm0."),
        (r"^block(\d+)\.transition\.", r"features.transition\1."),
        (r"^block(\d+)\.(\d+)\.", lambda found: f"features.denseblock{found[1]}.denselayer{int(found[2]) + 1}."),
        (r"\.bn1\.", ".norm2."),
        (r"^head\.norm5\.", "features.norm_final."),
        (r"^head\.fc\.", "classifier."),
    )

    def stride(self, stage: int, block: int) -> int:
        return 1

    def paths(self, stage: int) -> int:
        return self.stages[stage].width

    @property
    def stem_channels(self) -> int:
        return self.stem_width

    def out_channels(self, stage: int, in_channels: int) -> int:
        channels = in_channels + self.growth * len(self.stages[stage].splits)
        return channels if stage == len(self.stages) - 1 else channels // 2

    def stem_graph(self) -> Graph:
        return image_stem(self.stem, self.stem_width, self.in_channels)

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        return _layer(in_channels, self.stages[stage].width, self.growth, split)

    def block_channels(self, stage: int, in_channels: int) -> int:
        return in_channels + self.growth

    def tail_graph(self, stage: int, in_channels: int) -> Graph | None:
        return _transition(in_channels) if stage < len(self.stages) - 1 else None

    def classifier_graph(self, in_channels: int, classes: int) -> Graph:
        return _classifier(in_channels, classes)

    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        """He normal by fan-out; the classifier keeps PyTorch's default but for a bias of 0."""
        match op:
            case Conv():
                return he_fan_out(op, 1 if path.endswith(".conv2") else halves), DEFAULT
            case Linear():
                return DEFAULT, ZERO
        return ONE, ZERO

    def scaled(self, factor: Fraction) -> Self:
        growth = max(1, round(self.growth * factor))
        # The smallest number of channels that all of this network's splits divide, so that shares stay whole.
        stages = []
        for stage in self.stages:
            whole = _denominator(stage.splits)
            stages.append(replace(stage, width=max(1, round(stage.width * factor / whole)) * whole))
        stem_width = max(1, round(self.stem_width * factor))
        return replace(self, stages=tuple(stages), growth=growth, stem_width=stem_width)


def _denominator(splits: tuple[Split, ...]) -> int:
    return lcm(*(branch.share.denominator for split in splits for branch in split.branches))


@lru_cache(maxsize=4096)
def _layer(channels: int, width: int, growth: int, split: Split) -> Graph:
    """BN, ReLU, then the branches of 1 × 1, BN, ReLU, 3 × 3; their sum is concatenated to the input."""

    def body(b: Builder, x: str, branch: Branch) -> str:
        inner = (branch.share * width).numerator
        y = b.conv_bn_relu(1, x, channels, inner)
        return b.conv("conv2", y, inner, growth, 3, dilation=branch.dilation)

    b = Builder("dense layer", "x")
    y = b.relu("relu1", b.bn("norm1", "x", channels))
    y = split_sum(b, y, split, channels, growth, body, spelling="function")
    return b.done(b.add("concat", ops.Concat(), "x", y))


@lru_cache(maxsize=1024)
def _transition(channels: int) -> Graph:
    b = Builder("transition", "x")
    y = b.relu("relu", b.bn("norm", "x", channels))
    y = b.conv("conv", y, channels, channels // 2)
    return b.done(b.add("pool", ops.Pool("avg", 2, 2), y))


@lru_cache(maxsize=1024)
def _classifier(channels: int, classes: int) -> Graph:
    b = Builder("head", "x")
    y = b.add("relu", ops.Relu(), b.bn("norm5", "x", channels), spelling="function")
    y = b.add("pool", ops.GlobalPool("window"), y, spelling="function")
    y = b.add("flatten", ops.Flatten(), y)
    return b.done(b.add("fc", ops.Linear(channels, classes), y))


def densenet(depths: tuple[int, ...], *, growth: int = 32) -> DenseNet:
    """A plain DenseNet-BC whose bottlenecks have 4 × growth channels."""
    return DenseNet(tuple(Stage(4 * growth, (PLAIN,) * depth) for depth in depths), growth=growth)


FAMILY = DenseNet
PUBLISHED = {
    "densenet201": Published(lambda: densenet((6, 12, 48, 32)), (2,), "densenet201_elastic"),
    "densenet201_elastic": Published(lambda: elastic(densenet((10, 20, 40, 30)), HALVES), (2,)),
}
PUBLISHED |= multi_label(PUBLISHED, densenet201=(3,), densenet201_elastic=(3,))
