"""ResNeXt and SE-ResNeXt, plain and Elastic.

Xie et al. 2017; Wang et al. 2019, section 3.3 and figure 3 (left). A block's paths are divided over
the branches of its split; the branches are summed *before* the block's last batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Self

from elastic_search.arch import ops
from elastic_search.arch.blocks import bottleneck_path, classifier, image_stem, projection, split_sum, squeeze_excite
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split
from elastic_search.errors import SpecError

STEMS = ("imagenet", "small")


@dataclass(frozen=True)
class ResNeXt(Spec):
    """A ResNeXt: stages of bottleneck blocks whose 3 × 3 is grouped; every stage but the first halves the resolution.

    ``Stage.width`` is the channels of the 3 × 3 convolutions, all paths together. A ResNet is the case of one path.

    Attributes:
        cardinality: paths (groups of the 3 × 3) per block.
        expansion: block output channels ÷ stage width.
        stem_width: channels after the stem.
        stem: "imagenet" (7 × 7 of stride 2, max-pool) or "small" (3 × 3 of stride 2).
        se_reduction: squeeze-and-excite bottleneck factor, 0 for none.

    Raises:
        SpecError: if a value is out of range, or a split stands on a block that cannot be elastic.
        SplitError: if a branch's share is not a whole number of paths.
    """

    cardinality: int = 32
    expansion: int = 2
    stem_width: int = 64
    stem: str = "imagenet"
    se_reduction: int = 0

    def __post_init__(self) -> None:
        for name in ("cardinality", "expansion", "stem_width", "classes"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} {getattr(self, name)}: must be at least 1")
        if self.stem not in STEMS:
            raise SpecError(f"stem {self.stem!r}: legal are {', '.join(STEMS)}")
        for i, stage in enumerate(self.stages):
            where = self.stage_name(i)
            if stage.width < 1 or stage.width % self.cardinality:
                raise SpecError(f"width {stage.width} at {where} is not a multiple of {self.cardinality} paths")
            if self.se_reduction < 0 or (self.se_reduction and stage.width * self.expansion < self.se_reduction):
                raise SpecError(f"se_reduction {self.se_reduction} leaves no channel at {where}")
        self.check_splits()

    def stride(self, stage: int, block: int) -> int:
        return 2 if stage > 0 and block == 0 else 1

    def paths(self, stage: int) -> int:
        return self.cardinality

    @property
    def stem_channels(self) -> int:
        return self.stem_width

    def out_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width * self.expansion

    def stem_graph(self) -> Graph:
        return image_stem(self.stem, self.stem_width)

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        width = self.stages[stage].width
        return bottleneck(
            in_channels, width, width * self.expansion, self.cardinality, self.stride(stage, block), split,
            self.se_reduction, block == 0,
        )  # fmt: skip

    def block_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width * self.expansion

    def head_graph(self, in_channels: int) -> Graph:
        return classifier(in_channels, self.classes)

    def scaled(self, factor: Fraction, stem: str, classes: int) -> Self:
        """The same depths, splits and types with narrower paths: the proxy of this network.

        Every path keeps at least one channel, so that all shares stay whole groups.
        """
        stages = tuple(
            replace(stage, width=max(1, round(stage.width // self.cardinality * factor)) * self.cardinality)
            for stage in self.stages
        )
        stem_width = max(1, round(self.stem_width * factor))
        return replace(self, stages=stages, stem_width=stem_width, stem=stem, classes=classes)


@lru_cache(maxsize=4096)
def bottleneck(
    in_channels: int, width: int, out_channels: int, paths: int, stride: int, split: Split,
    se_reduction: int, project: bool,
) -> Graph:  # fmt: skip
    """One block. Cached, so that equal blocks are one object and are counted once.

    Args:
        in_channels: channels of the input.
        width: channels of the 3 × 3, all branches together.
        out_channels: channels of the output.
        paths: groups of the 3 × 3, all branches together.
        stride: of the 3 × 3.
        split: how the paths are divided.
        se_reduction: squeeze-and-excite factor, 0 for none.
        project: whether the shortcut is a 1 × 1 convolution (the first block of a stage).
    """

    def body(b: Builder, x: str, branch: Branch) -> str:
        return bottleneck_path(b, x, branch, in_channels, width, out_channels, paths, stride)

    b = Builder("bottleneck", "x")
    y = split_sum(b, "x", split, in_channels, out_channels, body)
    y = b.bn("bn3", y, out_channels)
    if se_reduction:
        y = b.add("se", squeeze_excite(out_channels, se_reduction), y)
    shortcut = b.add("shortcut", projection(in_channels, out_channels, stride), "x") if project else "x"
    return b.done(b.relu("relu", b.add("add", ops.Add(), y, shortcut)))


def resnext(depths: tuple[int, ...], *, path_width: int = 4, cardinality: int = 32, expansion: int = 2,
            se_reduction: int = 0) -> ResNeXt:  # fmt: skip
    """A plain ResNeXt of ``cardinality`` × ``path_width`` d, whose width doubles from stage to stage."""
    stages = tuple(Stage(cardinality * path_width * 2**i, (PLAIN,) * depth) for i, depth in enumerate(depths))
    return ResNeXt(stages, cardinality=cardinality, expansion=expansion, se_reduction=se_reduction)
