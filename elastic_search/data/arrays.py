"""Arrays of images as a source: files that hold thousands of images of one size, one after the other.

Images are read one by one from where they lie, so that no file is held in memory whole.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from elastic_search.data.decode import squared
from elastic_search.data.rows import Rows
from elastic_search.data.source import Entry, Part, Pixels, named
from elastic_search.errors import DataError

Labels = NDArray[np.int64]

MOST_CLASSES = 2**20
"""Labels beyond are a mistake."""


@dataclass(frozen=True)
class Block:
    """Images of one array.

    Attributes:
        part: the split that the source put them in.
        name: of the array or its file; with the number of a row it names an image.
        size: height and width in px.
        channels: 1 or 3.
        planes: whether an image is a plane for each channel, instead of pixels.
        labels: int64 [N].
        rows: the images.
        stamp: size and time of the file.
    """

    part: Part
    name: str
    size: tuple[int, int]
    channels: int
    planes: bool
    labels: Labels
    rows: Rows
    stamp: str

    def image(self, content: bytes) -> Image.Image:
        """An image from its bytes."""
        height, width = self.size
        pixels = np.frombuffer(content, np.uint8)
        if self.planes:
            pixels = pixels.reshape(self.channels, height, width).transpose(1, 2, 0)
        if self.channels == 1:
            return Image.fromarray(pixels.reshape(height, width))
        return Image.fromarray(np.ascontiguousarray(pixels.reshape(height, width, 3)))


class ArraySource:
    """Images in arrays.

    Args:
        name: for people.
        classes: names of the classes, in the order of the labels; None if the labels are all that is known of them.
        blocks: the arrays, of one or several parts.
        parts: what people call each part.
        notes: what was found beside, a sentence each.

    Raises:
        DataError: if labels are none of the classes, or a class has no image in a part; names them.
    """

    def __init__(
        self,
        name: str,
        classes: Sequence[str] | None,
        blocks: Sequence[Block],
        parts: Mapping[Part, str],
        notes: Sequence[str] = (),
    ) -> None:
        self.name, self.parts, self.notes = name, parts, tuple(notes)
        channels = {block.channels for block in blocks}
        if len(channels) > 1:
            raise DataError(f"{name}: some arrays are grey, some in colour", "give all the same number of channels")
        (self.channels,) = channels
        sizes = {edge for block in blocks for edge in block.size}
        self.edge = sizes.pop() if len(sizes) == 1 else None
        self.classes = _classes(name, classes, blocks)
        _require_all(name, self.classes, blocks, parts)
        self.entries: Sequence[Entry] = _Entries(blocks)
        self._blocks = {block.name: block for block in blocks}

    def stamp(self, entry: Entry) -> str:
        return self._found(entry)[0].stamp

    def read(self, entry: Entry, edge: int) -> tuple[Pixels, bytes]:
        block, row = self._found(entry)
        content = block.rows.read(row)
        return squared(block.image(content), edge, self.channels), hashlib.sha256(content).digest()

    def look(self, entry: Entry) -> tuple[int, int, str]:
        """Width, height and mode of an image, as Pillow names modes."""
        height, width = self._found(entry)[0].size
        return width, height, "L" if self.channels == 1 else "RGB"

    def _found(self, entry: Entry) -> tuple[Block, int]:
        name, _, row = entry.name.removesuffix("]").rpartition("[")
        return self._blocks[name], int(row)


class _Entries(Sequence[Entry]):
    """The images of blocks, made when they are asked for: a list of them would take more memory than their pixels."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks
        self._ends = list(accumulate(len(block.labels) for block in blocks))

    def __len__(self) -> int:
        return self._ends[-1]

    @overload
    def __getitem__(self, at: int) -> Entry: ...
    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...
    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self[row] for row in range(*at.indices(len(self)))]
        row = at + len(self) if at < 0 else at
        if not 0 <= row < len(self):
            raise IndexError(at)
        which = bisect_right(self._ends, row)
        block = self._blocks[which]
        row -= self._ends[which] - len(block.labels)
        return _entry(block, row, int(block.labels[row]))

    def __iter__(self) -> Iterator[Entry]:
        for block in self._blocks:
            yield from (_entry(block, row, label) for row, label in enumerate(block.labels.tolist()))


def stamp_of(path: Path) -> str:
    """Size and time of a file.

    Raises:
        OSError: if there is none.
    """
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def _entry(block: Block, row: int, label: int) -> Entry:
    return Entry(block.part, label, f"{block.name}[{row}]")


def checked_labels(where: str, found: NDArray[np.generic], images: int) -> Labels:
    """One class for each image, int64 [N].

    Args:
        where: what an error calls the labels.
        found: [N] or [N, 1].
        images: how many there must be.

    Raises:
        DataError: if they are no whole numbers from 0, several an image, or not as many as the images.
    """
    if found.ndim == 2 and found.shape[1] > 1:
        shape = " x ".join(map(str, found.shape))
        hint = "give one class for each image; if exactly one is set in each row, labels.argmax(1) is that"
        raise DataError(f"{where}: {shape} labels, so several for an image, which is not supported", hint)
    if found.dtype.kind not in "iu":
        raise DataError(f"{where}: labels are {found.dtype}", "give whole numbers from 0 on, such as int64")
    if found.ndim not in (1, 2) or found.size != images:
        raise DataError(f"{where}: {found.size:,} labels for {images:,} images", "give one label for each image")
    if found.size and (low := int(found.min())) < 0:
        raise DataError(f"{where}: there is a label {low}", "labels are whole numbers from 0 on")
    if found.size and (high := int(found.max())) >= MOST_CLASSES:
        raise DataError(f"{where}: there is a label {high}", "labels count the classes from 0 on")
    return found.reshape(-1).astype(np.int64)


def _classes(name: str, classes: Sequence[str] | None, blocks: Sequence[Block]) -> tuple[str, ...]:
    """The names of the classes; numbers where there are none.

    Raises:
        DataError: if a label is none of them, or if there are fewer than two.
    """
    last = max(blocks, key=lambda block: int(block.labels.max()))
    highest, where = int(last.labels.max()), last.name
    if classes is None:
        if highest >= (images := sum(len(block.labels) for block in blocks)):
            hint = "number the classes from 0 on, without gaps"
            raise DataError(f"{name}: there is a label {highest} in {where}, and {images:,} images", hint)
        classes = [str(label) for label in range(highest + 1)]
    elif highest >= len(classes):
        raise DataError(f"{name}: there is a label {highest} in {where}, but only {len(classes)} names of classes")
    if len(classes) < 2:
        raise DataError(f"{name}: {classes[0]} is the only class", "give images of at least two classes")
    return tuple(classes)


def _require_all(name: str, classes: Sequence[str], blocks: Sequence[Block], parts: Mapping[Part, str]) -> None:
    """Raises: DataError: if a class has no image in a part."""
    missing = []
    for part, called in parts.items():
        there = np.zeros(len(classes), bool)
        for block in blocks:
            if block.part == part:
                there[block.labels] = True
        missing += [f"{classes[label]} in {called}" for label in np.flatnonzero(~there).tolist()]
    if missing:
        hint = "labels count the classes from 0 on, without gaps, and each class needs images in each part"
        raise DataError(f"{name}: no image of class {named(missing)}", hint)
