"""Trainings that make no step any more."""

import json
import os
import subprocess
import sys
import time

import pytest

from elastic_search.errors import EnvironmentFault
from elastic_search.search.store.result import Result
from elastic_search.search.supervisor import HUNG
from elastic_search.search.trials.watchdog import HungError, Watchdog
from tests.conftest import ONE_THREAD
from tests.search.staging import Trainer, proposals, start  # noqa: F401


def nothing(reason):
    raise AssertionError(reason)


def wait(seconds):
    """Wait in small steps, as Python code does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_training_that_sleeps_is_ended_and_one_that_steps_is_not():
    watchdog = Watchdog(lambda: 0.3, nothing)
    with watchdog.watching():
        for _ in range(10):
            wait(0.05)
            watchdog.beat()
    began = time.monotonic()
    with pytest.raises(HungError, match="no step of the training in"), watchdog.watching():
        wait(30)
    assert time.monotonic() - began < 10


def test_training_that_no_exception_ends_is_given_up():
    reasons = []
    watchdog = Watchdog(lambda: 0.2, reasons.append, grace=0.3)
    with watchdog.watching():
        until = time.monotonic() + 30
        while not reasons and time.monotonic() < until:
            try:
                wait(30 if not reasons else 0)
            except HungError:
                while not reasons and time.monotonic() < until:
                    time.sleep(0.01)
    assert len(reasons) == 1
    assert "no step of the training" in reasons[0]


def test_process_that_was_stopped_for_long_is_not_taken_for_hung(monkeypatch):
    """After SIGSTOP and SIGCONT the clock has jumped, while nothing could step."""
    now, real = [0.0], time.monotonic
    monkeypatch.setattr("elastic_search.search.trials.watchdog.time.monotonic", lambda: real() + now[0])
    watchdog = Watchdog(lambda: 2.0, nothing, grace=5.0)
    with watchdog.watching():
        time.sleep(0.7)
        now[0] = 3600.0
        time.sleep(1.0)
        watchdog.beat()
        time.sleep(0.5)


def test_hung_trial_is_recorded_and_the_search_goes_on(start, monkeypatch):  # noqa: F811
    monkeypatch.setattr("elastic_search.search.trials.loop.PATIENCE", 0.4)

    def hang(epoch):
        if epoch == 8:
            wait(60)

    search = start(Trainer(hang), trials=4)
    began = time.monotonic()
    assert search.run() == "trials"
    assert time.monotonic() - began < 40
    assert [state for _, state, _, _ in proposals(search)].count("PRUNED") == 1
    assert "no step of the training" in search.folder.result(1).reason
    assert not search.folder.checkpoint(1).exists()


BLOCKED = """
import sys, time
from pathlib import Path
from elastic_search.search.trials import loop, watchdog
from tests.search.staging import Trainer, starter

def hang(epoch):
    if epoch == int(sys.argv[2]):
        while True:  # what HungError does not end
            try:
                time.sleep(0.05)
            except watchdog.HungError:
                pass

loop.PATIENCE = 0.4
search = starter(Path(sys.argv[1]))(Trainer(hang), trials=3, hung_code=75)
search._watchdog.grace = 0.4
print(search.run())
"""


def blocked(folder, epoch):
    command = [sys.executable, "-c", BLOCKED, str(folder), str(epoch)]
    return subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, timeout=120, check=False
    )


def test_blocked_training_ends_its_process_and_the_next_start_goes_on(tmp_path):
    done = blocked(tmp_path, 5)
    assert done.returncode == HUNG, done.stderr
    assert "recorded, and the process ended" in done.stderr
    assert "no step" in json.loads((tmp_path / "run/trials/0.json").read_text())["reason"]
    done = blocked(tmp_path, 0)
    assert (done.returncode, done.stdout) == (0, "trials\n"), done.stderr


def test_blocked_training_ends_its_process_although_nothing_can_be_written(start, monkeypatch):  # noqa: F811
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def full(*args):
        raise EnvironmentFault("the disk is full")

    search = start()
    search._pending = Result(0, {}, "x", 1, 1)
    monkeypatch.setattr(search.folder, "record", full)
    search._give_up("no step")
    assert codes == [3]
