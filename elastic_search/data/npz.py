"""Archives of NumPy's arrays, as keras and MedMNIST keep their images. Arrays of objects, which are code, are refused.

    x_train y_train x_test y_test                                           keras
    train_images train_labels val_images val_labels test_images test_labels MedMNIST
    images labels                                                           no parts: they are split

Images are uint8 [N, H, W, C], [N, C, H, W] or [N, H, W]; labels [N] or [N, 1]. Sizes are looked at before anything is
unpacked.
"""

from __future__ import annotations

import math
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from elastic_search.data.arrays import ArraySource, Block, checked_labels, stamp_of
from elastic_search.data.decode import MOST_PIXELS
from elastic_search.data.rows import UNREADABLE, FileRows, PackedRows, Rows
from elastic_search.data.source import Part, named, printable
from elastic_search.errors import DataError

NAMES: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "rank": (("x_val", "y_val"), ("x_valid", "y_valid"), ("val_images", "val_labels")),
    "final": (("x_test", "y_test"), ("test_images", "test_labels")),
    "": (("images", "labels"), ("x", "y")),
}
"""What the images and labels of each part are called, in lower case."""

CLASS_NAMES = ("class_names", "classes", "label_names")
"""What an array of names of classes is called."""

WANTED = "name the arrays x_train, y_train, x_test, y_test as keras does, or images and labels"

MOST_LABEL_BYTES = 128 * 2**20
"""Of an array of labels: 16 million of 8 bytes."""

MOST_NAMES_BYTES = 2**20

MOST_RATIO, RATIO_FROM = 200, 2**30
"""An array of more bytes that is packed tighter is a trap, not images."""


@dataclass(frozen=True)
class _Member:
    """An array in the archive.

    Attributes:
        name: as it was written.
        info: where it is.
        dtype: of its numbers.
        shape: as its header says.
        offset: of its numbers, after the header.
    """

    name: str
    info: zipfile.ZipInfo
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    offset: int

    @property
    def about(self) -> str:
        """Shape and type, for errors."""
        return f"{' x '.join(map(str, self.shape)) or 'one number'} of {self.dtype}"


def npz_source(path: Path) -> ArraySource:
    """The images in an .npz file.

    Raises:
        DataError: if there are none, or if they or their labels are not as wanted; names the array.
    """
    try:
        stamp = stamp_of(path)
        with zipfile.ZipFile(path) as archive:
            found = {info.filename.removesuffix(".npy").lower(): info for info in archive.infolist()}
            pairs = _pairs(path, found)
            blocks = [_block(archive, path, found, part, *pair, stamp) for part, pair in pairs.items()]
            classes = _class_names(archive, path, found)
    except zipfile.BadZipFile:
        raise DataError(f"{path}: no .npz file, or cut short", "write it with numpy.savez") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})", "check its permissions") from None
    except UNREADABLE as error:
        raise DataError(f"{path}: cannot be unpacked ({str(error)[:80]})", "write it with numpy.savez") from None
    used = {name for pair in pairs.values() for name in pair} | set(CLASS_NAMES)
    unused = sorted(info.filename.removesuffix(".npy") for name, info in found.items() if name not in used)
    notes = [f"arrays that are not used: {named(unused)}"] if unused else []
    parts = {block.part: _called(block.name) for block in blocks}
    return ArraySource(printable(path.name), classes, blocks, parts, notes)


def _called(name: str) -> str:
    """What people call the images in an array."""
    return next((word for word in ("train", "val", "test") if word in name.lower()), "images")


def _pairs(path: Path, found: dict[str, zipfile.ZipInfo]) -> dict[Part, tuple[str, str]]:
    """The names of images and labels of each part that is there."""
    pairs: dict[Part, tuple[str, str]] = {}
    for part, names in NAMES.items():
        for images, labels in names:
            if images in found and part not in pairs:
                if labels not in found:
                    raise DataError(f"{path}: has {images}, but no {labels}", WANTED)
                pairs[part] = images, labels
    if "" in pairs and len(pairs) > 1:
        whole = pairs.pop("")
        pairs.setdefault("train", whole)
    if "train" in pairs:
        if "rank" in pairs and "final" not in pairs:  # as a folder val/ beside train/
            pairs["final"] = pairs.pop("rank")
        # Without any, the training images are split.
        return pairs if "final" in pairs else {"": pairs["train"]}
    if set(pairs) != {""}:
        names_there = named(sorted(info.filename.removesuffix(".npy") for info in found.values())) or "nothing"
        raise DataError(f"{path}: no images to train on; it has {names_there}", WANTED)
    return pairs


