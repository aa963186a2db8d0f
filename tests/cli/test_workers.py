"""``search --workers`` as users run it: shared trials, kills, and no process left behind."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tests.cli.staging import launch, space, wait_for  # noqa: F401


def children(process):
    """Process ids of the workers."""
    listing = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in listing.stdout.split()]


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def check_whole(folder, trials):
    """A run is sound: every number once, every network once, every trial ended and recorded."""
    results = [json.loads(path.read_text()) for path in (folder / "trials").glob("*.json")]
    assert sorted(result["number"] for result in results) == list(range(trials))
    assert len({json.dumps(result["values"], sort_keys=True) for result in results}) == trials
    with closing(sqlite3.connect(folder / "study.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        states = database.execute("SELECT state FROM trials").fetchall()
    assert len(states) == trials
    assert {state for (state,) in states} <= {"COMPLETE", "PRUNED"}


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def killed_workers(space, kills, trials, seed):  # noqa: F811
    """Run a search with two workers to its end, killing one of them at random again and again."""
    rng, done = random.Random(seed), 0
    process = launch(space, "--trials", str(trials), "--workers", "2", "--name", "killed", "--no-halving")
    wait_for(space / "runs/killed/study.db", process)
    before = {}
    while process.poll() is None and done < kills:
        time.sleep(rng.uniform(3.0, 6.0))
        for name, content in before.items():
            assert (space / "runs/killed/trials" / name).read_bytes() == content
        before = {path.name: path.read_bytes() for path in (space / "runs/killed/trials").glob("*.json")}
        if workers := children(process):
            os.kill(rng.choice(workers), signal.SIGKILL)
            done += 1
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 0, stderr
    assert stderr.count("another takes its place") == done
    check_whole(space / "runs/killed", trials)
    return done


@pytest.mark.slow
@linux
def test_killed_workers_are_replaced_and_nothing_is_lost(space):  # noqa: F811
    assert killed_workers(space, 2, 6, seed=1)


@linux
@pytest.mark.full
def test_ten_killed_workers_are_replaced_and_nothing_is_lost(space):  # noqa: F811
    text = (space / "tiny.toml").read_text()
    (space / "tiny.toml").write_text(text.replace("epochs = 3", "epochs = 12").replace("= 40", "= 120"))
    assert killed_workers(space, 10, 12, seed=2) >= 5


@pytest.mark.slow
@linux
def test_workers_end_with_a_killed_supervisor_and_the_run_resumes(space):  # noqa: F811
    process = launch(space, "--trials", "4", "--workers", "2", "--name", "orphans")
    wait_for(space / "runs/orphans/checkpoints/base.pt", process)
    workers = children(process)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # One worker goes on where two were.
    resumed = launch(space, "--trials", "4", "--name", "orphans")
    _, stderr = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, stderr
    check_whole(space / "runs/orphans", 4)


@linux
def test_signal_ends_all_workers_and_the_code_says_so(space):  # noqa: F811
    process = launch(space, "--trials", "8", "--workers", "2", "--name", "stopped")
    wait_for(space / "runs/stopped/checkpoints/base.pt", process)
    workers = children(process)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 143, stderr
    assert "run the same command to resume" in stderr
    assert "Traceback" not in stderr
    assert not any(map(is_alive, workers))
