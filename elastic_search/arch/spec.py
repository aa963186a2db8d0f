"""What every family shares: a frozen spec of stages, and the edits that keep it one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from elastic_search.arch import heads
from elastic_search.arch.blocks import classifier
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.ops import Op, Shape
from elastic_search.arch.split import PLAIN, Split, whole_groups
from elastic_search.errors import SpecError

if TYPE_CHECKING:
    from elastic_search.arch.initial import Initial

STEMS = ("imagenet", "small")
MAX_COUNT = 65_536
"""Largest value of a field that counts something."""


@dataclass(frozen=True, repr=False)
class Stage:
    """Blocks at one resolution.

    Attributes:
        width: channels that the family scales by; see there.
        splits: one per block, in execution order.
    """

    width: int
    splits: tuple[Split, ...]

    @cached_property
    def _hash(self) -> int:
        return hash((self.width, self.splits))

    def __hash__(self) -> int:
        # Stages are looked up often, and may have hundreds of blocks.
        return self._hash

    def __reduce__(self) -> tuple[type[Stage], tuple[object, ...]]:
        return Stage, (self.width, self.splits)

    def __repr__(self) -> str:
        return f"<Stage of width {self.width}, {len(self.splits)} blocks>"


@dataclass(frozen=True, repr=False)
class Spec(ABC):
    """A network: stages, and what a family adds.

    A network is a chain ``stem → stage graphs → head``; what a stage costs depends on the shape that enters it.

    Attributes:
        stages: first to last.
        head: what reads their features in ``graph()``; ``heads.network`` takes any other.
        in_channels: of the image.
    """

    stages: tuple[Stage, ...]
    head: heads.Head = heads.IMAGENET
    in_channels: int = 3

    RANK: ClassVar[int] = 100
    """Position of the family's networks where all are listed."""

    BLOCK_KIND: ClassVar[str] = "block"
    """Kind of the graphs of its blocks."""

    BOUNDS: ClassVar[dict[str, tuple[int, int]]] = {}
    """Least value of its fields that count something, and the largest that a file may give; 1 and ``MAX_COUNT`` unless
    given here."""

    RELEASED_NAMES: ClassVar[tuple[tuple[str, str | Callable[[Any], str]], ...]] = ()
    """(pattern, replacement) pairs for ``re.sub`` that turn our names of weights into the authors'."""

    LAST_CONV: ClassVar[str] = "conv3"
    """Name of a branch's last convolution."""

    FIRST_STAGE: ClassVar[int] = 1
    """Number of the first stage in its name."""

    STAGE_WORD: ClassVar[str] = "layer"
    """What the family calls a stage."""

    IS_CHAIN: ClassVar[bool] = True
    """Whether a stage is a chain of blocks, so that a deeper one costs what its blocks add."""

    WHY_DEAD: ClassVar[str] = ""
    """Why the family's networks hold nodes whose result is never read, if they do."""

    # What a family says.

    @abstractmethod
    def stem_graph(self) -> Graph:
        """Image to the first stage's input."""

    def block_graph(self, stage: int, block: int, in_channels: int, split: Split) -> Graph:
        """One block, in a family whose stages are chains of blocks."""
        raise NotImplementedError

    def tail_graph(self, stage: int, in_channels: int) -> Graph | None:
        """What follows the last block of a stage, if anything does."""
        return None

    def block_channels(self, stage: int, in_channels: int) -> int:
        """Channels that leave a block: the stage's, unless its blocks add to what enters them."""
        return self.out_channels(stage, in_channels)

    def classifier_graph(self, in_channels: int, classes: int) -> Graph:
        """The last stage's features to a score for each class."""
        return classifier(in_channels, classes)

    @abstractmethod
    def initial(self, path: str, op: Op, halves: int) -> tuple[Initial, Initial]:
        """Initial weight and bias of a layer, as in the authors' code.

        Args:
            path: of the layer's node.
            op: the layer; never a learned resampling.
            halves: 2 for a branch that holds both halves of one of the authors' blocks, otherwise 1; see ``halved``.
        """

    @property
    def halved(self) -> bool:
        """Whether the authors build its blocks from two halves, which may both work at full resolution.

        Their plain ResNeXt block is two bottlenecks of 16 paths whose outputs are added; here it is one branch of 32
        paths. So its last convolution has twice the inputs of theirs, but starts with the same deviation.
        """
        return any(not split.is_plain for stage in self.stages for split in stage.splits)

    @property
    @abstractmethod
    def stem_channels(self) -> int: ...

    def check_widths(self) -> None:
        """Raise SpecError if the stages' widths are not those of a network of this family."""
        if any(stage.width < 1 for stage in self.stages):
            raise SpecError("width: must be at least 1")

    @abstractmethod
    def out_channels(self, stage: int, in_channels: int) -> int:
        """Channels that leave a stage."""

    def stride(self, stage: int, block: int) -> int:
        """Stride of a block: 2 in the first of every stage but the first, unless the family says otherwise."""
        return 2 if stage > 0 and block == 0 else 1

    @abstractmethod
    def paths(self, stage: int) -> int:
        """Number of paths that a split of this stage's blocks divides."""

    @abstractmethod
    def scaled(self, factor: Fraction) -> Self:
        """The same depths, splits and types with narrower paths and a narrower stem; all shares stay whole."""

    @staticmethod
    def blocks(depth: int) -> int:
        """Number of blocks of a stage of this depth."""
        return depth

    def depth(self, stage: int) -> int:
        """Depth of a stage, in the family's sense."""
        return len(self.stages[stage].splits)

    # What follows from it.

    def stage_graph(self, stage: int, in_channels: int) -> Graph:
        """One stage that takes ``in_channels`` channels."""
        b = Builder("stage", "x")
        y, channels = "x", in_channels
        for j, split in enumerate(self.stages[stage].splits):
            y = b.add(str(j), self.block_graph(stage, j, channels, split), y)
            channels = self.block_channels(stage, channels)
        tail = self.tail_graph(stage, channels)
        return b.done(b.add("transition", tail, y) if tail else y)

    def stage_name(self, stage: int) -> str:
        return f"{self.STAGE_WORD}{stage + self.FIRST_STAGE}"

    @property
    def depths(self) -> tuple[int, ...]:
        return tuple(self.depth(i) for i in range(len(self.stages)))

    @property
    def elastic_blocks(self) -> int:
        """Number of blocks with a branch at a lower resolution."""
        return sum(split.scales_down for stage in self.stages for split in stage.splits)

    @property
    def trained_filters(self) -> bool:
        """Whether any block resamples by learned filters, which add parameters."""
        return any(split.up == "trained" for stage in self.stages for split in stage.splits)

    def may_scale(self, stage: int, block: int) -> bool:
        """Whether a block can be elastic: stride 1, and not in the last stage."""
        return self.stride(stage, block) == 1 and stage < len(self.stages) - 1

    def head_graph(self, in_channels: int) -> Graph:
        """The head on the last stage's features."""
        return self.head.graph(self, (in_channels,))

    def graph(self) -> Graph:
        """The whole network with its head: nodes stem, one stage after another, head."""
        return heads.network(self, self.head)

    def features(self, taps: tuple[int, ...]) -> Graph:
        """The stem and the stages without a head.

        Args:
            taps: the stages, counted from 0 in ascending order, whose outputs are the graph's; later ones are left out.

        Raises:
            SpecError: if there is no tap, or one that is no stage.
        """
        return heads.features(self, taps)

    def image(self, height: int, width: int) -> Shape:
        """Shape of an image that the network takes."""
        return Shape(self.in_channels, height, width)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'-'.join(map(str, self.depths))}, {self.head}>"

    def with_depths(self, depths: tuple[int, ...]) -> Self:
        """Other depths; added blocks repeat the stage's last split, surplus ones are cut from the end.

        Raises:
            SpecError: if the number of depths is not the number of stages, or a depth is below 1.
        """
        if len(depths) != len(self.stages):
            raise SpecError(f"{len(depths)} depths for {len(self.stages)} stages")
        stages = []
        for i, (stage, depth) in enumerate(zip(self.stages, depths, strict=True)):
            if depth < 1:
                raise SpecError(f"depth {depth} at {self.stage_name(i)}: a stage needs at least one block")
            # A plain first block (of stride 2) says nothing about the blocks that could be elastic.
            more = stage.splits[-1] if self.may_scale(i, len(stage.splits) - 1) else PLAIN
            blocks = self.blocks(depth)
            stages.append(replace(stage, splits=(stage.splits + (more,) * blocks)[:blocks]))
        return replace(self, stages=tuple(stages))

    def with_classes(self, classes: int) -> Self:
        """The same network with a classifier of so many classes."""
        return replace(self, head=self.head.edited(classes=classes))  # type: ignore[attr-defined]

    def __post_init__(self) -> None:
        """Check the fields, what the family demands of them, and the splits.

        Raises:
            SpecError: if a value is out of range, a split stands on a block that cannot be elastic, or a stage has no
                block.
            SplitError: if a branch's share is not a whole number of paths.
        """
        for name, value in vars(self).items():
            if type(value) is int and value < self.BOUNDS.get(name, (1,))[0]:
                raise SpecError(f"{name} {value}: must be at least {self.BOUNDS.get(name, (1,))[0]}")
            if name == "stem" and value not in STEMS:
                raise SpecError(f"stem {value!r}: must be one of {', '.join(STEMS)}")
        self.check_widths()
        if not self.stages:
            raise SpecError("stages: a network needs at least one")
        for i, stage in enumerate(self.stages):
            where = self.stage_name(i)
            if not stage.splits:
                raise SpecError(f"depth 0 at {where}: a stage needs at least one block")
            divided: set[Split] = set()
            for j, split in enumerate(stage.splits):
                if split is PLAIN:
                    continue
                if not split.is_plain and not self.may_scale(i, j):
                    raise SpecError(
                        f"split {split} at {where}.{j}: a block of stride 2 or in the last stage keeps full resolution"
                    )
                if split not in divided:
                    divided.add(split)
                    for branch in split.branches:
                        whole_groups(branch.share, self.paths(i), f"{where}.{j}")
