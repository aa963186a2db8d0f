"""Archives of arrays as sources, and what is wrong with those that cannot be used."""

import io
import os
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

from elastic_search.data import npz, rows
from elastic_search.data.arrays import ArraySource, _Entries
from elastic_search.data.cache import cached
from elastic_search.data.division import subset_of
from elastic_search.data.source import BrokenImageError, source_of
from elastic_search.errors import DataError
from elastic_search.recipes import Data
from tests.data.array_files import (
    NAMES,
    Attack,
    binary10,
    cifar10,
    images,
    keras,
    labels,
    medmnist,
    planes,
    read_all,
)

NPZS = {
    "keras": (keras, {"shape": (28, 28, 3)}, ("train", "final")),
    "keras packed": (keras, {"save": np.savez_compressed, "shape": (20, 28, 3)}, ("train", "final")),
    "keras grey": (keras, {}, ("train", "final")),
    "grey with a channel": (keras, {"shape": (28, 28, 1)}, ("train", "final")),
    "planes": (keras, {"shape": (3, 28, 20)}, ("train", "final")),
    "MedMNIST": (medmnist, {}, ("train", "rank", "final")),
    "MedMNIST grey": (medmnist, {"shape": (28, 28)}, ("train", "rank", "final")),
    "MedMNIST as it is": (medmnist, {"save": np.savez}, ("train", "rank", "final")),
}


@pytest.mark.parametrize("form", NPZS)
def test_npz_is_read_as_it_was_written(tmp_path, form):
    write, how, parts = NPZS[form]
    source = source_of(write(tmp_path / "set.npz", **how))
    shape = how.get("shape", (28, 28, 3) if write is medmnist else (28, 28))
    grey = len(shape) == 2 or 1 in shape
    assert (source.name, source.classes, source.channels) == ("set.npz", ("0", "1", "2"), 1 if grey else 3)
    assert tuple(source.parts) == parts
    expected = images(30, 0, shape)
    if form == "planes":
        expected = expected.transpose(0, 2, 3, 1)
    if shape[:2] == (28, 28):
        found = read_all(source, 28)
        assert np.array_equal(found["train"], expected.reshape(30, 28, 28, -1))
    else:  # the central square
        entry = source.entries[7]
        edge = min(size for size in shape if size > 3)
        centre = expected[7][(slice(4, 24), slice(None)) if form == "planes" else (slice(None), slice(4, 24))]
        assert np.array_equal(source.read(entry, edge)[0], centre)
    assert [entry.label for entry in source.entries if entry.part == "train"] == labels(30).tolist()
    assert source.edge == (28 if shape[-1] in (1, 3, 28) and shape[0] == 28 else None)


def test_images_and_labels_alone_are_split(tmp_path):
    np.savez(tmp_path / "a.npz", images=images(9), labels=labels(9), class_names=np.array(NAMES), other=np.zeros(3))
    source = source_of(tmp_path / "a.npz")
    assert (source.parts, source.classes) == ({"": "images"}, NAMES)
    assert source.notes == ("arrays that are not used: other",)
    np.savez(tmp_path / "b.npz", x_train=images(9), y_train=labels(9))
    assert source_of(tmp_path / "b.npz").parts == {"": "train"}


def test_validation_images_beside_training_images_alone_are_for_the_end(tmp_path):
    arrays = {"x_train": images(9), "y_train": labels(9), "x_val": images(3, 1), "y_val": labels(3)}
    np.savez(tmp_path / "set.npz", **arrays)
    assert source_of(tmp_path / "set.npz").parts == {"train": "train", "final": "val"}


def test_names_of_arrays_may_be_in_capitals(tmp_path):
    np.savez(tmp_path / "set.npz", X_train=images(9), y_train=labels(9), X_test=images(3, 1), y_test=labels(3))
    source = source_of(tmp_path / "set.npz")
    assert source.parts == {"train": "train", "final": "test"}
    assert source.entries[8].name == "X_train[8]"


def written(file, **arrays):
    np.savez(file, **arrays)


def _member(content):
    """An archive whose x_train is some bytes."""

    def write(file):
        marks = io.BytesIO()
        np.save(marks, labels(9))
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x_train.npy", content)
            archive.writestr("y_train.npy", marks.getvalue())

    return write


def _npy(array, **changes):
    """The bytes of an .npy file, with a header that says otherwise."""
    file = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | changes
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + array.tobytes()


