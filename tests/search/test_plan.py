"""What a run forecasts before it starts."""

import os
import signal
import subprocess
import sys
import time

import pytest

from elastic_search.search.plan import crowd, makespan


@pytest.mark.parametrize(
    ("number", "workers", "seconds"),
    ((0, 1, 5), (4, 1, 45), (4, 2, 25), (5, 2, 30), (1, 2, 10), (1, 8, 10), (0, 2, 5), (10**6, 2, (5 + 10**7) / 2)),
)
def test_makespan_is_that_of_workers_who_take_the_next_training(number, workers, seconds):
    assert makespan(5.0, 10.0, number, workers) == seconds


def children():
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    )
    return set(found.stdout.split())


def test_crowd_keeps_cores_busy_and_leaves_nobody_behind():
    before = children()
    with crowd(2):
        assert len(children() - before) == 3  # ps itself is one
    assert len(children() - before) == 1
    with crowd(0):
        assert len(children() - before) == 1


def test_crowd_ends_with_its_parent():
    code = """
import os, subprocess
from elastic_search.search import plan
started, begin = [], subprocess.Popen
plan.subprocess.Popen = lambda *args, **how: started.append(begin(*args, **how)) or started[-1]
with plan.crowd(1):
    print(started[0].pid, flush=True)
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 9, done.stderr
    for _ in range(200):
        if not os.path.exists(f"/proc/{done.stdout.strip()}"):
            return
        time.sleep(0.05)
    os.kill(int(done.stdout), signal.SIGKILL)
    raise AssertionError("it still ran")
