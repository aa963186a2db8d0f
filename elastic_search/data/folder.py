"""A folder of images as a source: one folder for each class, in ``train/`` and ``val/`` or in one tree.

Folders inside the folder of a class belong to it. What leaves the root by a link is left out, and so are hidden files.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from elastic_search.data.decode import SUFFIXES, decoded, looked_at
from elastic_search.data.source import BrokenImageError, Entry, Part, Pixels, named, printable
from elastic_search.errors import DataError

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test")
"""Names of folders with images that are kept for the end; of several the first is used."""

MOST_BYTES = 256 * 2**20
"""Of an image file."""

CLASSES_WANTED = "give a folder that holds one folder of images for each class, or train/ and val/ with such folders"

_JUNK = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})
"""Folders of hidden files whose names do not say so."""


class FolderSource:
    """The images in the folder of a user.

    Args:
        root: holds a folder for each class, or ``train/`` and ``val/`` (also ``valid``, ``validation``, ``test``) that
            do. If only ``train/`` does, its images are split.

    Raises:
        DataError: if there are fewer than two classes, a class without an image, classes that ``train/`` and ``val/``
            do not share, or a folder that cannot be read; names them.
    """

    channels = 3
    edge = None

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.name = printable(self.root.name) or str(self.root)
        self._left_out: Counter[str] = Counter()
        self._also: tuple[str, ...] = ()
        bases, self.parts = self._layout()
        found = {part: self._classes(base) for part, base in bases.items()}
        names = self._agreed(found)
        self.classes = tuple(printable(name) for name in names)
        self.entries = [
            Entry(part, label, file) for part in bases for label, name in enumerate(names) for file in found[part][name]
        ]
        self.notes = self._notes()

    def stamp(self, entry: Entry) -> str:
        try:
            found = os.stat(os.path.join(self.root, entry.name))  # a Path for each of a million is slow
        except OSError:
            return "gone"
        return f"{found.st_size} {found.st_mtime_ns}"

    def read(self, entry: Entry, edge: int) -> tuple[Pixels, bytes]:
        content = self.content(entry)
        return decoded(content, edge, self.channels), hashlib.sha256(content).digest()

    def look(self, entry: Entry) -> tuple[int, int, str]:
        return looked_at(self.path(entry))

    def path(self, entry: Entry) -> Path:
        """The file of an image."""
        return self.root / entry.name

    def content(self, entry: Entry) -> bytes:
        """The bytes of the file of an image.

        Raises:
            BrokenImageError: if it cannot be read, or is too large to be an image.
        """
        try:
            with self.path(entry).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MOST_BYTES:
                    raise BrokenImageError(f"larger than {MOST_BYTES >> 20} MiB")
                return file.read(size)
        except OSError as error:
            raise BrokenImageError(error.strerror or type(error).__name__) from None

    def _layout(self) -> tuple[dict[Part, Path], Mapping[Part, str]]:
        """Which folder holds the folders of the classes of which part, and what the parts are called."""
        tops = {entry.name.lower(): entry for entry in self._listed(self.root) if _is_folder(entry)}
        train = next((tops[name] for name in TRAIN if name in tops), None)
        held_out = [tops[name] for name in HELD_OUT if name in tops]
        # "train" may be a class, too, beside others such as "bus".
        if train is None or not (held_out or any(map(_is_folder, self._listed(Path(train.path))))):
            return {"": self.root}, {"": "images"}
        used = [train, *held_out[:1]]
        unused = sorted(f"{printable(entry.name)}/" for entry in tops.values() if entry not in used)
        if unused:
            self._also = (f"beside {train.name}/ are other folders, which are left out: {named(unused)}",)
        if not held_out:
            return {"": Path(train.path)}, {"": f"{train.name}/"}
        bases: dict[Part, Path] = {"train": Path(train.path), "final": Path(held_out[0].path)}
        return bases, {part: f"{base.name}/" for part, base in bases.items()}

    def _classes(self, base: Path) -> dict[str, list[str]]:
        """The image files of each class below a folder, as sorted paths from the root."""
        found, loose = {}, 0
        for entry in self._listed(base):
            if _is_folder(entry):
                found[entry.name] = self._files(entry.path)
            elif not self._is_link_to_folder(entry) and _is_image(entry.name):
                loose += 1
        if loose and not found:
            # ImageNet's validation images come so, and a folder of unlabelled images.
            cure = "move each into a folder named like its class, as in train/"
            hint = CLASSES_WANTED if base == self.root else cure
            raise DataError(f"{base}: {loose:,} images, but no folder for each class", hint)
        self._note("images beside the folders of classes are left out", loose)
        return found

    def _files(self, top: str) -> list[str]:
        """The image files below the folder of a class."""
        files, folders, below = [], [top], len(os.path.join(self.root, ""))
        while folders:
            for entry in self._listed(Path(folders.pop())):
                if _is_folder(entry):
                    folders.append(entry.path)
                elif self._is_link_to_folder(entry):
                    continue
                elif not _is_image(entry.name):
                    self._note("files that are no images are left out")
                elif self._is_usable(entry):
                    files.append(entry.path[below:])
        return sorted(files)

    def _is_usable(self, entry: os.DirEntry[str]) -> bool:
        """Whether there is a regular file behind a name, inside the root."""
        if entry.is_file(follow_symlinks=False):
            return True
        if not entry.is_symlink():
            self._note("files that are no images are left out")
        elif not os.path.isfile(entry.path):  # unlike entry.is_file(), also of a link to itself
            self._note("links that lead to no file are left out")
        elif not Path(os.path.realpath(entry.path)).is_relative_to(self.root):
            self._note("links to files outside the folder are not followed")
        else:
            return True
        return False

    def _is_link_to_folder(self, entry: os.DirEntry[str]) -> bool:
        is_one = entry.is_symlink() and os.path.isdir(entry.path)
        self._note("links to folders are not followed", is_one)
        return is_one

    def _listed(self, folder: Path) -> list[os.DirEntry[str]]:
        """What is in a folder, by name, without hidden files."""
        try:
            with os.scandir(folder) as entries:
                shown = [entry for entry in entries if not entry.name.startswith(".") and entry.name not in _JUNK]
        except OSError as error:
            raise DataError(f"{folder}: cannot be read ({error.strerror})", "check its permissions") from None
        return sorted(shown, key=lambda entry: entry.name)

    def _note(self, what: str, count: int = 1) -> None:
        if count:
            self._left_out[what] += count

    def _agreed(self, found: dict[Part, dict[str, list[str]]]) -> list[str]:
        """The names of the classes, which all parts share and which hold images."""
        names = sorted(set().union(*found.values()))
        shared = set(names).intersection(*found.values())
        if len(shared) < len(names):
            only = {part: [name for name in names if name in found[part] and name not in shared] for part in found}
            said = "; ".join(f"only in {self.parts[part]}: {named(some)}" for part, some in only.items() if some)
            raise DataError(f"{self.root}: its parts have different classes ({said})", "give all the same folders")
        beside = "".join(f"; {note}" for note in self._notes())
        if len(names) < 2:
            what = f"{printable(names[0])} is the only class" if names else "there is no folder of images"
            raise DataError(f"{self.root}: {what}{beside}", CLASSES_WANTED)
        empty = [
            f"{self.parts[part] if part else ''}{name}/"
            for part, classes in found.items()
            for name in names
            if not classes[name]
        ]
        if empty:
            raise DataError(f"{self.root}: no image in {named(empty)}{beside}", "remove these folders, or fill them")
        return names

    def _notes(self) -> tuple[str, ...]:
        return self._also + tuple(f"{what} ({count:,})" for what, count in sorted(self._left_out.items()))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
