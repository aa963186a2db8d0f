"""CIFAR-10 and CIFAR-100 as they are published: Python's pickles, or plain binary records.

    cifar-10-batches-py   data_batch_1 … 5, test_batch, batches.meta
    cifar-100-python      train, test, meta
    cifar-10-batches-bin  data_batch_1.bin … 5, test_batch.bin, batches.meta.txt
    cifar-100-binary      train.bin, test.bin, fine_label_names.txt

Files of the same form with fewer or more images, classes or batches are read, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastic_search.data.arrays import ArraySource, Block, Labels, checked_labels, stamp_of
from elastic_search.data.pickles import Array, Span, read_pickle
from elastic_search.data.rows import FileRows, HeldRows, Rows
from elastic_search.data.source import Part, printable
from elastic_search.errors import DataError

EDGE, CHANNELS = 32, 3
PIXELS = EDGE * EDGE * CHANNELS
"""Bytes of an image, a plane for each channel."""

FOLDERS = ("cifar-10-batches-py", "cifar-100-python", "cifar-10-batches-bin", "cifar-100-binary")
"""What the published archives unpack to."""

ARCHIVES = ("cifar-10-python.tar.gz", "cifar-100-python.tar.gz", "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz")

MOST_NAMES_BYTES = 2**20

AGAIN = "load the file again from its source"


class Form(NamedTuple):
    """One of the ways in which CIFAR is published.

    Attributes:
        train: pattern of the names of files with training images.
        test: name of the file with test images.
        names: name of the file with the names of the classes.
        labels: key of the labels in a pickle; "" for binary records.
        label_bytes: before each image of binary records; the last is the label.
        names_key: key of the names in a pickle.
        batches: files of training images that are published.
    """

    train: str
    test: str
    names: str
    labels: str = ""
    label_bytes: int = 0
    names_key: str = ""
    batches: int = 1


FORMS = (
    Form(r"data_batch_\d+", "test_batch", "batches.meta", labels="labels", names_key="label_names", batches=5),
    Form(r"train", "test", "meta", labels="fine_labels", names_key="fine_label_names"),
    Form(r"data_batch_\d+\.bin", "test_batch.bin", "batches.meta.txt", label_bytes=1, batches=5),
    Form(r"train\.bin", "test.bin", "fine_label_names.txt", label_bytes=2),
)


def cifar_source(root: Path) -> ArraySource | None:
    """CIFAR's images in a folder, or in one of the folders that its archives unpack to; None if there are none.

    Raises:
        DataError: if the files are damaged, hold anything that CIFAR's do not, or are still packed.
        OSError: if the folder cannot be read.
    """
    below = [root / name for name in FOLDERS if (root / name).is_dir()]
    if len(below) > 1:
        both = " and ".join(folder.name for folder in below)
        raise DataError(f"{root}: holds {both}", f"give one of them, such as {below[0]}")
    for folder in (root, *below):
        for form in FORMS:
            train = sorted(_files(folder, form), key=lambda path: (len(path.name), path.name))
            beside = any((folder / name).is_file() for name in (form.test, form.names))
            if train and (beside or form.batches > 1):  # a file that is called train may be anything
                return _source(folder, form, train)
    packed = [root / name for name in ARCHIVES if (root / name).is_file()]
    if packed and not any(path.is_dir() for path in root.iterdir() if not path.name.startswith(".")):
        raise still_packed(packed[0])
    return None


def still_packed(path: Path) -> DataError:
    """The error of an archive that was not unpacked."""
    command = f"unzip {path} -d {path.parent}" if path.suffix == ".zip" else f"tar -xf {path} -C {path.parent}"
    return DataError(f"{path}: is packed", f"unpack it, and give the folder: {command}")


def _files(folder: Path, form: Form) -> list[Path]:
    return [path for path in folder.iterdir() if re.fullmatch(form.train, path.name) and path.is_file()]


def _source(folder: Path, form: Form, train: Sequence[Path]) -> ArraySource:
    test = folder / form.test
    parts: dict[Part, str] = {"train": "train", "final": "test"}
    notes = []
    if not test.is_file():
        parts = {"": parts["train"]}
        notes.append(f"there is no {test.name}: the test images are split off the others")
    if len(train) < form.batches:
        notes.append(f"{len(train)} of the {form.batches} files of training images are there")
    read = _pickled if form.labels else _binary
    blocks = [read(path, "train" if test.is_file() else "", form) for path in train]
    if test.is_file():
        blocks.append(read(test, "final", form))
    name = printable(folder.resolve().name)
    return ArraySource(name, _names(folder / form.names, form), blocks, parts, notes)


def _binary(path: Path, part: Part, form: Form) -> Block:
    """Records of labels and pixels."""
    stride = form.label_bytes + PIXELS

    def found() -> tuple[Labels, Rows]:
        size = path.stat().st_size
        if not size or size % stride:
            raise DataError(f"{path}: {size:,} bytes are no records of {stride:,}, so it is cut short or none", AGAIN)
        with path.open("rb") as file:
            marks = b"".join(_byte(file, at) for at in range(form.label_bytes - 1, size, stride))
        labels = checked_labels(str(path), np.frombuffer(marks, np.uint8), size // stride)
        return labels, FileRows(path, form.label_bytes, stride, PIXELS)

    return _block(path, part, found)


def _byte(file: BinaryIO, at: int) -> bytes:
    file.seek(at)
    return file.read(1)


def _pickled(path: Path, part: Part, form: Form) -> Block:
    """A pickle of a dictionary of pixels and labels."""

    def found() -> tuple[Labels, Rows]:
        said = read_pickle(path)
        missing = [key for key in ("data", form.labels) if key not in said]
        if missing:
            raise DataError(f"{path}: holds no {missing[0]!r}, so no file of CIFAR's", AGAIN)
        data = said["data"]
        shaped = isinstance(data, Array) and len(data.shape) == 2 and data.shape[0] > 0 and data.shape[1] == PIXELS
        if not shaped or data.dtype.code != "u1":
            raise DataError(f"{path}: its data are no rows of {PIXELS:,} bytes, so no images of CIFAR's", AGAIN)
        rows: Rows = HeldRows(data.content, PIXELS)
        if isinstance(data.content, Span):
            rows = FileRows(path, data.content.offset, PIXELS, PIXELS)
        return checked_labels(str(path), _labels(path, said[form.labels], form.labels), data.shape[0]), rows

    return _block(path, part, found)


def _labels(path: Path, found: Any, key: str) -> NDArray[np.generic]:
    if isinstance(found, Array) and found.dtype is not None:
        content = found.content
        if isinstance(content, Span):
            with path.open("rb") as file:
                file.seek(content.offset)
                content = file.read(content.length)
        return np.frombuffer(content, found.dtype.order + found.dtype.code).reshape(found.shape)
    if not isinstance(found, (list, tuple)):
        raise DataError(f"{path}: its {key} are no list", AGAIN)
    wrong = next((value for value in found if type(value) is not int or abs(value) >= 2**62), None)
    if wrong is not None:
        said = str(wrong) if isinstance(wrong, float) else f"of type {type(wrong).__name__}"
        raise DataError(f"{path}: a label is {said}", "labels are whole numbers from 0 on")
    return np.array(found, np.int64)


def _block(path: Path, part: Part, found: Callable[[], tuple[Labels, Rows]]) -> Block:
    try:
        labels, rows = found()
        return Block(part, path.name, (EDGE, EDGE), CHANNELS, True, labels, rows, stamp_of(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})", "check its permissions") from None


def _names(path: Path, form: Form) -> list[str] | None:
    """The names of the classes, if there are any."""
    if not path.is_file():
        return None
    if form.names_key:
        found = read_pickle(path).get(form.names_key)
        texts = [_text(name) for name in found] if isinstance(found, (list, tuple)) else []
    else:
        with path.open("rb") as file:
            texts = file.read(MOST_NAMES_BYTES).decode("utf-8", "replace").split("\n")
        texts = [text.strip() for text in texts if text.strip()]
    if not texts or len(set(texts)) < len(texts) or not all(texts):
        raise DataError(f"{path}: holds no names of classes", AGAIN)
    return [printable(text) for text in texts]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""
