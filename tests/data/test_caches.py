"""What caches there are, and that removing them touches nothing else."""

import os
import time

import pytest

from elastic_search.data import build
from elastic_search.data.cache import META, alone, load
from elastic_search.data.caches import caches, chosen, remove, seconds_of, unused
from elastic_search.errors import EnvironmentFault, UnknownNameError, UsageError
from elastic_search.recipes import Data
from tests.data.staging import tree

DAY = 86400


@pytest.fixture
def root(tmp_path):
    return tree(tmp_path / "set", 5)


@pytest.fixture
def folder(root):
    """Of all caches."""
    return root.with_name("caches")


def made(root, folder, edge=16, **how):
    return load(Data(str(root)), edge, folder, **how)


def interrupted(root, folder):
    def interrupt(done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(root, folder, 24, watch=interrupt)


def test_no_folder_has_no_caches(folder):
    assert caches(folder) == []


def test_caches_say_what_they_hold_the_last_used_first(root, folder):
    first, second = made(root, folder), made(root, folder, 32)
    os.utime(first.folder / "used", (1, 1))
    os.utime(first.folder, (1, 1))
    found = caches(folder)
    assert [(info.name, info.edge, info.images, info.decoded, info.state) for info in found] == [
        ("set", 32, 10, 10, "whole"),
        ("set", 16, 10, 10, "whole"),
    ]
    assert [info.folder for info in found] == [second.folder, first.folder]
    assert all(info.bytes >= 10 * info.edge**2 * 3 for info in found)
    made(root, folder)
    assert caches(folder)[0].folder == first.folder


def test_unfinished_and_damaged_caches_are_listed(root, folder):
    interrupted(root, folder)
    (info,) = caches(folder)
    assert (info.name, info.images, info.decoded, info.state) == ("set", 10, 4, "unfinished")
    (made(root, folder).folder / META).write_text("{}")
    assert {info.state for info in caches(folder)} == {"unfinished", "damaged"}


def test_removed_caches_are_gone_and_readers_keep_their_images(root, folder):
    interrupted(root, folder)
    images = made(root, folder).examples("train").images
    before = images.clone()
    for info in caches(folder):
        assert remove(info) == info.bytes
    assert list(folder.iterdir()) == []
    assert (images == before).all()
    assert len(list(root.rglob("*.png"))) == 10


def test_nothing_but_caches_is_listed_or_removed(root, folder):
    dataset = made(root, folder)
    (folder / "notes.txt").write_text("mine")
    (folder / "my images").mkdir()
    (folder / ("a" * 32)).mkdir()
    (folder / ("a" * 32) / "thesis.tex").write_text("mine")
    (folder / ("b" * 32)).symlink_to(dataset.folder)
    (info,) = caches(folder)
    (dataset.folder / "mine.txt").write_text("mine")
    with pytest.raises(EnvironmentFault, match=r"holds mine\.txt, which is not of a cache"):
        remove(info)
    assert (dataset.folder / "mine.txt").read_text() == "mine"
    assert (folder / ("a" * 32) / "thesis.tex").exists()


def test_folder_that_became_something_else_is_not_removed(root, folder):
    made(root, folder)
    (info,) = caches(folder)
    info.folder.rename(folder / "moved")
    info.folder.symlink_to(root)
    with pytest.raises(EnvironmentFault, match="not a cache"):
        remove(info)
    assert len(list(root.rglob("*.png"))) == 10


def test_cache_that_is_being_made_is_not_removed(root, folder):
    interrupted(root, folder)
    (info,) = caches(folder)
    with alone(info.folder), pytest.raises(EnvironmentFault, match="a process is making this cache"):
        remove(info)
    assert build.rows_done(info.folder) == 4


def test_beginning_of_a_key_names_a_cache(root, folder):
    key = made(root, folder).folder.name
    found = caches(folder)
    assert chosen(found, key[:6]).key == key
    with pytest.raises(UsageError, match="too short"):
        chosen(found, key[:3])
    with pytest.raises(UnknownNameError):
        chosen(found, "zzzzzz")
    with pytest.raises(UsageError, match="2 caches begin so"):
        chosen(found * 2, key[:6])


def test_unused_caches_are_those_that_nobody_opened_for_so_long(root, folder):
    dataset = made(root, folder)
    for path in (dataset.folder / "used", dataset.folder):
        os.utime(path, (time.time() - 31 * DAY,) * 2)
    found = caches(folder)
    assert unused(found, 30 * DAY) == found
    assert unused(found, 32 * DAY) == []


@pytest.mark.parametrize(
    ("text", "seconds"), (("12h", 12 * 3600), ("30d", 30 * DAY), ("2w", 14 * DAY), ("0.5d", DAY / 2))
)
def test_times_are_read(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ("", "30", "d", "-3d", "3 months", "nand"))
def test_what_is_no_time_is_an_error(text):
    with pytest.raises(UsageError, match="not a time"):
        seconds_of(text)
