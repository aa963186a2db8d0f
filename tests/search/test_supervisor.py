"""The supervisor with workers that do as they are told."""

import json
import os
import signal
import sys
import threading
import time

import pytest

from elastic_search.errors import EnvironmentFault, FileError
from elastic_search.search.claims import Claims
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.supervisor import DEATHS, HUNG, Supervisor
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.signals import StopSignal
from tests.search.staging import TEXT, Silent

PENDING = {"number": 4, "values": {}, "id": "x", "cost": 1, "params": 2, "seed": 0}
STARTED = json.dumps({"event": "started", "pending": PENDING, "depths": [3, 4], "again": False})
EPOCH = json.dumps({"event": "epoch", "number": 1, "of": 3, "loss": 1.0, "accuracy": 0.5})
ENDED = json.dumps({"event": "ended", "why": "trials"})
DIE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def say(*lines):
    return "".join(f"print({line!r}, flush=True)\n" for line in lines)


@pytest.fixture
def supervise(tmp_path):
    """Makes a supervisor whose worker k runs the k-th script; ``scripts`` may also be a list for each of its starts."""

    def make(*scripts, limit=None):
        folder, starts = RunFolder(tmp_path, "run"), [0] * len(scripts)

        def command(k):
            script = scripts[k]
            if not isinstance(script, str):
                script = script[min(starts[k], len(script) - 1)]
            starts[k] += 1
            return [sys.executable, "-c", script]

        supervisor = Supervisor(
            command, os.environ, len(scripts), lambda k: Silent(), folder, Clock(folder, limit), StopSignal()
        )
        supervisor.starts = starts
        return supervisor

    return make


def test_all_workers_are_waited_for(supervise):
    slow = "import time; time.sleep(0.5)\n" + say(json.dumps({"event": "ended", "why": "time"}))
    assert supervise(say(ENDED), slow).run() == "time"


def test_dead_worker_is_started_again(supervise, capsys):
    supervisor = supervise([say(STARTED, EPOCH) + DIE, say(ENDED)])
    assert supervisor.run() == "trials"
    assert supervisor.starts == [2]
    assert "worker 0 died (signal 9)" in capsys.readouterr().err


def test_trial_that_kills_its_workers_is_recorded_as_failed(supervise):
    supervisor = supervise([*[say(STARTED) + DIE] * DEATHS, say(ENDED)])
    assert supervisor.run() == "trials"
    result = supervisor.folder.result(4)
    assert result.accuracy is None
    assert "killed its worker 3 times (signal 9)" in result.reason


def test_trial_that_makes_an_epoch_between_deaths_is_not_given_up(supervise):
    supervisor = supervise([*[say(STARTED, EPOCH) + DIE] * (2 * DEATHS), say(ENDED)])
    assert supervisor.run() == "trials"
    assert supervisor.folder.result(4) is None


def test_workers_that_only_die_end_the_search(supervise):
    with pytest.raises(EnvironmentFault, match="die one after another"):
        supervise(DIE).run()


def test_hung_worker_is_replaced_without_blame(supervise):
    supervisor = supervise([*[say(STARTED) + f"raise SystemExit({HUNG})"] * 6, say(ENDED)])
    assert supervisor.run() == "trials"
    assert supervisor.starts == [7]


def test_error_of_a_worker_is_the_command_s_and_ends_the_others(supervise):
    error = json.dumps({"event": "error", "message": "disk full", "hint": "free space", "code": 3})
    supervisor = supervise(say(error), "import time; time.sleep(600)")
    with pytest.raises(Exception, match="disk full") as caught:
        supervisor.run()
    assert (caught.value.hint, caught.value.exit_code) == ("free space", 3)
    assert not isinstance(caught.value, FileError)
    assert all(worker.process.poll() is not None for worker in supervisor._running.values())


def test_signal_is_passed_on_once_and_the_workers_end(supervise):
    script = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(0))\n" + say(STARTED)
        + "time.sleep(600)"
    )  # fmt: skip
    supervisor = supervise(script, script)
    timer = threading.Timer(2.0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    began = time.monotonic()
    assert supervisor.run() == "signal"
    assert time.monotonic() - began < 60
    assert supervisor.starts == [1, 1]


def test_worker_that_overruns_the_deadline_is_killed(supervise, monkeypatch):
    monkeypatch.setattr("elastic_search.search.supervisor.OVERRUN", 0.5)
    supervisor = supervise("import time; time.sleep(600)", limit=1.0)
    assert supervisor.run() == "time"
    assert supervisor.starts == [1]


def test_lines_that_are_no_events_are_passed_on_and_the_worker_is_heard(supervise, capsys):
    script = (
        say("Downloading...", "5", "null", "[]", '{"a": 1}', "[" * 100_000)
        + "import sys\nsys.stdout.write('no line end'); sys.stdout.flush()\n"
        + "from elastic_search.search.supervisor import tell\ntell('ended', why='exhausted')\n"
    )
    supervisor = supervise(script)
    assert supervisor.run() == "exhausted"
    assert supervisor.starts == [1]
    said = capsys.readouterr().err
    assert "Downloading..." in said
    assert "no line end\n" in said


def test_worker_killed_in_the_middle_of_a_line_is_replaced(supervise):
    torn = f"import sys\nsys.stdout.write({STARTED[:40]!r}); sys.stdout.flush()\n"
    supervisor = supervise([torn + DIE, say(ENDED)])
    assert supervisor.run() == "trials"
    assert supervisor.starts == [2]


def test_base_that_always_hangs_ends_the_search(supervise):
    """It has no record that would keep it from being trained again and again."""
    started = json.dumps({"event": "started", "pending": {**PENDING, "number": None}, "depths": [3], "again": False})
    with pytest.raises(EnvironmentFault, match="die one after another"):
        supervise(say(started) + f"raise SystemExit({HUNG})").run()


def test_trial_that_another_worker_took_over_is_not_given_up(supervise):
    """Whoever holds its claim records it: a failure must not be written over the result."""
    supervisor = supervise([*[say(STARTED) + DIE] * DEATHS, say(ENDED)])
    other = Claims(supervisor.folder.path / "claims")
    assert other.take("4")
    assert supervisor.run() == "trials"
    assert supervisor.folder.result(4) is None
    other.release("4")


def test_workers_leave_the_run_s_time_to_the_supervisor(tmp_path, monkeypatch):
    """Also where it is not limited: all of them would write the same file, and not what the run has used."""
    from elastic_search.search import run, worker

    made = []

    class Recorded(run.Search):
        def run(self):
            made.append(self.clock)
            return "trials"

    folder = RunFolder(tmp_path, "run")
    folder.begin({"space": "small", "text": TEXT, "seed": 0, "strategy": "uniform", "halving": False})
    monkeypatch.setattr(run, "Search", Recorded)
    said = {"root": str(tmp_path), "name": "run", "settings": {"trials": 3, "strategy": "uniform"}, "deadline": None,
            "trainer": ["builtins:dict", {}], "worker": 0, "epoch_seconds": 1.0}  # fmt: skip
    assert worker.work(said, StopSignal()) == "trials"
    (clock,) = made
    clock.save()
    assert not (folder.path / "spent.json").exists()
    assert clock.fits(10**9)
    assert not clock.is_over


def test_pipe_that_closes_ends_a_worker():
    import subprocess

    code = (
        "import time\nfrom elastic_search.search.supervisor import end_with_parent\nend_with_parent()\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with worker:
        assert worker.stdout.readline() == "up\n"
        worker.stdin.close()
        assert worker.wait(30) == 3