X, Y = images(9), labels(9)
BAD_NPZS = {
    "no archive": (lambda file: file.write_bytes(b"x" * 99), "no .npz file, or cut short"),
    "nothing": (lambda file: file.write_bytes(b""), "no .npz file, or cut short"),
    "an empty archive": (lambda file: written(file), "no images to train on; it has nothing"),
    "other arrays": (lambda file: written(file, a=X, b=Y), "it has a, b"),
    "test images alone": (lambda file: written(file, x_test=X, y_test=Y), "it has x_test, y_test"),
    "no labels": (lambda file: written(file, x_train=X), "has x_train, but no y_train"),
    "objects": (
        lambda file: written(file, x_train=np.array([Attack()], object), y_train=Y),
        "x_train is an array of",
    ),
    "objects as labels": (
        lambda file: written(file, x_train=X, y_train=np.array(list("abc"), object)),
        "is an array of obj",
    ),
    "fractions": (lambda file: written(file, x_train=X / 255, y_train=Y), "x_train holds 9 x 32 x 32 x 3 of float64"),
    "rows": (lambda file: written(file, x_train=planes(X), y_train=Y), "x_train holds 9 x 3072 of uint8"),
    "four channels": (lambda file: written(file, x_train=images(9, 0, (8, 8, 4)), y_train=Y), "9 x 8 x 8 x 4 of uint8"),
    "volumes": (lambda file: written(file, x_train=images(9, 0, (8, 8, 8)), y_train=Y), "9 x 8 x 8 x 8 of uint8"),
    "no pixels": (lambda file: written(file, x_train=images(9, 0, (0, 8)), y_train=Y), "9 x 0 x 8 of uint8"),
    "one image": (lambda file: written(file, x_train=np.uint8(3), y_train=Y), "x_train holds one number of uint8"),
    "no image": (lambda file: written(file, x_train=X[:0], y_train=Y[:0]), "x_train is empty"),
    "columns": (lambda file: written(file, x_train=np.asfortranarray(X), y_train=Y), "x_train is in Fortran's order"),
    "several labels": (
        lambda file: written(file, x_train=X, y_train=np.eye(9, 14, dtype=int)),
        "y_train: 9 x 14 labels, so several for an image",
    ),
    "fractions as labels": (lambda file: written(file, x_train=X, y_train=Y / 1), "y_train: labels are float64"),
    "a negative label": (lambda file: written(file, x_train=X, y_train=Y - 1), "y_train: there is a label -1"),
    "a high label": (
        lambda file: written(file, x_train=X, y_train=Y * 5),
        "a label 10 in x_train, and 9 images",
    ),
    "a huge label": (
        lambda file: written(file, x_train=X, y_train=Y.astype("u8") + 2**63),
        "label 9223372036854775810",
    ),
    "labels from 1 on": (lambda file: written(file, x_train=X, y_train=Y + 1), "no image of class 0 in train"),
    "too few labels": (lambda file: written(file, x_train=X, y_train=Y[:8]), "y_train: 8 labels for 9 images"),
    "one class": (lambda file: written(file, x_train=X, y_train=0 * Y), "0 is the only class"),
    "a class that only tests have": (
        lambda file: written(file, x_train=X, y_train=Y % 2, x_test=X, y_test=Y),
        "no image of class 2 in train",
    ),
    "grey tests": (
        lambda file: written(file, x_train=X, y_train=Y, x_test=X[..., 0], y_test=Y),
        "some arrays are grey, some in colour",
    ),
    "names that are too few": (
        lambda file: written(file, x_train=X, y_train=Y, class_names=np.array(["a", "b"])),
        "a label 2 in x_train, but only 2 names",
    ),
    "a header of more": (_member(_npy(X, shape=(10**12, 32, 32, 3))), "says that it holds 1000000000000 x 32 x 32 x 3"),
    "a header of less": (
        _member(_npy(X, shape=(2, 32, 32, 3))),
        "says that it holds 2 x 32 x 32 x 3 of uint8",
    ),
    "a header of nothing": (_member(_npy(X, shape=(-9, 32, 32, 3))), "x_train is no array"),
    "no header": (_member(b"\x93NUMPY\x01\x00\xff\xff"), "x_train is no array"),
    "a header of code": (_member(b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getpid()       "), "is no array"),
    "a text": (_member(b"hello"), "x_train is no array"),
    "another version": (_member(b"\x93NUMPY\x07\x00"), "x_train is no array"),
}


@pytest.mark.parametrize("case", BAD_NPZS)
def test_bad_npz_is_one_line_that_names_the_array(tmp_path, case):
    write, message = BAD_NPZS[case]
    write(tmp_path / "set.npz")
    with pytest.raises(DataError, match=message) as raised:
        source_of(tmp_path / "set.npz")
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)


def test_cut_npz_is_an_error(tmp_path):
    file = keras(tmp_path / "set.npz", np.savez_compressed)
    whole = file.read_bytes()
    for share in (0.1, 0.5, 0.99):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataError, match="cut short"):
            source_of(file)


