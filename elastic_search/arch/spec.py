"""What every family shares: a frozen spec of stages, and the edits that keep it one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import ClassVar, Self

from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.split import PLAIN, Split, whole_groups
from elastic_search.errors import SpecError


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Spec(ABC):
    """A network: stages, and what a family adds.

    A network is a chain ``stem → stage graphs → head``; what a stage costs depends on the shape that enters it.

    Attributes:
        stages: first to last.
        classes: outputs of the classifier.
    """

    stages: tuple[Stage, ...]
    classes: int = 1000

    FIRST_STAGE: ClassVar[int] = 1
    """Number of the first stage in its name."""

    STAGE_WORD: ClassVar[str] = "layer"
    """What the family calls a stage."""

    IS_CHAIN: ClassVar[bool] = True
    """Whether a stage is a chain of blocks, so that a deeper one costs what its blocks add."""

    WHY_DEAD: ClassVar[str] = ""
    """Why the family's networks hold nodes whose result nobody reads, if they do."""

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
        """Channels that leave a block, in a family whose stages are chains of blocks."""
        raise NotImplementedError

    @abstractmethod
    def head_graph(self, in_channels: int) -> Graph:
        """The last stage's output to the network's."""

    @property
    @abstractmethod
    def stem_channels(self) -> int: ...

    @abstractmethod
    def out_channels(self, stage: int, in_channels: int) -> int:
        """Channels that leave a stage."""

    @abstractmethod
    def stride(self, stage: int, block: int) -> int: ...

    @abstractmethod
    def paths(self, stage: int) -> int:
        """Number of paths that a split of this stage's blocks divides."""

    @abstractmethod
    def scaled(self, factor: Fraction, stem: str, classes: int) -> Self:
        """The same depths, splits and types with narrower paths: the proxy of this network."""

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

    def graph(self) -> Graph:
        """The whole network: nodes stem, a stage after the other, head."""
        return _network(self)

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
                raise SpecError(f"depth {depth} at {self.stage_name(i)}: a stage has at least one block")
            # A plain first block (of stride 2) says nothing about the blocks that could be elastic.
            more = stage.splits[-1] if self.may_scale(i, len(stage.splits) - 1) else PLAIN
            blocks = self.blocks(depth)
            stages.append(replace(stage, splits=(stage.splits + (more,) * blocks)[:blocks]))
        return replace(self, stages=tuple(stages))

    def check_splits(self) -> None:
        """Raise what is wrong with the splits.

        Raises:
            SpecError: if a split stands on a block that cannot be elastic, or a stage has no block.
            SplitError: if a branch's share is not a whole number of paths.
        """
        if not self.stages:
            raise SpecError("stages: a network has at least one stage")
        for i, stage in enumerate(self.stages):
            where = self.stage_name(i)
            if not stage.splits:
                raise SpecError(f"depth 0 at {where}: a stage has at least one block")
            for j, split in enumerate(stage.splits):
                if split is PLAIN:
                    continue
                if not split.is_plain and not self.may_scale(i, j):
                    raise SpecError(
                        f"split {split} at {where}.{j}: a block of stride 2 or in the last stage keeps full resolution"
                    )
                for branch in split.branches:
                    whole_groups(branch.share, self.paths(i), f"{where}.{j}")


@lru_cache(maxsize=256)
def _network(spec: Spec) -> Graph:
    b = Builder("network", "x")
    y, channels = b.add("stem", spec.stem_graph(), "x"), spec.stem_channels
    for i in range(len(spec.stages)):
        y = b.add(spec.stage_name(i), spec.stage_graph(i, channels), y)
        channels = spec.out_channels(i, channels)
    return b.done(b.add("head", spec.head_graph(channels), y))
