"""CIFAR's files as sources, and what is wrong with those that cannot be used."""

import pickle

import numpy as np
import pytest

from elastic_search.data import cifar
from elastic_search.data.folder import FolderSource
from elastic_search.data.source import source_of
from elastic_search.errors import DataError
from tests.data.array_files import (
    NAMES,
    Attack,
    binary10,
    binary100,
    cifar10,
    cifar100,
    images,
    labels,
    planes,
    python2,
    python3,
    read_all,
)
from tests.data.staging import tree

CIFARS = {
    "10 python": (cifar10, {}),
    "10 python 3": (cifar10, {"write": python3}),
    "100 python": (cifar100, {}),
    "10 binary": (binary10, {}),
    "100 binary": (binary100, {}),
}


@pytest.mark.parametrize("form", CIFARS)
def test_cifar_is_read_as_it_was_written(tmp_path, form):
    write, how = CIFARS[form]
    source = source_of(write(tmp_path / "set", **how))
    assert (source.name, source.classes, source.channels, source.edge) == ("set", NAMES, 3, 32)
    assert list(source.parts) == ["train", "final"]
    batches = 2 if "10 " in form else 1
    found = read_all(source)
    assert np.array_equal(found["train"], np.concatenate([images(30, seed) for seed in range(batches)]))
    assert np.array_equal(found["final"], images(30, batches))
    assert [entry.label for entry in source.entries] == (batches + 1) * labels(30).tolist()


@pytest.mark.parametrize("name", cifar.FOLDERS)
def test_cifar_is_found_one_level_down(tmp_path, name):
    write = {"10-batches-py": cifar10, "100-python": cifar100, "10-batches-bin": binary10, "100-binary": binary100}
    write[name.removeprefix("cifar-")](tmp_path / name)
    assert source_of(tmp_path).name == name


def test_two_cifars_in_a_folder_are_an_error_that_names_both(tmp_path):
    cifar10(tmp_path / "cifar-10-batches-py")
    cifar100(tmp_path / "cifar-100-python")
    with pytest.raises(DataError, match="cifar-10-batches-py and cifar-100-python"):
        source_of(tmp_path)


@pytest.mark.parametrize("path", ("", "cifar-10-python.tar.gz"))
def test_packed_cifar_is_an_error_with_the_command_that_unpacks_it(tmp_path, path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=f"is packed.*tar -xf {tmp_path}/cifar-10-python.tar.gz -C {tmp_path}$"):
        source_of(tmp_path / path)


def test_unpacked_cifar_beside_its_archive_is_read(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    cifar10(tmp_path / "cifar-10-batches-py")
    assert source_of(tmp_path).classes == NAMES


def test_cifar_without_names_or_test_images_or_all_batches_is_read(tmp_path):
    root = cifar10(tmp_path / "set")
    for name in ("batches.meta", "test_batch"):
        (root / name).unlink()
    source = source_of(root)
    assert source.classes == ("0", "1", "2")
    assert source.parts == {"": "train"}
    assert source.notes == (
        "there is no test_batch: the test images are split off the others",
        "2 of the 5 files of training images are there",
    )


def test_folders_of_images_named_as_files_of_cifar_are_folders_of_images(tmp_path):
    source = source_of(tree(tmp_path / "set", 2, ("data_batch_1", "meta")))
    assert isinstance(source, FolderSource)
    (tmp_path / "set" / "train").write_text("a file")
    assert source_of(tmp_path / "set").classes == ("data_batch_1", "meta")


def _cut(name, length):
    def damage(root):
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[:length])

    return damage


def _written(name, value):
    return lambda root: (root / name).write_bytes(value if isinstance(value, bytes) else python2(value))


def _batch(marks, count=3):
    return {b"data": planes(images(count)), b"labels": marks}


BAD_CIFARS = {
    "a cut pickle": (cifar10, _cut("data_batch_2", 5000), "data_batch_2: cut short or damaged"),
    "a cut record": (binary10, _cut("data_batch_2.bin", 5000), "data_batch_2.bin: 5,000 bytes are no records of 3,073"),
    "no record": (binary100, _cut("test.bin", 0), "test.bin: 0 bytes"),
    "a call": (
        cifar10,
        _written("data_batch_1", python3({b"data": Attack()})),
        "data_batch_1: refused.*sys.exit",
    ),
    "a call for names": (cifar10, _written("batches.meta", python3([Attack()])), "batches.meta: refused"),
    "no names": (cifar10, _written("batches.meta", {b"label_names": []}), "holds no names"),
    "a name twice": (binary10, _written("batches.meta.txt", b"a\na\nb\n"), "holds no names"),
    "fewer names": (binary10, _written("batches.meta.txt", b"a\nb\n"), "a label 2 in data_batch_1.bin, but only 2"),
    "more names": (binary10, _written("batches.meta.txt", b"a\nb\nc\nd\ne\n"), "no image of class d in train"),
    "no labels": (cifar10, _written("test_batch", {b"data": planes(images(3))}), "test_batch: holds no 'labels'"),
    "no images": (cifar10, _written("test_batch", {b"labels": [0, 1, 2]}), "test_batch: holds no 'data'"),
    "a negative label": (cifar10, _written("test_batch", _batch([0, 1, -1])), "test_batch: there is a label -1"),
    "a high label": (cifar10, _written("test_batch", _batch([0, 1, 3])), "a label 3 in test_batch, but only 3 names"),
    "a huge label": (cifar10, _written("test_batch", python3(_batch([0, 1, 2**80]))), "label is of type int"),
    "a fraction": (cifar10, _written("test_batch", python3(_batch([0, 1, 0.5]))), "test_batch: a label is 0.5"),
    "a text": (cifar10, _written("test_batch", _batch([0, 1, b"x"])), "a label is of type bytes"),
    "too few labels": (cifar10, _written("test_batch", _batch([0, 1])), "test_batch: 2 labels for 3 images"),
    "labels in no list": (cifar10, _written("test_batch", _batch(7)), "its labels are no list"),
    "labels as an array": (cifar10, _written("test_batch", python3(_batch(labels(3)[:2]))), "2 labels for 3 images"),
    "other images": (
        cifar10,
        _written("test_batch", {b"data": np.zeros((3, 3000), np.uint8), b"labels": [0, 1, 2]}),
        "test_batch: its data are no rows of 3,072 bytes",
    ),
    "images that are no array": (cifar10, _written("test_batch", {b"data": [1], b"labels": [0]}), "data are no rows"),
    "a class without test images": (cifar10, _written("test_batch", _batch([0, 1, 1])), "class bird in test;"),
}


@pytest.mark.parametrize("case", BAD_CIFARS)
def test_bad_cifar_is_one_line_that_names_the_file(tmp_path, case):
    write, damage, message = BAD_CIFARS[case]
    damage(write(tmp_path / "set"))
    with pytest.raises(DataError, match=message) as raised:
        source_of(tmp_path / "set")
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)


def test_labels_of_a_long_array_in_a_pickle_are_read(tmp_path):
    count = 1500
    said = {b"data": planes(images(count)), b"labels": labels(count)}
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(said, 4))
    assert [entry.label for entry in source_of(tmp_path).entries] == labels(count).tolist()


def test_unreadable_file_is_named(tmp_path, monkeypatch):
    root = binary10(tmp_path / "set")

    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cifar, "stamp_of", refused)
    with pytest.raises(DataError, match=r"data_batch_1.bin: cannot be read \(Permission denied"):
        source_of(root)
