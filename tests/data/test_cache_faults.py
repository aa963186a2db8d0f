"""Whatever ends a process that fills a cache, the next goes on, and no half-filled cache is taken for whole."""

import errno
import os
import resource
import shutil
import subprocess
import sys
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import pytest

from elastic_search.data import build
from elastic_search.data.cache import CachedImages, load
from elastic_search.errors import EnvironmentFault
from elastic_search.recipes import Data
from tests.data.staging import everything, tree

EDGE = 16
SCRIPT = Path(__file__).with_name("slow_build.py")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "MOST_IN_BATCH", 6)
    return tree(tmp_path / "set")


@pytest.fixture
def expected(root):
    """What an undisturbed process makes of the folder."""
    return everything(load(Data(str(root)), EDGE, root.parent / "undisturbed"))


def loaded(root, **how):
    return load(Data(str(root)), EDGE, root.parent / "cache", **how)


def halves(root):
    """The folders of caches, none of which is whole."""
    folders = [path for path in (root.parent / "cache").iterdir() if path.is_dir()]
    for folder in folders:
        with pytest.raises(EnvironmentFault):
            CachedImages(folder)
    return folders


BATCH_OF_TEN = 512
"""Edge at which ten images fill a batch."""


@pytest.fixture
def start(root):
    """Starts processes that fill the cache and stop half way, and ends them with the test."""
    with ExitStack() as stack:

        def one():
            arguments = (root, root.parent / "cache", BATCH_OF_TEN, root.parent / "go")
            command = [sys.executable, str(SCRIPT), *map(str, arguments)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            return process

        yield one


def lines_until(process, beginning):
    """Lines of a process to the first that begins so."""
    lines = []
    while not lines or not lines[-1].startswith(beginning):
        lines.append(process.stdout.readline())
        assert lines[-1], "the process has ended"
    return lines


def interrupted(root):
    """The folder of a cache whose build ended after nine images."""

    def interrupt(done, total):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loaded(root, watch=interrupt)
    (folder,) = halves(root)
    return folder


def read_by(lines):
    return {line.split(maxsplit=1)[1].strip() for line in lines if line.startswith("read")}


def test_interrupted_build_goes_on_where_it_was(root, expected, reads):
    del reads[:]

    folder = interrupted(root)
    assert build.rows_done(folder) == 9
    del reads[:]
    seen = []
    assert everything(loaded(root, watch=lambda *progress: seen.append(progress))) == expected
    assert len(reads) == 11
    assert seen[0] == (9, 20)
    assert seen[-1] == (20, 20)


def test_of_two_processes_one_builds_and_the_other_waits(root, reads, start):
    builder = start()
    built = lines_until(builder, "watch 12 ")
    waiter = start()
    waited = lines_until(waiter, "watch")
    assert waited == ["watch 10 20\n"]  # what the other has saved
    (root.parent / "go").touch()
    built += builder.communicate(timeout=60)[0].splitlines()
    waited += waiter.communicate(timeout=60)[0].splitlines()
    assert len(read_by(built)) == 20
    assert read_by(waited) == set()
    assert built[-1] == waited[-1]
    load(Data(str(root)), BATCH_OF_TEN, root.parent / "cache")
    assert reads == []


def test_process_that_waits_goes_on_where_a_killed_one_was(root, reads, start):
    killed = start()
    lines_until(killed, "watch 12 ")
    waiter = start()
    lines_until(waiter, "watch")
    killed.kill()
    killed.wait()
    (root.parent / "go").touch()
    rest = waiter.communicate(timeout=60)[0].splitlines()
    assert len(read_by(rest)) == 10
    assert rest[-1].startswith("key ")
    found = load(Data(str(root)), BATCH_OF_TEN, root.parent / "cache")
    assert reads == []
    assert everything(found) == everything(load(Data(str(root)), BATCH_OF_TEN, root.parent / "undisturbed"))


@pytest.mark.parametrize("hashes", (0, 32 * 7 + 5, 32 * 9))
@pytest.mark.parametrize("rows", (0, EDGE * EDGE * 3 * 4 + 100, EDGE * EDGE * 3 * 9))
def test_progress_that_a_crash_tore_is_used_as_far_as_it_fits(root, expected, reads, hashes, rows):
    folder = interrupted(root)
    os.truncate(folder / build.HASHES, hashes)
    os.truncate(folder / build.ROWS, rows)
    with (folder / build.BROKEN).open("a") as file:
        file.write('[3, "torn')
    del reads[:]
    assert everything(loaded(root)) == expected
    assert len(reads) == 20 - min(hashes // 32, rows // (EDGE * EDGE * 3))


def test_disk_that_is_full_at_any_write_is_an_error_and_leaves_no_whole_cache(root, expected, monkeypatch):
    synced, failures = os.fsync, 0
    for failing in range(1, 20):
        shutil.rmtree(root.parent / "cache", ignore_errors=True)
        calls = []

        def full(file, calls=calls, failing=failing):
            calls.append(file)
            if len(calls) == failing:
                raise OSError(errno.ENOSPC, "No space left on device")
            synced(file)

        monkeypatch.setattr(os, "fsync", full)
        try:
            loaded(root)
        except EnvironmentFault as error:
            assert error.exit_code == 3
            assert "No space left on device" in error.message
            assert "--cache" in (error.hint or "")
            assert not list(root.parent.glob("cache/*/*.tmp"))
            for folder in root.parent.glob("cache/*/meta.json"):  # whole, if its name alone may not be on disk
                assert everything(CachedImages(folder.parent)) == expected
            failures += 1
        monkeypatch.setattr(os, "fsync", synced)
        assert everything(loaded(root)) == expected
    assert failures >= 8  # four batches, the sealed files, pixels and labels


def test_write_that_the_system_refuses_is_an_error(root, expected):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        with pytest.raises(EnvironmentFault, match="cannot be written"):
            loaded(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert halves(root)
    assert everything(loaded(root)) == expected


def test_disk_without_room_is_told_before_anything_is_read(root, reads, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 20_000))
    with pytest.raises(EnvironmentFault, match=r"needs 0.00 GB while it is made, 0.00 GB are free"):
        loaded(root)
    assert reads == []


def test_cache_that_cannot_be_made_is_an_error(root):
    (root.parent / "file").write_text("")
    with pytest.raises(EnvironmentFault, match=r"cannot be written \(.*\); free space, or choose another folder"):
        load(Data(str(root)), EDGE, root.parent / "file")
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        load(Data(str(root)), EDGE, root.parent / "file" / "below")


def test_build_holds_a_batch_at_a_time(tmp_path):
    root = tree(tmp_path / "set", 150)
    edge = 256
    total = 300 * edge * edge * 3
    tracemalloc.start()
    try:
        load(Data(str(root)), edge, tmp_path / "cache")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * build.BATCH_BYTES < total / 2
