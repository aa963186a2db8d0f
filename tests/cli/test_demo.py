"""``make demo``: it ends well on a slow and busy machine, and after a kill; the base and four networks, believable."""

import csv
import io
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path

import pytest

from elastic_search.files import load_space
from tests.cli.staging import wait_for

ROOT = Path(__file__).parents[2]
TINY = """
schema = 1
inherit = "demo"
[proxy]
width = "1/32"
train_images = 40
val_images = 10
test_images = 20
batch = 20
"""


def demo_command():
    """The search of the Makefile's demo, as it stands there."""
    (line,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "elastic-search search" in line)
    words = shlex.split(line.strip().replace("$(VENV)/bin/elastic-search", "").replace("$(DEVICE)", "cpu"))
    return [sys.executable, "-m", "elastic_search", *words]


def launch(folder, tiny, *more):
    if tiny:
        (folder / "demo.toml").write_text(TINY)
    command = [word if word != "demo" or not tiny else "demo.toml" for word in demo_command()] + list(more)
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@contextmanager
def on_one_busy_core():
    """All that starts here shares one core with two processes that never rest."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, cores)


def ended(process):
    """What a search that ended well printed: stdout and stderr."""
    stdout, stderr = process.communicate(timeout=1800)
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr
    return stdout, stderr


def networks(folder, listed):
    """Rows of the finished demo, from its CSV, after a look at what it leaves."""
    assert "on the validation scenes, which ranked it, and" in (folder / "runs/demo/best.toml").read_text()
    rows = list(csv.DictReader(io.StringIO(listed)))
    assert [(row["state"], row["rank"]) for row in rows] == [("base", ""), *(("finished", str(i)) for i in range(1, 5))]
    assert {int(row["epochs"]) for row in rows} == {load_space("demo").training.epochs}
    ranked = [float(row["accuracy"]) for row in rows[1:]]
    assert ranked == sorted(ranked, reverse=True)
    return rows


@pytest.mark.slow
def test_demo_trains_the_base_and_four_networks_to_the_end(tmp_path):
    listed, stderr = ended(launch(tmp_path, True, "--format", "csv"))
    for said in ("measuring an epoch", "steps/s in each of 2 workers", "ends: in about 0:", "no limit"):
        assert said in stderr
    for row in networks(tmp_path, listed):
        assert (10 * float(row["accuracy"])) % 1 == pytest.approx(0)
        assert (20 * float(row["test_accuracy"])) % 1 == pytest.approx(0)
        assert 0 < float(row["standard_error"]) < 0.12


@pytest.mark.parametrize(
    "tiny", (pytest.param(True, marks=pytest.mark.slow), pytest.param(False, marks=pytest.mark.full))
)
def test_demo_on_one_busy_core_is_killed_and_goes_on_to_its_end(tmp_path, tiny):
    with on_one_busy_core():
        process = launch(tmp_path, tiny)
        wait_for(tmp_path / "runs/demo/checkpoints", process, lambda path: any(path.glob("*.pt")))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        table, stderr = ended(launch(tmp_path, tiny))
    assert "resuming" in stderr
    for shown in ("val acc  test acc", "±: one standard error of test acc (Wilson, of", "told apart"):
        assert shown in table
    found = networks(tmp_path, ended(launch(tmp_path, tiny, "--format", "csv"))[0])
    if not tiny:
        assert min(float(row["test_accuracy"]) for row in found) >= 0.5  # five times chance


def test_demo_is_bounded_by_trials_and_stops_nothing_early():
    words = demo_command()
    assert words[words.index("--trials") + 1] == "4"
    assert "--no-halving" in words
    assert not {"--minutes", "--hours", "--until"} & set(words)
    assert tomllib.loads((ROOT / "search_spaces/demo.toml").read_text())["proxy"]["val_images"] > 0
