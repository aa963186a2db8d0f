"""A cache is whole or none: what it holds, when it is made anew, and what is said of what it leaves out."""

import os
import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from elastic_search.data import build
from elastic_search.data.cache import CachedImages, cached, default_cache, load
from elastic_search.data.decode import squared
from elastic_search.data.folder import FolderSource
from elastic_search.errors import DataError, EnvironmentFault, UsageError
from elastic_search.recipes import Data
from tests.data.staging import encoded, everything, fill, parted, picture, tree

EDGE = 16


@pytest.fixture
def root(tmp_path):
    return tree(tmp_path / "set")


def loaded(root, **how):
    return load(Data(str(root), **how), EDGE, root.parent / "cache")


def test_images_are_those_of_the_files(root):
    dataset = loaded(root)
    assert dataset.about.name == "set"
    assert dataset.about.classes == ("cat", "dog")
    assert (dataset.about.edge, dataset.about.channels, dataset.about.notes) == (None, 3, ())
    assert dataset.examples("train").images.shape[1:] == (3, EDGE, EDGE)
    expected = {squared(Image.open(file), EDGE).tobytes() for file in root.rglob("*.png")}
    found = [
        image.permute(1, 2, 0).numpy().tobytes()
        for split in dataset.about.images
        for image in dataset.examples(split).images
    ]
    assert len(found) == 20
    assert set(found) == expected


def test_labels_are_those_of_the_folders(tmp_path):
    for name, level in (("dark", 20), ("light", 200)):
        folder = fill(tmp_path / "set" / name, 0)
        for at in range(6):
            (folder / f"{at}.png").write_bytes(encoded(picture().convert("L").point(lambda _, n=level + at: n)))
    examples = loaded(tmp_path / "set").examples("train")
    assert (examples.images.float().mean((1, 2, 3)) > 100).long().tolist() == examples.labels.tolist()


def test_second_start_reads_no_image(root, reads):
    first = loaded(root)
    assert len(reads) == 20
    again = loaded(root)
    assert len(reads) == 20
    assert again.about == first.about
    assert everything(again) == everything(first)


def test_images_lie_in_the_map_of_the_file_which_a_write_does_not_reach(root):
    dataset = loaded(root)
    before = (dataset.folder / "pixels.npy").read_bytes()
    images = dataset.examples("train").images
    assert images.is_contiguous(memory_format=torch.channels_last)
    images.zero_()
    assert (dataset.folder / "pixels.npy").read_bytes() == before
    assert dataset.examples("train").images.any()


def test_dataset_crosses_to_another_process_as_a_path(root):
    dataset = loaded(root)
    content = pickle.dumps(dataset)
    assert len(content) < 2000
    assert everything(pickle.loads(content)) == everything(dataset)
    assert everything(CachedImages(dataset.folder)) == everything(dataset)


@pytest.mark.parametrize(
    "how", ({"held_out": Fraction(1, 5)}, {"rank_on": "val"}, {"subset": Fraction(1, 2)}, {"edge": 20}), ids=str
)
def test_what_changes_the_images_has_a_cache_of_its_own(root, how):
    edge = how.get("edge", EDGE)
    data = Data(str(root), **{name: value for name, value in how.items() if name != "edge"})
    other, first = load(data, edge, root.parent / "cache"), loaded(root)
    assert other.folder != first.folder
    assert other.about.key != first.about.key


def test_changed_files_are_read_again_but_are_the_same_data_by_content(root, reads):
    first = loaded(root)
    for file in (root / "cat").iterdir():
        os.utime(file, ns=(1, 1))
        file.rename(file.with_stem(f"renamed {file.stem}"))
    same = loaded(root)
    assert len(reads) == 40
    assert same.folder != first.folder
    assert same.about == first.about
    assert everything(same) == everything(first)
    (root / "cat" / "renamed 0.png").write_bytes(encoded(picture(99)))
    assert loaded(root).about.key != first.about.key


def test_set_may_be_moved(root, reads):
    first = loaded(root)
    root.rename(root.with_name("moved"))
    moved = loaded(root.with_name("moved"))
    assert len(reads) == 20
    assert moved.folder == first.folder
    assert (moved.about.name, moved.about.key) == ("moved", first.about.key)


def _flip(file):
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ("pixels.npy", "labels.npy", "meta.json"))
@pytest.mark.parametrize(
    "damage",
    (_flip, lambda file: file.unlink(), lambda file: os.truncate(file, 200), lambda file: os.truncate(file, 0)),
    ids=("flipped", "missing", "cut", "empty"),
)
def test_damaged_cache_is_made_anew(root, reads, name, damage):
    first = loaded(root)
    held, before = first.examples("train").images, everything(first)
    file = first.folder / name
    content = file.read_bytes()
    file.unlink()  # whoever cuts a mapped file ends its readers
    file.write_bytes(content)
    damage(file)
    with pytest.raises(EnvironmentFault):
        CachedImages(first.folder)
    again = loaded(root)
    assert len(reads) == 40
    assert everything(again) == before
    assert held.any()


