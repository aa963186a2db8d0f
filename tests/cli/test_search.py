"""``search`` as users run it: real proxies, real signals, real kills."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

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


def results(folder, name):
    command = (sys.executable, "-m", "elastic_search", "search", "tiny.toml", "--device", "cpu")
    done = subprocess.run(
        [*command, "--trials", "3", "--name", name, "--json"],
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    )
    networks = json.loads(done.stdout)["networks"]
    return done, [{key: value for key, value in network.items() if key != "seconds"} for network in networks]


def test_search_ranks_proxies_beside_the_base_and_writes_the_best(command, space):
    args = ("search", "tiny.toml", "--trials", "3", "--device", "cpu")
    done = command(*args)
    assert "networks of tiny are inside" in done.stderr
    assert "trial 3/3" in done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("base") and "3-4-6-3" in line for line in lines)
    assert "a proxy, not an ImageNet result" in done.stdout
    data = json.loads(command(*args, "--json").stdout)
    assert [network["rank"] for network in data["networks"]] == ["base", "1", "2", "3"]
    band = data["band"]
    for network in data["networks"]:
        assert band["low"] <= network["cost"] <= band["high"]
        assert set(network["accuracy_by_size"]) <= {"small", "medium", "large"}
    best = json.loads(command("flops", "runs/tiny/best.toml", "--json").stdout)["networks"][0]
    assert best["id"] == data["networks"][1]["id"]
    assert best["fvcore"] == data["networks"][1]["cost"]


def test_finished_run_is_shown_and_not_overwritten(command, space):
    first = command("search", "tiny.toml", "--trials", "1", "--device", "cpu")
    before = {path: path.stat().st_mtime_ns for path in (space / "runs/tiny/trials").iterdir()}
    again = command("search", "tiny.toml", "--trials", "1", "--device", "cpu")
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (space / "runs/tiny/trials").iterdir()} == before
    refused = command("search", "tiny.toml", "--trials", "1", "--seed", "7", check=2)
    assert "choose another --name" in refused.stderr


@pytest.mark.parametrize(("sent", "code"), ((signal.SIGINT, 130), (signal.SIGTERM, 143)))
def test_signal_ends_cleanly_and_the_same_command_resumes(space, sent, code):
    process = launch(space, "--trials", "3", "--name", "stopped")
    wait_for(space / "runs/stopped/checkpoints/0.pt", process)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == code, stderr
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    done, resumed = results(space, "stopped")
    assert "resuming" in done.stderr
    _, whole = results(space, "whole")
    assert resumed == whole


@pytest.mark.slow
def test_kill_at_any_moment_loses_no_result(space):
    """SIGKILL at growing delays; the results are those of the uninterrupted search."""
    for kill in range(8):
        process = launch(space, "--trials", "3", "--name", "killed")
        try:
            process.wait(timeout=3 + 0.7 * kill)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    _, killed = results(space, "killed")
    _, whole = results(space, "whole")
    assert killed == whole


def test_search_without_torch_says_how_to_get_it(space):
    code = (
        "import sys\nfrom importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "from elastic_search.cli.main import cli\ncli(['search', 'tiny.toml', '--trials', '1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=space, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "torch is not installed" in done.stderr
    assert "pip install 'elastic-search[search]'" in done.stderr
