"""ResNeXt and SE-ResNeXt, plain and Elastic.

Xie et al. 2017; Wang et al. 2019, section 3.3 and figure 3 (left). A block's paths are divided over
the branches of its split; the branches are summed *before* the block's last batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import ClassVar, Self

from elastic_search.arch import ops
from elastic_search.arch.blocks import bottleneck_path, image_stem, projection, split_sum, squeeze_excite
from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families import Published, multi_label
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.initial import DEFAULT, ONE, ZERO, Initial, he_fan_in
from elastic_search.arch.ops import Conv, Linear, Op
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split
from elastic_search.errors import SpecError


@dataclass(frozen=True, repr=False)
class ResNeXt(Spec):
    """A ResNeXt: stages of bottleneck blocks whose 3 × 3 is grouped; every stage but the first halves the resolution.

    ``Stage.width`` is the channels of the 3 × 3, all paths together. A ResNet of bottlenecks is the case of one path.

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

    RANK = 1
    BLOCK_KIND = "bottleneck"
    BOUNDS: ClassVar = {"se_reduction": (0, 1024)}
    RELEASED_NAMES = (
        (r"^(stem|head)\.", ""),
        (r"\.shortcut\.conv\.", ".downsample.0."),
        (r"\.shortcut\.bn\.", ".downsample.1."),
        (r"\.se\.squeeze\.", ".selayer.conv1."),
        (r"\.se\.excite\.", ".selayer.conv2."),
    )

    def check_widths(self) -> None:
        for i, stage in enumerate(self.stages):
            where = self.stage_name(i)
            if stage.width < 1 or stage.width % self.cardinality:
                raise SpecError(f"width {stage.width} at {where} is not a multiple of {self.cardinality} paths")
            if self.se_reduction and stage.width * self.expansion < self.se_reduction:
                raise SpecError(f"se_reduction {self.se_reduction} leaves no channels at {where}")

    def paths(self, stage: int) -> int:
        return self.cardinality

    @property
    def stem_channels(self) -> int:
        return self.stem_width

    def out_channels(self, stage: int, in_channels: int) -> int:
        return self.stages[stage].width * self.expansion

    def stem_graph(self) -> Graph:
        return image_stem(self.stem, self.stem_width, self.in_channels)

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        width = self.stages[stage].width
        return bottleneck(
            in_channels, width, width * self.expansion, self.cardinality, self.stride(stage, block), split,
            self.se_reduction, block == 0,
        )  # fmt: skip

    @property
    def halved(self) -> bool:
        return self.cardinality > 1

    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        """He normal by fan-in, but PyTorch's default in the shortcut; a block's last batch norm starts at 0."""
        match op:
            case Conv():
                last = path.endswith(".conv3")
                return DEFAULT if ".shortcut." in path else he_fan_in(op, halves if last else 1), ZERO
            case Linear():
                return Initial("normal", 0.01), ZERO
        return ZERO if path.endswith(".bn3") else ONE, ZERO

    def scaled(self, factor: Fraction) -> Self:
        """The same depths, splits and types with narrower paths: the proxy of this network.

        Every path keeps at least one channel, so that all shares stay whole groups.
        """
        stages = tuple(
            replace(stage, width=max(1, round(stage.width // self.cardinality * factor)) * self.cardinality)
            for stage in self.stages
        )
        return replace(self, stages=stages, stem_width=max(1, round(self.stem_width * factor)))


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


FAMILY = ResNeXt
PUBLISHED = {
    "resnext50": Published(lambda: resnext((3, 4, 6, 3)), (2, 5), "resnext50_elastic"),
    "resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3)), HALVES), (2, 5)),
    "se_resnext50": Published(lambda: resnext((3, 4, 6, 3), se_reduction=16), (2,), "se_resnext50_elastic"),
    "se_resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3), se_reduction=16), HALVES), (2,)),
    "resnext101": Published(lambda: resnext((3, 4, 23, 3)), (2, 5), "resnext101_elastic"),
    "resnext101_elastic": Published(lambda: elastic(resnext((12, 14, 20, 3)), HALVES), (2, 5)),
    # Twice the paths at the same output channels: the reading that gives the paper's 45.6 M parameters.
    "resnext50x2_elastic": Published(
        lambda: elastic(resnext((6, 8, 5, 3), cardinality=64, expansion=1), HALVES),
        (2,),
        note="never released: our reading of the paper",
    ),
    "resnext26": Published(lambda: resnext((2, 2, 2, 2))),
    "resnext101_64x4d": Published(lambda: resnext((3, 4, 23, 3), cardinality=64, expansion=1)),
}
PUBLISHED |= multi_label(
    PUBLISHED, resnext50=(3, 4), resnext50_elastic=(3, 4), resnext101=(3,), resnext101_elastic=(3,)
)