def test_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "RATIO_FROM", 2**24)
    file = tmp_path / "set.npz"
    np.savez_compressed(file, x_train=np.zeros((9, 2048, 1024), np.uint8), y_train=Y)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"x_train has 18,874,368 bytes packed in [0-9,]+, which is refused"):
            source_of(file)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_labels_without_bound_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "MOST_LABEL_BYTES", 64)
    with pytest.raises(DataError, match="y_train holds 30 of int64; at most 64 bytes"):
        source_of(keras(tmp_path / "set.npz"))


def test_packed_images_that_cannot_be_unpacked_are_broken(tmp_path):
    file = keras(tmp_path / "set.npz", np.savez_compressed, shape=(64, 64))
    content = bytearray(file.read_bytes())
    content[2000:2100] = bytes(100)
    file.write_bytes(content)
    source = source_of(file)
    with pytest.raises(BrokenImageError, match="cannot be unpacked"):
        read_all(source, 8)
    with pytest.raises(DataError, match=r"cannot be read: x_train.*cannot be unpacked"):
        cached(source_of(file), Data(""), 8, tmp_path / "caches")


def test_file_that_becomes_shorter_gives_broken_images(tmp_path):
    root = binary10(tmp_path / "set")
    source = source_of(root)
    (root / "test_batch.bin").write_bytes(b"")
    with pytest.raises(BrokenImageError, match="shorter"):
        source.read(source.entries[-1], 32)
    (root / "test_batch.bin").unlink()
    with pytest.raises(BrokenImageError, match="No such file"):
        source.read(source.entries[-1], 32)


def test_packed_rows_are_right_in_any_order_and_by_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 3 * 28 * 28)
    source = source_of(keras(tmp_path / "set.npz", np.savez_compressed))
    expected = images(30, 0, (28, 28))
    train = [entry for entry in source.entries if entry.part == "train"]
    order = np.random.default_rng(0).permutation(30)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda row: source.read(train[row], 28)[0][..., 0], order))
    assert np.array_equal(np.stack(found), expected[order])


def test_packed_images_are_not_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK_BYTES", 2**16)
    file = keras(tmp_path / "set.npz", np.savez_compressed, count=1000, shape=(100, 100))
    tracemalloc.start()
    try:
        source = source_of(file)
        for entry in source.entries[:1000]:
            source.read(entry, 8)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20 < 1000 * 100 * 100
    finally:
        tracemalloc.stop()


def test_entries_are_a_sequence(tmp_path):
    source = source_of(medmnist(tmp_path / "set.npz"))
    entries = source.entries
    assert isinstance(entries, _Entries)
    listed = list(entries)
    assert len(entries) == len(listed) == 90
    assert [entries[at] for at in range(90)] == entries[:] == listed
    assert (entries[-1], entries[29:32]) == (listed[-1], listed[29:32])
    with pytest.raises(IndexError):
        entries[90]
    assert len({entry.name for entry in entries}) == 90


def test_subset_keeps_the_order_of_the_source(tmp_path):
    entries = source_of(keras(tmp_path / "set.npz", count=60)).entries
    part = subset_of(entries, Fraction(1, 2))
    assert len(part) == 45
    assert [list(entries).index(entry) for entry in part] == sorted(list(entries).index(entry) for entry in part)


def test_stamp_changes_with_the_file(tmp_path):
    file = keras(tmp_path / "set.npz")
    before = source_of(file)
    os.utime(file, ns=(1, 1))
    after = source_of(file)
    assert before.stamp(before.entries[0]) != after.stamp(after.entries[0])


def test_the_same_images_in_python_and_binary_files_are_the_same_data(tmp_path):
    """Content alone decides which image is in which split, and how a training knows them."""
    abouts = []
    for name, write in (("a", cifar10), ("b", binary10)):
        source = source_of(write(tmp_path / name))
        abouts.append(cached(source, Data(""), 16, tmp_path / "caches").about)
    assert abouts[0].key == abouts[1].key


def test_looks_are_those_of_the_originals(tmp_path):
    source = source_of(keras(tmp_path / "set.npz", shape=(20, 28)))
    assert isinstance(source, ArraySource)
    assert source.look(source.entries[0]) == (28, 20, "L")