def test_large_cache_is_checked_in_some_blocks(root, monkeypatch):
    monkeypatch.setattr(build, "BLOCK_BYTES", 1)  # a block for each of 20 images, of which 16 are checked
    folder = loaded(root).folder
    CachedImages(folder)
    content = bytearray((folder / "pixels.npy").read_bytes())
    caught = 0
    for at in range(20):
        content[128 + at * EDGE * EDGE * 3] ^= 1
        (folder / "pixels.npy").write_bytes(content)
        content[128 + at * EDGE * EDGE * 3] ^= 1
        try:
            CachedImages(folder)
        except EnvironmentFault:
            caught += 1
    assert caught == 16


def test_broken_files_are_left_out_and_listed(tmp_path):
    root = tree(tmp_path / "set", 40)
    (root / "cat" / "0.png").write_bytes(b"")
    (root / "cat" / "1.png").write_bytes(encoded(picture(7))[:-300])
    (root / "dog" / "2.png").write_text("<html>404</html>")
    dataset = loaded(root)
    assert sum(dataset.about.images.values()) == 77
    assert [name for name, _ in dataset.broken] == ["cat/0.png", "cat/1.png", "dog/2.png"]
    assert dataset.about.notes[0].startswith("3 of the images cannot be read and are left out: cat/0.png (empty), ")
    assert loaded(root).about.notes == dataset.about.notes


def test_many_broken_files_are_an_error_that_names_the_first(tmp_path, reads):
    root = tree(tmp_path / "set", 50)
    for at in range(6):
        (root / "cat" / f"{at}.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"more than 5% of 100 images cannot be read: cat/0.png \(empty\), ") as caught:
        loaded(root)
    assert caught.value.exit_code == 3
    assert list((tmp_path / "cache").iterdir()) == []
    (root / "cat" / "0.png").write_bytes(encoded(picture(99)))
    assert len(loaded(root).broken) == 5


def test_many_broken_files_are_told_before_all_are_read(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(build, "MOST_IN_BATCH", 10)
    root = tree(tmp_path / "set", 100)
    for file in (root / "cat").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError):
        loaded(root)
    assert len(reads) <= 30


def test_doubles_clashes_and_what_is_beside_are_noted(tmp_path):
    root = parted(tmp_path / "set")
    (root / "val" / "cat" / "double.png").write_bytes((root / "train" / "cat" / "0.png").read_bytes())
    (root / "val" / "dog" / "clash.png").write_bytes((root / "train" / "cat" / "1.png").read_bytes())
    (root / "train" / "beside.png").write_bytes(encoded(picture()))
    about = loaded(root).about
    assert dict(about.images) == {"train": 16, "rank": 2, "final": 9}
    assert dict(about.splits) == {"train": "90% of train/", "rank": "10% of train/", "final": "val/"}
    assert about.notes == (
        "images beside the folders of classes are left out (1)",
        "doubles of other images are left out (1)",
        "the same image is in two classes and is left out: train/cat/1.png and val/dog/clash.png",
    )


def test_class_that_is_too_small_leaves_no_cache(tmp_path):
    root = tree(tmp_path / "set")
    fill(root / "newt", 1, seed=5)
    with pytest.raises(DataError, match=r"too few images in newt \(1 of at least 3\)"):
        loaded(root)
    assert list((tmp_path / "cache").iterdir()) == []


def test_subset_reads_no_more_than_it_uses(tmp_path, reads):
    root = tree(tmp_path / "set", 40)
    dataset = loaded(root, subset=Fraction(1, 4))
    assert len(reads) == sum(dataset.about.images.values()) == 20
    assert dataset.about.notes[0] == "25% of the images of each class are used"


def test_grey_source_has_one_channel(root, monkeypatch):
    monkeypatch.setattr(FolderSource, "channels", 1)
    dataset = cached(FolderSource(root), Data("unused"), EDGE, root.parent / "cache")
    assert dataset.about.channels == 1
    assert dataset.examples("rank").images.shape[1:] == (1, EDGE, EDGE)


def test_cache_among_the_images_is_refused(root):
    with pytest.raises(UsageError, match="among the images"):
        load(Data(str(root)), EDGE, root / "cache")
    assert not (root / "cache").exists()


def test_nothing_is_written_but_in_the_cache(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    folder = loaded(root).folder
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert sorted(path.name for path in folder.iterdir()) == ["labels.npy", "meta.json", "pixels.npy", "used"]
    assert {path.name for path in root.parent.iterdir()} == {"set", "cache"}


def test_default_cache_follows_the_standard(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "elastic-search" / "images"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "elastic-search" / "images"


def test_cache_that_may_only_be_read_is_read(root, monkeypatch):
    folder = loaded(root).folder

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("touch", "mkdir"):
        monkeypatch.setattr(f"pathlib.Path.{name}", refused)
    assert loaded(root).folder == folder


def test_pixels_are_a_plain_npy_file(root):
    dataset = loaded(root)
    pixels = np.load(dataset.folder / "pixels.npy", allow_pickle=False)
    assert pixels.shape == (20, EDGE, EDGE, 3)
    assert pixels.dtype == np.uint8
