"""What there is at a path: the images of each class and split, what they are like, and what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elastic_search.data.build import Watch
from elastic_search.data.cache import CachedImages, cached
from elastic_search.data.decode import quietly
from elastic_search.data.division import subset_of
from elastic_search.data.source import BrokenImageError, Source, source_of
from elastic_search.recipes import About, Data, Split

MOST_LOOKED_AT = 2000
"""Most originals whose size and mode are looked at; of more, evenly spread ones."""

Size = tuple[int, int]
"""Width and height in px."""


@dataclass(frozen=True)
class ClassCount:
    """How many images there are of a class.

    Attributes:
        name: of the class.
        found: that the source lists.
        images: that are used, in each split.
    """

    name: str
    found: int
    images: Mapping[Split, int]

    @property
    def used(self) -> int:
        """Images in all splits."""
        return sum(self.images.values())


@dataclass(frozen=True)
class Looks:
    """What originals are like.

    Attributes:
        looked_at: how many.
        sizes: the smallest, the median and the largest, by area; empty if no original can be read.
        modes: how many have which mode, as Pillow names modes, the commonest first.
    """

    looked_at: int
    sizes: tuple[Size, ...]
    modes: Mapping[str, int]


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        path: as the user wrote it.
        data: how the images were split.
        edge: of the decoded squares in px.
        about: the data set that a training sees.
        listed: number of images that are there.
        classes: in the order of the labels.
        looks: of the originals.
        broken: number of images that cannot be read.
        broken_files: their names, each with the reason; a thousand at most.
        doubles: number of images that were left out as they are there twice, or in two classes.
        folder: of the cache.
        bytes: of its pixels.
    """

    path: str
    data: Data
    edge: int
    about: About
    listed: int
    classes: tuple[ClassCount, ...]
    looks: Looks
    broken: int
    broken_files: tuple[tuple[str, str], ...]
    doubles: int
    folder: Path
    bytes: int

    @property
    def imbalance(self) -> float:
        """Images of the largest class for each of the smallest."""
        used = [one.used for one in self.classes]
        return max(used) / min(used)


def survey(
    data: Data, edge: int, cache: Path | None = None, *, watch: Watch = lambda done, total: None
) -> tuple[Survey, CachedImages]:
    """Look at the images that a user named; they are decoded into the cache if they are not there.

    Args:
        data: where they are, and how they are split.
        edge: of the decoded squares, in px.
        cache: folder of all caches; None means ``cache.default_cache()``.
        watch: is told how many images of how many are decoded, now and then.

    Raises:
        DataError: if the images cannot be used as they are.
        EnvironmentFault: if the cache cannot be written.
    """
    source = source_of(data.path)
    found = cached(source, data, edge, cache, watch=watch)
    about = found.about
    considered = subset_of(source.entries, data.subset)
    doubles = len(considered) - found.broken_count - sum(about.images.values())
    what = Survey(
        path=data.path,
        data=data,
        edge=edge,
        about=about,
        listed=len(source.entries),
        classes=_classes(source, found),
        looks=looks(source),
        broken=found.broken_count,
        broken_files=tuple(found.broken),
        doubles=doubles,
        folder=found.folder,
        bytes=found.bytes,
    )
    return what, found


def looks(source: Source) -> Looks:
    """Sizes and modes of the originals of a source."""
    areas, modes = list[Size](), Counter[str]()
    chosen = np.unique(np.linspace(0, len(source.entries) - 1, MOST_LOOKED_AT).round().astype(int)).tolist()
    with quietly():
        for at in chosen:
            try:
                width, height, mode = source.look(source.entries[at])
            except BrokenImageError:
                continue
            areas.append((width, height))
            modes[mode] += 1
    areas.sort(key=lambda size: (size[0] * size[1], size))
    sizes = (areas[0], areas[len(areas) // 2], areas[-1]) if areas else ()
    return Looks(len(chosen), sizes, dict(modes.most_common()))


def _classes(source: Source, found: CachedImages) -> tuple[ClassCount, ...]:
    number = len(source.classes)
    listed = Counter(entry.label for entry in source.entries)
    used = {split: np.bincount(found.arrays(split)[1], minlength=number).tolist() for split in found.about.images}
    return tuple(
        ClassCount(name, listed[label], {split: counts[label] for split, counts in used.items()})
        for label, name in enumerate(source.classes)
    )
