"""Spaces of networks: what may vary, and the resulting options for each stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, TYPES, Split, parse_split, typed, whole_groups
from elastic_search.errors import SpecError

Value = int | str


class Choice(NamedTuple):
    """One thing that varies: its name, its legal values, and whether their order has a meaning."""

    name: str
    values: tuple[Value, ...]
    ordered: bool


class Option(NamedTuple):
    """One way to make a stage.

    Attributes:
        depth: depth of the stage.
        split: split of its blocks, as written; None where every block chooses its own.
        stage: the stage; where blocks choose, with plain blocks.
        key: width, number of blocks, and the split of those that may scale (plain if none may); equal for equal
            stages, but faster to compare.
        weight: number of combinations of values that give this stage.
    """

    depth: int
    split: Split | None
    stage: Stage
    key: tuple[int, int, Split]
    weight: int = 1


class Arm(NamedTuple):
    """What remains to be chosen once the network-wide choices are made.

    Attributes:
        resampling: type of all low branches.
        base: provides everything that the arm does not vary.
        splits: maps each legal split, with the arm's resampling, to the split as written.
        stages: options for each stage.
    """

    resampling: str
    base: Spec
    splits: dict[Split, Split]
    stages: tuple[tuple[Option, ...], ...]


@dataclass(frozen=True)
class Space:
    """A base network and what may vary in it.

    Attributes:
        base: provides everything that does not vary.
        depths: legal depths of each stage.
        splits: legal splits of the blocks that may scale, written with the default resampling.
        resampling: legal types of low branches (``arch.split.TYPES``), one for the whole network.
        splits_per: "block" if each block chooses its own split, "stage" if the blocks of a stage share one,
            "network" if all blocks share one.
        widths: legal widths of each stage; () keeps the base's.
        cardinality: legal numbers of paths, one for the whole network; () keeps the base's.

    Raises:
        SpecError: if the choices do not suit the base.
    """

    base: Spec
    depths: tuple[tuple[int, ...], ...]
    splits: tuple[Split, ...]
    resampling: tuple[str, ...] = TYPES[:1]
    splits_per: str = "stage"
    widths: tuple[tuple[int, ...], ...] = ()
    cardinality: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        number = len(self.base.stages)
        for name, of in (("depths", self.depths), ("widths", self.widths or self.depths)):
            if len(of) != number:
                raise SpecError(f"{name} for {len(of)} stages, but the base has {number}")
        if not all((*self.depths, *self.widths)) or not self.splits or not self.resampling:
            raise SpecError("every choice needs at least one value")
        if self.splits_per not in ("network", "stage", "block"):
            raise SpecError(f"splits_per: {self.splits_per!r}; legal: network, stage, block")
        if self.cardinality and not hasattr(self.base, "cardinality"):
            raise SpecError("cardinality: networks of the base's family have no number of paths to choose")

    @cached_property
    def stage_names(self) -> tuple[str, ...]:
        return tuple(self.base.stage_name(i) for i in range(len(self.depths)))

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Everything that varies, under the names that a search records."""
        names = self.stage_names
        found = [Choice(f"{name}.depth", depths, True) for name, depths in zip(names, self.depths, strict=True)]
        if self.widths:
            found += [Choice(f"{name}.width", widths, True) for name, widths in zip(names, self.widths, strict=True)]
        splits = tuple(dict.fromkeys(self.texts.values()))
        if self.splits_per == "network":
            found.append(Choice("split", splits, False))
        elif self.splits_per == "stage":
            found += [Choice(f"{name}.split", splits, False) for name in names[:-1]]
        else:
            found += [Choice(self.split_name(i, j), splits, False) for i, j in self._scalable]
        if self.cardinality:
            found.append(Choice("cardinality", self.cardinality, True))
        return (*found, Choice("resampling", self.resampling, False))

    def split_name(self, stage: int, block: int) -> str:
        """Name of the choice that decides the split of a block."""
        if self.splits_per == "network":
            return "split"
        name = self.stage_names[stage]
        return f"{name}.{block}.split" if self.splits_per == "block" else f"{name}.split"

    @cached_property
    def _scalable(self) -> tuple[tuple[int, int], ...]:
        """(stage, block) of every block that may scale in the deepest network."""
        most = [self.base.blocks(max(depths)) for depths in self.depths]
        return tuple((i, j) for i, blocks in enumerate(most) for j in range(blocks) if self.base.may_scale(i, j))

    @cached_property
    def texts(self) -> dict[Split, str]:
        return {split: str(split) for split in self.splits}

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """One arm for each combination of network-wide choices. Arms may overlap; ``Matcher`` counts networks once.

        Raises:
            SpecError: if a width or a share is impossible.
        """
        written = tuple(self.texts)
        groups = [(split,) for split in written] if self.splits_per == "network" else [written]
        found = []
        for base in self._bases():
            for kind in self.resampling:
                for splits in groups:
                    made: dict[Split, Split] = {}
                    for split in splits:
                        made.setdefault(typed(split, kind), split)
                    stages = tuple(tuple(self._options(i, splits, kind)) for i in range(len(self.depths)))
                    found.append(Arm(kind, base, made, stages))
        return tuple(found)

    def _bases(self) -> Iterator[Spec]:
        """The base with each cardinality; checks every width and share on the way."""
        first = [widths[0] for widths in self._widths]
        shares = {branch.share for split in self.splits for branch in split.branches}
        for paths in self.cardinality or (None,):
            for i, widths in enumerate(self._widths):
                for width in widths:
                    spec = self._plain([*first[:i], width, *first[i + 1 :]], paths)
                    if any(stage == i for stage, _ in self._scalable):
                        for share in shares:
                            whole_groups(share, spec.paths(i), self.stage_names[i])
            yield self._plain(first, paths)

    def _plain(self, widths: Sequence[int], paths: int | None) -> Spec:
        """The base without splits, with other widths and another cardinality."""
        depths = (self.base.blocks(depths[0]) for depths in self.depths)
        stages = tuple(Stage(width, (PLAIN,) * depth) for width, depth in zip(widths, depths, strict=True))
        changed: dict[str, Any] = {} if paths is None else {"cardinality": paths}
        return replace(self.base, stages=stages, **changed)

    @property
    def _widths(self) -> tuple[tuple[int, ...], ...]:
        return self.widths or tuple((stage.width,) for stage in self.base.stages)

    def _options(self, stage: int, splits: tuple[Split, ...], kind: str) -> list[Option]:
        """The distinct stages, each with the first combination of values that gives it."""
        options: dict[tuple[int, int, Split], Option] = {}
        most = self.base.blocks(max(self.depths[stage]))
        scalable = [self.base.may_scale(stage, j) for j in range(most)]
        # All stages with one split are beginnings of the deepest one.
        written: dict[Split | None, tuple[Split, ...]] = {None: (PLAIN,) * most}
        if self.splits_per != "block":
            made = {split: PLAIN if split == PLAIN else typed(split, kind) for split in splits}
            written = {split: tuple(of if there else PLAIN for there in scalable) for split, of in made.items()}
        first = scalable.index(True) if any(scalable) else most
        for width in self._widths[stage]:
            for depth in self.depths[stage]:
                blocks = self.base.blocks(depth)
                for written_split, deepest in written.items():
                    key = (width, blocks, deepest[first] if first < blocks else PLAIN)
                    if known := options.get(key):
                        options[key] = known._replace(weight=known.weight + 1)
                    else:
                        options[key] = Option(depth, written_split, Stage(width, deepest[:blocks]), key)
        return list(options.values())

    @property
    def combinations(self) -> int:
        """Number of combinations of values, including those that give the same network."""
        return prod(len(choice.values) for choice in self.choices)

    def arm_values(self, arm: Arm) -> dict[str, Value]:
        """Values of all choices for the whole network, including those that this space does not have."""
        split = self.texts[next(iter(arm.splits.values()))]
        return {"split": split, "cardinality": getattr(arm.base, "cardinality", 1), "resampling": arm.resampling}

    def option_values(self, stage: int, option: Option) -> dict[str, Value]:
        """Values of all choices for a stage, including those that this space does not have."""
        name, split = self.stage_names[stage], self.texts.get(option.split or PLAIN, "")
        return {f"{name}.depth": option.depth, f"{name}.width": option.stage.width, f"{name}.split": split}

    def encode(self, arm: Arm, options: Sequence[Option], stages: Sequence[Stage]) -> dict[str, Value]:
        """A configuration as values by choice name.

        A block that the network does not have gets the first of the legal splits.

        Args:
            arm: the network-wide choices.
            options: one for each stage.
            stages: the stages of the options or, where blocks choose, with the splits that they chose.
        """
        values = self.arm_values(arm)
        for i, option in enumerate(options):
            values |= self.option_values(i, option)
        if self.splits_per == "block":
            for i, j in self._scalable:
                there = j < len(stages[i].splits)
                written = arm.splits[stages[i].splits[j]] if there else self.splits[0]
                values[self.split_name(i, j)] = self.texts[written]
        return {choice.name: values[choice.name] for choice in self.choices}

    def holds(self, arm: Arm, stage: int, wanted: Stage) -> Option | None:
        """The option of an arm for a stage, or None if the arm does not have the stage."""
        if self.splits_per == "block":
            for j, split in enumerate(wanted.splits):
                if not (split in arm.splits if self.base.may_scale(stage, j) else split == PLAIN):
                    return None
            wanted = Stage(wanted.width, (PLAIN,) * len(wanted.splits))
        return next((option for option in arm.stages[stage] if option.stage == wanted), None)

    def options_of(self, arm: Arm, stages: Sequence[Stage]) -> list[Option] | None:
        """The options of an arm for these stages, or None if it lacks one."""
        options = [self.holds(arm, i, stage) for i, stage in enumerate(stages)]
        found = [option for option in options if option is not None]
        return found if len(found) == len(options) else None

    def values_of(self, spec: Spec) -> dict[str, Value] | None:
        """A network as values by choice name, or None if it is not in the space."""
        if len(spec.stages) != len(self.depths) or type(spec) is not type(self.base):
            return None
        for arm in self.arms:
            if any(getattr(spec, f.name) != getattr(arm.base, f.name) for f in fields(spec) if f.name != "stages"):
                continue
            if options := self.options_of(arm, spec.stages):
                return self.encode(arm, options, spec.stages)
        return None

    def why_not(self, spec: Spec) -> list[str]:
        """Why a network is not in the space, one reason for each stage; [] if it is."""
        if type(spec) is not type(self.base) or len(spec.stages) != len(self.depths):
            return ["its family or its number of stages differs from the base's"]
        if self.values_of(spec) is not None:
            return []
        reasons = []
        for i, (name, stage) in enumerate(zip(self.stage_names, spec.stages, strict=True)):
            if spec.depth(i) not in self.depths[i]:
                reasons.append(f"{name}.depth {spec.depth(i)} is not in {', '.join(map(str, self.depths[i]))}")
            elif stage.width not in self._widths[i]:
                reasons.append(f"{name}.width {stage.width} is not in {', '.join(map(str, self._widths[i]))}")
            elif not any(self.holds(arm, i, stage) for arm in self.arms):
                reasons.append(f"{name}: its splits are not among the choices")
        return reasons or ["its stages cannot be combined, or it differs in something that the space does not vary"]

    def decode(self, values: Mapping[str, Value]) -> Spec:
        """The network described by values by choice name.

        Raises:
            SpecError: if a value is missing or not legal.
        """
        for name, legal, _ in self.choices:
            if values.get(name) not in legal:
                raise SpecError(f"{name}: {values.get(name)!r}; legal: {', '.join(map(str, legal))}")
        kind, stages = str(values["resampling"]), []
        for i, name in enumerate(self.stage_names):
            splits = (
                typed(parse_split(str(values[self.split_name(i, j)])), kind) if self.base.may_scale(i, j) else PLAIN
                for j in range(self.base.blocks(int(values[f"{name}.depth"])))
            )
            stages.append(Stage(int(values.get(f"{name}.width", self._widths[i][0])), tuple(splits)))
        changed: dict[str, Any] = {"cardinality": values["cardinality"]} if self.cardinality else {}
        return replace(self.base, stages=tuple(stages), **changed)