def _block(
    archive: zipfile.ZipFile, path: Path, found: dict[str, zipfile.ZipInfo], part: Part, images: str, labels: str,
    stamp: str,
) -> Block:  # fmt: skip
    """Images and labels of a part."""
    pixels, marks = _member(archive, path, found[images]), _member(archive, path, found[labels])
    size, channels, planes = _layout(path, pixels)
    count, length = pixels.shape[0], size[0] * size[1] * channels
    if not count:
        raise DataError(f"{path}: {pixels.name} is empty", WANTED)
    if math.prod(marks.shape) * marks.dtype.itemsize > MOST_LABEL_BYTES:
        raise DataError(f"{path}: {marks.name} holds {marks.about}", f"at most {MOST_LABEL_BYTES:,} bytes are read")
    array = _read(archive, path, marks)
    where = f"{path}: {marks.name}"
    return Block(
        part, pixels.name, size, channels, planes, checked_labels(where, array, count), _rows(path, pixels, length),
        stamp,
    )  # fmt: skip


def _layout(path: Path, pixels: _Member) -> tuple[tuple[int, int], int, bool]:
    """Height and width, channels, and whether they come before height and width.

    Raises:
        DataError: if an array holds no images.
    """
    where = f"{path}: {pixels.name} holds {pixels.about}"
    if pixels.dtype != np.uint8:
        hint = "give images as uint8, from 0 to 255"
        raise DataError(where, f"{hint}: (255 * {pixels.name}).round().astype('uint8'), where they are fractions")
    shape = pixels.shape
    if len(shape) == 3:
        size, channels, planes = (shape[1], shape[2]), 1, False
    elif len(shape) == 4 and shape[3] in (1, 3):
        size, channels, planes = (shape[1], shape[2]), shape[3], False
    elif len(shape) == 4 and shape[1] in (1, 3):
        size, channels, planes = (shape[2], shape[3]), shape[1], True
    else:
        raise DataError(where, "give images as N x H x W x 3, N x 3 x H x W, or N x H x W if they are grey")
    if not 0 < size[0] * size[1] <= MOST_PIXELS:
        raise DataError(where, f"give images of at most {MOST_PIXELS:,} pixels")
    return size, channels, planes


def _member(archive: zipfile.ZipFile, path: Path, info: zipfile.ZipInfo) -> _Member:
    """An array, without its numbers.

    Raises:
        DataError: if it is none, holds objects, or if its header and its size contradict each other.
    """
    name = printable(info.filename.removesuffix(".npy"))
    with archive.open(info) as file:
        try:
            shape, in_columns, dtype = _header(file)
        except (ValueError, EOFError, TypeError) as error:
            raise DataError(f"{path}: {name} is no array ({str(error)[:60]})", "write it with numpy.savez") from None
        offset = file.tell()
    member = _Member(name, info, dtype, shape, offset)
    if dtype.hasobject:
        hint = "objects may run any code when they are read: write arrays of numbers"
        raise DataError(f"{path}: {name} is an array of objects, which is refused", hint)
    if in_columns and len(shape) > 1:
        raise DataError(f"{path}: {name} is in Fortran's order", f"write numpy.ascontiguousarray({name})")
    length = info.file_size - offset
    if math.prod(shape) * dtype.itemsize != length:
        raise DataError(f"{path}: {name} says that it holds {member.about}, and has {length:,} bytes", "write it again")
    if length > RATIO_FROM and length > MOST_RATIO * info.compress_size:
        packed = f"{length:,} bytes packed in {info.compress_size:,}"
        raise DataError(f"{path}: {name} has {packed}, which is refused", "unpack it and write it with numpy.savez")
    return member


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version[0]}.{version[1]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Python 2 wrote
        shape, in_columns, dtype = read(file)
    if not all(isinstance(edge, int) and edge >= 0 for edge in shape):
        raise ValueError("its shape is not one")
    return shape, in_columns, dtype


def _read(archive: zipfile.ZipFile, path: Path, member: _Member) -> NDArray[np.generic]:
    """All of a small array."""
    with archive.open(member.info) as file:
        content = file.read()[member.offset :]
    if len(content) != math.prod(member.shape) * member.dtype.itemsize:
        raise DataError(f"{path}: {member.name} is cut short", "write it again")
    return np.frombuffer(content, member.dtype).reshape(member.shape)


def _rows(path: Path, pixels: _Member, length: int) -> Rows:
    """The images, from where they lie: a member that is not compressed is a part of the file."""
    info = pixels.info
    if info.compress_type != zipfile.ZIP_STORED:
        return PackedRows(path, info.filename, pixels.offset, length)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26xHH", file.read(30))
    return FileRows(path, info.header_offset + 30 + name + extra + pixels.offset, length, length)


def _class_names(archive: zipfile.ZipFile, path: Path, found: dict[str, zipfile.ZipInfo]) -> list[str] | None:
    """The names of the classes, if there is an array of texts with them."""
    info = next((found[name] for name in CLASS_NAMES if name in found), None)
    if info is None or info.file_size > MOST_NAMES_BYTES:
        return None
    member = _member(archive, path, info)
    if member.dtype.kind != "U" or len(member.shape) != 1:
        return None
    return [printable(str(name)) for name in _read(archive, path, member)]
