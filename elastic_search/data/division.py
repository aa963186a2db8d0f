"""Which image is in which split, by content alone: neither the order of files nor their names matter.

An image is known by the SHA-256 of its file. Doubles are one image, and an image that is in two classes is in none.
Where the source has no split of its own, the images of each class are ranked by their hashes and the first of them are
kept for the end, the next rank networks, and the rest are trained on:

    20 images of a class, nothing split, a tenth held out     4 final, then 2 of the other 16 rank, 14 train
    20 in train/ and 5 in val/                                5 final, 2 of the 20 rank, 18 train
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from elastic_search.data.source import Entry, Part, named
from elastic_search.errors import DataError
from elastic_search.recipes import Data, Split

FINAL = Fraction(1, 5)
"""Share of each class that is kept for the end, where the source keeps nothing itself."""

_KEEPS: dict[Part, int] = {"final": 3, "rank": 2, "train": 1, "": 0}
"""Of doubles in several parts the one in the highest stays, so that a published validation set keeps its images."""


@dataclass(frozen=True)
class Division:
    """Images sorted into splits.

    Attributes:
        rows: of each split, indices into the entries, by hash of the content.
        splits: what a table calls each split.
        notes: what was left out, a sentence each.
    """

    rows: Mapping[Split, Sequence[int]]
    splits: Mapping[Split, str]
    notes: tuple[str, ...]


def subset_of(entries: Sequence[Entry], share: Fraction) -> Sequence[Entry]:
    """A share of each class of each part, by hash of the name, so that nothing is read that is not used.

    At least three of each stay, where there are as many: one for each split.
    """
    if share >= 1:
        return entries
    groups = defaultdict(list)
    for entry in entries:
        groups[entry.part, entry.label].append(entry)
    chosen = []
    for group in groups.values():
        group.sort(key=lambda entry: (_hash(entry.name), entry.name))
        chosen += sorted(group[: max(3, round(share * len(group)))])
    return chosen


def divided(
    name: str,
    classes: Sequence[str],
    parts: Mapping[Part, str],
    entries: Sequence[Entry],
    contents: Sequence[bytes | None],
    data: Data,
) -> Division:
    """Sort the images of a source into splits.

    Args:
        name: of the source, for errors.
        classes: of the source.
        parts: of the source.
        entries: of the source, or some of them.
        contents: the hash of each entry's content; None for one that cannot be read.
        data: how to split.

    Raises:
        DataError: if a class has too few images for an image in each split; names it.
    """
    groups, notes = _without_doubles(entries, contents)
    shares = _shares(parts, data)
    rows: dict[Split, list[int]] = {split: [] for split in ("train", "rank", "final") if _has(split, shares)}
    few = []
    for label, class_name in enumerate(classes):
        for part, cuts in shares.items():
            group = groups.get((part, label), [])
            if len(group) < len(cuts):
                few.append(
                    f"{parts[part] if len(parts) > 1 else ''}{class_name} ({len(group)} of at least {len(cuts)})"
                )
                continue
            start = 0
            for position, (split, share) in enumerate(cuts):
                left, later = len(group) - start, len(cuts) - position - 1
                count = min(max(1, round(share * left)), left - later)
                rows[split] += group[start : start + count]
                start += count
    if few:
        hint = "each class needs one different image, that can be read, for each of the splits: add some, or remove it"
        raise DataError(f"{name}: too few images in {named(few)}", hint)
    for of_split in rows.values():
        of_split.sort(key=lambda row: contents[row] or b"")
    return Division(rows, _called(parts, shares), notes)


_Cuts = Sequence[tuple[Split, Fraction]]
"""Splits that a part is cut into, each with its share of what those before it left."""


def _shares(parts: Mapping[Part, str], data: Data) -> dict[Part, _Cuts]:
    """What each part of a source is cut into."""
    whole = Fraction(1)
    last: Split = "rank" if data.rank_on == "val" and "rank" not in parts else "final"
    if "" in parts:
        held_out: _Cuts = [] if last == "rank" else [("rank", data.held_out)]
        return {"": [(last, FINAL), *held_out, ("train", whole)]}
    shares: dict[Part, _Cuts] = {}
    if "final" in parts:
        shares["final"] = [(last, whole)]
    if "rank" in parts:
        shares["rank"] = [("rank", whole)]
    ranked = any(split == "rank" for cuts in shares.values() for split, _ in cuts)
    shares["train"] = [("train", whole)] if ranked else [("rank", data.held_out), ("train", whole)]
    return shares


def _has(split: Split, shares: Mapping[Part, _Cuts]) -> bool:
    return any(split == other for cuts in shares.values() for other, _ in cuts)


def _called(parts: Mapping[Part, str], shares: Mapping[Part, _Cuts]) -> dict[Split, str]:
    """What a table calls each split: a part of the source, or a share of one."""
    called: dict[Split, str] = {}
    for part, cuts in shares.items():
        left = Fraction(1)
        for split, share in cuts:
            taken = left * share
            called[split] = parts[part] if taken == 1 else f"{float(100 * taken):.3g}% of {parts[part]}"
            left -= taken
    return called


def _without_doubles(
    entries: Sequence[Entry], contents: Sequence[bytes | None]
) -> tuple[dict[tuple[Part, int], list[int]], tuple[str, ...]]:
    """Rows of different images of each class of each part, by hash; and notes of what was left out."""
    first: dict[bytes, int] = {}
    clashes: dict[bytes, int] = {}  # hash -> a row of another class
    doubles = 0
    for row, content in enumerate(contents):
        if content is None or (known := first.setdefault(content, row)) == row:
            continue
        if entries[row].label != entries[known].label:
            clashes.setdefault(content, row)
        else:
            doubles += 1
            if _KEEPS[entries[row].part] > _KEEPS[entries[known].part]:
                first[content] = row
    groups = defaultdict(list)
    for content, row in sorted(first.items()):
        if content not in clashes:
            groups[entries[row].part, entries[row].label].append(row)
    notes = [f"doubles of other images are left out ({doubles:,})"] if doubles else []
    pairs = [
        " and ".join(sorted((entries[first[content]].name, entries[row].name))) for content, row in clashes.items()
    ]
    if pairs:
        notes.append(f"the same image is in two classes and is left out: {named(sorted(pairs))}")
    return dict(groups), tuple(notes)


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
