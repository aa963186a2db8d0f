"""Where images come from, before they are decoded: what a folder of files and a file of arrays have in common.

The cache reads a source once, in the order of its entries, by several threads at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from elastic_search.errors import DataError

Part = Literal["train", "rank", "final", ""]
"""A split that the source itself has, such as "final" for ``val/``; "" is for images that are still to be split."""

MOST_NAMED = 5
"""Most classes, folders or files that an error or a note names."""

Pixels = NDArray[np.uint8]
"""An image, uint8 [edge, edge, channels]."""


class Entry(NamedTuple):
    """One image of a source.

    Attributes:
        part: the split that the source put it in.
        label: index into the source's classes.
        name: tells it from all others of the source, in notes and errors too: a path relative to the root, or a row.
    """

    part: Part
    label: int
    name: str


class BrokenImageError(Exception):
    """One image cannot be read; ``str()`` is the reason alone, such as "truncated". The cache leaves it out."""


class Source(Protocol):
    """Labelled images that a cache can be made of.

    - Making a source lists its entries and reads no image; what is wrong with the whole is a ``DataError`` there.
    - Parts are "train" with "final", or with "rank", or with both; or "" alone.
    - Labels index ``classes``, and every class has an entry in every part.
    """

    @property
    def name(self) -> str:
        """For people, such as the name of the folder."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""

    @property
    def channels(self) -> int:
        """Of the images: 1 or 3."""

    @property
    def edge(self) -> int | None:
        """Of the originals in px, where all are squares of one size; None otherwise, and where nobody looked."""

    @property
    def parts(self) -> Mapping[Part, str]:
        """What people call each part, such as {"train": "train/", "final": "val/"} or {"": "images"}."""

    @property
    def entries(self) -> Sequence[Entry]:
        """All images, in an order that is the same each time."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found beside the images and left out, a sentence each."""

    def stamp(self, entry: Entry) -> str:
        """Changes when the image may have changed, without a look at it: size and time of its file, say."""

    def read(self, entry: Entry, edge: int) -> tuple[Pixels, bytes]:
        """The central square of an image at ``edge`` px, and the SHA-256 (32 bytes) of the original's content.

        Called by several threads at a time.

        Raises:
            BrokenImageError: if it cannot be read; nothing else is raised because of what an image holds.
        """


def source_of(path: str | Path) -> Source:
    """The source at a path that a user gave: a folder of folders of images.

    Raises:
        DataError: if there is nothing that can be used; says what is wrong and what is wanted.
    """
    from elastic_search.data.folder import FolderSource

    hint = "give a folder that holds one folder of images for each class"
    root = Path(path).expanduser()
    try:
        if root.is_dir():
            return FolderSource(root)
        what = "is a file" if root.exists() else "there is no such folder"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise DataError(f"{root}: {what}", hint)


def printable(name: str) -> str:
    """A name that came from a disk or an archive, with what a terminal would not print escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def named(names: Sequence[str]) -> str:
    """The first few of a list of names, and how many more there are."""
    more = len(names) - MOST_NAMED
    first = ", ".join(printable(name) for name in names[:MOST_NAMED])
    return f"{first} and {more:,} more" if more > 0 else first
