"""Spaces of networks: what may vary, and the exact list of distinct networks that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import NamedTuple

from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, TYPES, Split, parse_split, typed
from elastic_search.errors import SpecError

Value = int | str


class Choice(NamedTuple):
    """One thing that varies: its name, its legal values, and whether their order means something."""

    name: str
    values: tuple[Value, ...]
    ordered: bool


class Option(NamedTuple):
    """One way to make a stage."""

    depth: int
    split: Split
    stage: Stage


class Arm(NamedTuple):
    """The options that each stage has once the network-wide choices are made."""

    resampling: str
    stages: tuple[tuple[Option, ...], ...]


@dataclass(frozen=True)
class Space:
    """A base network and what may vary in it.

    Attributes:
        base: gives everything that does not vary.
        depths: legal depths of each stage.
        splits: legal splits of the blocks that may scale, written with the default resampling.
        resampling: legal types of low branches (``arch.split.TYPES``), one for the whole network.
        splits_per: "stage" if each stage chooses its own split, "network" if all share one.
    """

    base: Spec
    depths: tuple[tuple[int, ...], ...]
    splits: tuple[Split, ...]
    resampling: tuple[str, ...] = TYPES[:1]
    splits_per: str = "stage"

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.base.stages):
            raise SpecError(f"depths for {len(self.depths)} stages; the base has {len(self.base.stages)}")
        if not all(self.depths) or not self.splits or not self.resampling:
            raise SpecError("a choice without a value")

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """What varies, by the names that a search records."""
        stages = [self.base.stage_name(i) for i in range(len(self.depths))]
        found = [Choice(f"{name}.depth", depths, True) for name, depths in zip(stages, self.depths, strict=True)]
        splits = tuple(map(str, dict.fromkeys(self.splits)))
        if self.splits_per == "network":
            found.append(Choice("split", splits, False))
        else:
            found += [Choice(f"{name}.split", splits, False) for name in stages[:-1]]
        return (*found, Choice("resampling", self.resampling, False))

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """One arm for each network-wide choice. Arms may overlap; ``match`` counts a network once."""
        if self.splits_per == "network":
            return tuple(self._arm(kind, (split,)) for kind in self.resampling for split in self.splits)
        return tuple(self._arm(kind, self.splits) for kind in self.resampling)

    def _arm(self, kind: str, splits: tuple[Split, ...]) -> Arm:
        stages = []
        for i, depths in enumerate(self.depths):
            options: dict[Stage, Option] = {}
            for depth in depths:
                for split in splits:
                    stage = self._stage(i, depth, typed(split, kind))
                    options.setdefault(stage, Option(depth, split, stage))
            stages.append(tuple(options.values()))
        return Arm(kind, tuple(stages))

    def _stage(self, stage: int, depth: int, split: Split) -> Stage:
        splits = tuple(split if self.base.may_scale(stage, j) else PLAIN for j in range(self.base.blocks(depth)))
        return Stage(self.base.stages[stage].width, splits)

    @property
    def combinations(self) -> int:
        """Number of combinations of values; combinations that give the same network count each."""
        return prod(len(choice.values) for choice in self.choices)

    def spec(self, options: tuple[Option, ...]) -> Spec:
        """The network made of one option for each stage."""
        return replace(self.base, stages=tuple(option.stage for option in options))

    def encode(self, arm: Arm, options: tuple[Option, ...]) -> dict[str, Value]:
        """A configuration as values by choice name."""
        values: dict[str, Value] = {}
        for i, option in enumerate(options):
            values[f"{self.base.stage_name(i)}.depth"] = option.depth
            if self.splits_per == "network":
                values["split"] = str(option.split)
            elif i < len(options) - 1:
                values[f"{self.base.stage_name(i)}.split"] = str(option.split)
        return values | {"resampling": arm.resampling}

    def values_of(self, spec: Spec) -> dict[str, Value] | None:
        """Values by choice name of a network, or None if it is not in the space."""
        if self.base != replace(spec, stages=self.base.stages):
            return None
        for arm in self.arms:
            options = [
                next((o for o in of if o.stage == stage), None)
                for of, stage in zip(arm.stages, spec.stages, strict=True)
            ]
            if None not in options:
                return self.encode(arm, tuple(o for o in options if o is not None))
        return None

    def decode(self, values: Mapping[str, Value]) -> Spec:
        """The network that values by choice name describe.

        Raises:
            SpecError: if a value is missing or not legal.
        """
        for choice in self.choices:
            if values.get(choice.name) not in choice.values:
                raise SpecError(
                    f"{choice.name} {values.get(choice.name)!r}: legal are {', '.join(map(str, choice.values))}"
                )
        stages = []
        for i in range(len(self.depths)):
            name = self.base.stage_name(i)
            text = str(values.get("split", values.get(f"{name}.split", "1")))
            split = typed(parse_split(text), str(values["resampling"]))
            stages.append(self._stage(i, int(values[f"{name}.depth"]), split))
        return replace(self.base, stages=tuple(stages))
