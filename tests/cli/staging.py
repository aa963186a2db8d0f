"""What tests of the commands that make a run share."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from tests.conftest import ONE_THREAD

SPACE = """
schema = 1
base = "resnext50"
[depths]
layer1 = "3..8"
layer2 = "4..9"
layer3 = "4..7"
layer4 = [3]
[splits]
choices = ["1/2,1/2", "1/4,3/4"]
per = "network"
[band]
input = 64
[proxy]
width = "1/32"
input = 16
epochs = 3
train_images = 40
test_images = 20
batch = 20
"""


@pytest.fixture
def space(tmp_path):
    (tmp_path / "tiny.toml").write_text(SPACE)
    return tmp_path


def launch(folder, *args):
    command = [sys.executable, "-m", "elastic_search", "search", "tiny.toml", "--device", "cpu", *args]
    environment = {**os.environ, **ONE_THREAD}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(path, process, more=lambda path: True):
    for _ in range(1200):
        if path.exists() and more(path):
            return
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError(f"{path} did not appear")


@pytest.fixture
def run(command, tmp_path, made):
    shutil.copytree(made, tmp_path / "runs/tiny")
    return tmp_path / "runs/tiny"


@pytest.fixture(scope="session")
def made(searched):
    """The folder of a small run."""
    return searched / "runs/tiny"


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The folder in which a search of three networks ran to its end, once for all processes that run tests.

    It holds what the command said (done.stdout, done.stderr), and what it then showed as JSON (shown.json).
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder = shared / "searched"
    with FileLock(shared / "searched.lock"):
        if not (folder / "shown.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "tiny.toml").write_text(SPACE)
            done = _search(folder)
            (folder / "done.stdout").write_text(done.stdout)
            (folder / "done.stderr").write_text(done.stderr)
            (folder / "shown.json").write_text(_search(folder, "--json").stdout)
    return folder


def _search(folder, *more):
    command = [sys.executable, "-m", "elastic_search", "search", "tiny.toml", "--trials", "3", "--device", "cpu", *more]
    environment = {**os.environ, **ONE_THREAD, "COLUMNS": "80"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
