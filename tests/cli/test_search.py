"""``search`` as users run it: real proxies, real signals, real kills."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import pytest
from click.testing import CliRunner

from elastic_search.cli.main import cli
from elastic_search.cli.search import seconds_until
from elastic_search.search.store.ranking import pareto_front
from tests.cli.staging import launch, made, run, searched, space, wait_for  # noqa: F401
from tests.conftest import ONE_THREAD


@pytest.fixture
def whole(searched):  # noqa: F811
    """The networks of an uninterrupted run of the space as it is."""
    return compared((searched / "shown.json").read_text())


def compared(shown):
    """The networks of a run that is shown as JSON, without what differs between equal runs."""
    networks = json.loads(shown)["networks"]
    return [{key: value for key, value in network.items() if key != "seconds"} for network in networks]


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
    return done, compared(done.stdout)


def test_search_ranks_proxies_beside_the_base_and_writes_the_best(command, space, searched):  # noqa: F811
    stdout, stderr = ((searched / f"done.{stream}").read_text() for stream in ("stdout", "stderr"))
    assert "networks: " in stderr
    assert "trial 2 (3/3)" in stderr
    assert "fits: 3 trials" in stderr
    assert any(line.startswith("base") and "3-4-6-3" in line for line in stdout.splitlines())
    assert "a proxy, not an ImageNet result" in stdout
    data = json.loads((searched / "shown.json").read_text())
    states = [network["state"] for network in data["networks"]]
    assert states[:2] == ["base", "finished"]
    assert set(states[2:]) <= {"finished", "stopped"}
    ranks = [network["rank"] for network in data["networks"]]
    assert ranks == [None, *range(1, states.count("finished") + 1), *[None] * states.count("stopped")]
    assert len(ranks) == 4
    band = data["band"]
    for network in data["networks"]:
        assert band["low"] <= network["count"] <= band["high"]
        assert set(network["accuracy_by_size"]) <= {"small", "medium", "large"}
    best = str(searched / "runs/tiny/best.toml")
    found = json.loads(command("flops", best, "--input", "64", "--json").stdout)["networks"][0]
    assert (found["id"], found["count"]) == (data["networks"][1]["id"], data["networks"][1]["count"])


def test_finished_run_is_shown_and_not_overwritten(command, space, run, searched):  # noqa: F811
    before = {path: path.stat().st_mtime_ns for path in (run / "trials").iterdir()}
    spent = (run / "spent.json").read_text()
    again = command("search", "tiny.toml", "--trials", "3", "--device", "cpu")
    assert again.stdout == (searched / "done.stdout").read_text()
    assert (run / "spent.json").read_text() == spent
    assert {path: path.stat().st_mtime_ns for path in (run / "trials").iterdir()} == before
    refused = command("search", "tiny.toml", "--trials", "3", "--seed", "7", check=2)
    assert "choose another --name" in refused.stderr


@pytest.mark.parametrize(
    ("sent", "code"), (pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143))
)
def test_signal_ends_cleanly_and_the_same_command_resumes(space, whole, sent, code):  # noqa: F811
    process = launch(space, "--trials", "3", "--name", "stopped")
    wait_for(space / "runs/stopped/checkpoints/0.pt", process)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == code, stderr
    assert "run the same command to resume" in stderr
    assert "Traceback" not in stderr
    done, resumed = results(space, "stopped")
    assert "resuming" in done.stderr
    assert resumed == whole


def test_second_signal_says_that_the_same_command_resumes(space, monkeypatch):  # noqa: F811
    def interrupted(runs, seconds, began):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.chdir(space)
    monkeypatch.setattr("elastic_search.search.run.sweep", interrupted)
    done = CliRunner().invoke(cli, ["search", "tiny.toml", "--trials", "1", "--device", "cpu"])
    assert done.exit_code == 128 + signal.SIGTERM
    assert done.stderr.endswith("run the same command to resume\n")


def killed_search(space, kills, seed):  # noqa: F811
    """Run a search to its end through ``kills`` SIGKILLs at random moments; the epochs that were trained."""
    rng, redone = random.Random(seed), 0
    path, pattern = space / "runs/killed", "*.json"
    for _ in range(kills):
        before = {file.name: file.read_bytes() for file in (path / "trials").glob(pattern)}
        process = launch(space, "--trials", "3", "--name", "killed")
        wait_for(path / "study.db", process)
        try:
            process.wait(timeout=rng.uniform(1.5, 5.5))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            redone += 1
        process.communicate()
        after = {file.name: file.read_bytes() for file in (path / "trials").glob(pattern)}
        assert all(after[name] == content for name, content in before.items())
        with closing(sqlite3.connect(path / "study.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return redone


@pytest.mark.slow
def test_kills_at_random_moments_lose_no_result(space, whole):  # noqa: F811
    assert killed_search(space, 2, seed=1)
    _, killed = results(space, "killed")
    assert killed == whole


@pytest.mark.full
def test_twenty_kills_lose_no_result(space):  # noqa: F811
    text = (space / "tiny.toml").read_text()
    (space / "tiny.toml").write_text(text.replace("epochs = 3", "epochs = 30").replace("= 40", "= 200"))
    assert killed_search(space, 20, seed=2) >= 15
    _, killed = results(space, "killed")
    _, whole = results(space, "whole")
    assert killed == whole


def test_dry_run_prints_the_plan_and_writes_nothing(inside, space):  # noqa: F811
    done = inside("search", "tiny.toml", "--minutes", "1", "--device", "cpu", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert plan["rungs"] == [1, 3]
    assert 1 <= plan["trials"] <= plan["inside"]
    assert not plan["short"]
    assert not (space / "runs").exists()
    assert plan["band"]["low"] <= plan["band"]["target"] <= plan["band"]["high"]
    assert datetime.fromisoformat(plan["end"]).tzinfo is not None


@pytest.mark.slow
def test_dry_run_of_a_started_run_takes_off_what_was_used_and_refuses_what_the_run_would(command, space):  # noqa: F811
    args = ("search", "tiny.toml", "--device", "cpu")
    command(*args, "--trials", "2")
    plan = json.loads(command(*args, "--minutes", "10", "--dry-run", "--json").stdout)
    assert plan["spent_seconds"] > 0
    assert plan["budget_seconds"] == pytest.approx(600 - plan["spent_seconds"])
    assert plan["seconds_an_epoch"]["base"] > 0
    refused = command(*args, "--trials", "3", "--seed", "5", "--dry-run", check=2)
    assert "seed: 0 before, 5 now" in refused.stderr


def test_time_that_ends_before_any_network_is_trained_is_no_success(inside, space):  # noqa: F811
    done = inside("search", "tiny.toml", "--minutes", "0.001", "--device", "cpu", check=1)
    assert "the time ended before any Elastic network was trained" in done.stderr
    assert "run it again with" in done.stderr
    said = inside("flops", "runs/tiny/best.toml", check=2).stderr
    assert "no Elastic network of this run has been trained yet" in said
    assert said == inside("flops", "runs/tiny", check=2).stderr
    inside("search", "tiny.toml", "--trials", "1", "--device", "cpu")
    found = json.loads(inside("flops", "runs/tiny", "--json").stdout)
    assert found == json.loads(inside("flops", "runs/tiny/best.toml", "--json").stdout)


@pytest.mark.slow
def test_measuring_obeys_a_signal_and_the_time(space):  # noqa: F811
    """An epoch that takes a minute is measured by batches of many seconds, after images that take as long to make."""
    text = (space / "tiny.toml").read_text().replace("= 40", "= 60_000").replace('"1/32"', '"1/2"')
    (space / "large.toml").write_text(text.replace("input = 16", "input = 64").replace("batch = 20", "batch = 64"))
    search = [sys.executable, "-m", "elastic_search", "search", "large.toml", "--device", "cpu"]
    for moment in (4.0, 9.0):
        process = subprocess.Popen(
            [*search, "--trials", "9", "--name", f"at{moment:g}"],
            cwd=space, env={**os.environ, **ONE_THREAD}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(moment)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (143, -signal.SIGTERM), said
        assert "Traceback" not in said
    timed = subprocess.run(
        [*search, "--minutes", "0.1", "--name", "timed"],
        cwd=space, env={**os.environ, **ONE_THREAD}, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert timed.returncode == 1, timed.stderr
    assert "the time ended before" in timed.stderr


@pytest.mark.slow
def test_full_disk_ends_with_a_message_and_the_run_resumes(space):  # noqa: F811
    """A limit on the size of files stands in for the disk: checkpoints do not fit."""
    code = (
        "import resource, runpy, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))\n"
        "sys.argv = ['elastic-search', 'search', 'tiny.toml', '--trials', '3', '--device', 'cpu', '--name', 'full']\n"
        "runpy.run_module('elastic_search', run_name='__main__')"
    )
    full = subprocess.run(
        [sys.executable, "-c", code],
        cwd=space,
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 3, full.stderr
    assert "cannot be written" in full.stderr
    assert "free space" in full.stderr
    assert "Traceback" not in full.stderr
    done, _ = results(space, "full")
    assert "resuming" in done.stderr


@pytest.mark.slow
def test_sweep_searches_every_band_and_shows_the_curve(command, space):  # noqa: F811
    args = ("search", "tiny.toml", "--targets", "350M,335M", "--trials", "1", "--minutes", "5", "--device", "cpu")
    done = command(*args)
    assert "the best of 2 bands" in done.stdout
    assert "without a trial: the base scaled to a band" in done.stdout
    data = json.loads(command(*args, "--json").stdout)
    states = ("base", "scaled", "finished")
    base, scaled, *best = sorted(data["networks"], key=lambda row: states.index(row["state"]))
    assert (scaled["state"], scaled["target"]) == ("scaled", 335_000_000)  # the base costs 349,585,408
    assert (base["state"], base["target"], len(best)) == ("base", None, 2)
    for band, network in zip(data["bands"], sorted(best, key=lambda row: row["count"]), strict=True):
        assert band["band"]["low"] <= network["count"] <= band["band"]["high"]
        counts = [row["count"] for row in band["networks"] if row["state"] != "scaled"]
        assert counts == [base["count"], network["count"]]
    assert any(row["front"] for row in data["networks"])
    # The base was trained once, and every band's run stands by itself.
    bases = [json.loads((space / f"runs/tiny-{m}M/base.json").read_text()) for m in (335, 350)]
    assert bases[0] == bases[1]
    command("doctor", "tiny-335M")
    # It goes on by its own name, at its own cost.
    more = command("search", "tiny.toml", "--name", "tiny-335M", "--trials", "2", "--device", "cpu", "--json")
    assert {row["rank"] for row in json.loads(more.stdout)["networks"]} >= {None, 1}
    assert "its bands are tiny-335M" in command("doctor", "tiny", check=2).stderr
    empty = command("search", "tiny.toml", "--targets", "350M,9G", "--trials", "1", check=1)
    assert "none of 288 networks costs" in empty.stderr


def test_front_holds_what_no_other_network_beats():
    points = [(10, 0.5), (12, 0.6), (12, 0.55), (15, 0.6), (9, 0.2), (20, 0.9)]
    assert pareto_front(points) == [True, True, False, False, True, True]


@pytest.mark.parametrize(("text", "seconds"), (("07:30", 8.5 * 3600), ("23:01", 60), ("23:00", 86400)))
def test_until_is_the_next_time_a_clock_shows_it(text, seconds):
    assert seconds_until(text, datetime(2026, 7, 1, 23, 0).astimezone()) == seconds


def test_time_of_day_that_is_none_is_refused(command, space):  # noqa: F811
    done = command("search", "tiny.toml", "--until", "25:00", check=2)
    assert "write it as 07:30" in done.stderr


def test_search_without_torch_says_how_to_get_it(space):  # noqa: F811
    code = (
        "import sys\nfrom importlib import util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "from elastic_search.cli.main import cli\ncli(['search', 'tiny.toml', '--trials', '1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=space, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "torch is not installed" in done.stderr
    assert "pip install 'elastic-search[search]'" in done.stderr
