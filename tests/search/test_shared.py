"""Machines that share a study: two run folders and a PostgreSQL server of our own."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from elastic_search.atomic import sealed, unsealed
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import parse_space
from elastic_search.search.shared import SharedStudy, checked_url
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import SCALED
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.loop import Search, Settings
from tests.search.staging import TEXT, KilledError, Silent, Trainer, killed_at

PLAN = parse_space(TEXT, "small", "small.toml")
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PG_CTL = shutil.which("pg_ctl") or (str(BINARIES[-1] / "pg_ctl") if BINARIES else None)


class Server:
    """A PostgreSQL server in a folder, which only a socket there leads to. PostgreSQL refuses to run as root."""

    def __init__(self, folder):
        self.folder = folder
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self.url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        self._run(PG_CTL, "initdb", "-s", "-D", f"{folder}/data", "-o", "-A trust -U postgres --no-sync")
        self.start()

    def _run(self, *command):
        done = subprocess.run([*self._as, *command], cwd="/", capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr

    def start(self):
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        self._run(PG_CTL, "start", "-s", "-w", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-o", options)

    def stop(self):
        """End it as a crash would."""
        self._run(PG_CTL, "stop", "-s", "-m", "immediate", "-D", f"{self.folder}/data")

    def execute(self, statement):
        engine = create_engine(self.url)
        with engine.begin() as connection:
            rows = connection.execute(text(statement))
            found = rows.fetchall() if rows.returns_rows else []
        engine.dispose()
        return found


@pytest.fixture(scope="module")
def server():
    pytest.importorskip("psycopg")
    if PG_CTL is None:
        pytest.skip("no PostgreSQL server is installed")
    if os.geteuid() == 0 and shutil.which("runuser") is None:
        pytest.skip("PostgreSQL does not run as root")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    found = Server(folder)
    yield found
    found.stop()
    shutil.rmtree(folder)


@pytest.fixture
def machine(tmp_path, server):
    """Makes a search on the machine of that name, whose folder is its own."""

    def make(name, trainer=None, trials=6, seed=0, plan=PLAN):
        folder = RunFolder(tmp_path / name, tmp_path.name.replace("_", "-")[-40:].lstrip("-"))
        description = {"space": "small", "text": plan.text, "target": plan.band.target, "seed": seed}
        folder.begin(description | {"strategy": "feasible-tpe", "halving": False})
        settings = Settings(trials, seed, halving=False, storage=server.url)
        return Search(plan, folder, trainer or Trainer(), settings, Silent(), Clock(folder, None))

    return make


def results(search):
    return {number: search.folder.result(number) for number in search.folder.trials()}


def test_second_machine_goes_on_where_the_first_ended(machine):
    first = machine("a", trials=3)
    assert first.run() == "trials"
    second = machine("b", trials=6)
    assert second.run() == "trials"
    assert second.evaluator.epochs == 3 * 3  # the base's result came with the study
    assert results(second).keys() == set(range(6))
    assert {number: results(second)[number] for number in range(3)} == results(first)
    again = machine("a")
    assert again.run() == "trials"
    assert not again.evaluator.epochs
    assert results(again) == results(second)
    assert again.folder.best_file.read_text().splitlines()[1:] == second.folder.best_file.read_text().splitlines()[1:]
    values = {tuple(sorted(result.values.items())) for result in results(again).values()}
    assert len(values) == 6


def test_base_scaled_to_the_band_comes_with_the_study_as_the_base_does(machine):
    plan = parse_space(f'{TEXT}[band]\ntarget = "5G"\ntolerance = "2%"\n', "small", "small.toml")
    first = machine("a", trials=2, plan=plan)
    assert first.run() == "trials"
    assert first.evaluator.trained[:2] == [plan.space.base, plan.scaled_base]
    second = machine("b", trials=3, plan=plan)
    assert second.run() == "trials"
    assert second.evaluator.epochs == 3  # of the third network: both bases came with the study
    for number in (None, SCALED):
        assert second.folder.result(number) == first.folder.result(number) is not None


def test_trial_of_a_dead_machine_is_taken_over_when_it_has_not_beaten_for_long(machine, server):
    with pytest.raises(KilledError):
        machine("a", Trainer(killed_at(5))).run()
    second = machine("b", trials=3)
    assert second.run() == "trials"
    assert results(second).keys() == {1, 2}  # trial 0 may still live, as far as this machine can know
    server.execute("UPDATE trial_heartbeats SET heartbeat = heartbeat - interval '1 hour'")
    third = machine("b", trials=3)
    assert third.run() == "trials"
    assert results(third).keys() == {0, 1, 2}
    assert third.evaluator.epochs == 3


def test_trial_of_this_machine_is_taken_over_at_once(machine):
    with pytest.raises(KilledError):
        machine("a", Trainer(killed_at(5))).run()
    again = machine("a", trials=2)
    assert again.run() == "trials"
    assert results(again).keys() == {0, 1}
    assert again.evaluator.epochs == 5  # one epoch of trial 0 was done


def test_machine_that_slept_leaves_its_trial_to_the_one_that_took_it(machine, server):
    def lose(epoch):
        if epoch == 5:
            server.execute("UPDATE trial_user_attributes SET value_json = '\"other\"' WHERE key = 'owner'")

    search = machine("a", Trainer(lose), trials=1)
    assert search.run() == "trials"
    assert results(search) == {}
    assert search.observer.reasons == [""]  # the base's


def test_machine_that_was_late_takes_the_result_that_was_published(machine, server):
    """Both have trained a trial: all go by one result, and a later start finds nothing that contradicts it."""
    first = machine("a", trials=2)
    assert first.run() == "trials"
    late = {number: replace(result, accuracy=0.125) for number, result in results(first).items()}
    second = machine("b", trials=2)
    for result in (first.folder.result(None), *late.values()):
        second.folder.record(replace(result, accuracy=0.125))
    shared = SharedStudy(server.url, second.folder)
    for number in (None, *late):
        shared.publish(shared.open(), number)
    shared.close()
    assert results(second) == results(first)
    assert second.folder.result(None) == first.folder.result(None)
    assert second.run() == "trials"


def test_machine_that_sleeps_while_it_proposes_is_told_of(machine, server, monkeypatch):
    """The others do not wait for ever, and hear their signals."""
    holder = SharedStudy(server.url, machine("a").folder)
    monkeypatch.setattr("elastic_search.search.shared.LOCK_TIMEOUT", 1)
    search = machine("b")
    search.signal.received = 15
    with holder.alone(), pytest.raises(EnvironmentFault, match="lock timeout"):
        search.run()
    holder.close()


def test_other_seed_is_refused(machine):
    machine("a", trials=1).run()
    with pytest.raises(UsageError, match=r"seed: 0 before, [0-9]+ now"):
        machine("b", seed=3).run()


def test_result_that_was_changed_on_its_way_is_refused(machine, server):
    machine("a", trials=1).run()
    server.execute("UPDATE trial_user_attributes SET value_json = replace(value_json, '10', '11') WHERE key = 'result'")
    with pytest.raises(EnvironmentFault, match="checksum"):
        machine("b").run()


def test_server_that_crashes_during_a_training_costs_nothing(machine, server):
    """It is away when the result of trial 0 is told, and comes back two seconds later."""

    def crash(epoch):
        if epoch == 6:
            server.stop()
            threading.Timer(2.0, server.start).start()

    search = machine("a", Trainer(crash), trials=2)
    assert search.run() == "trials"
    assert results(search).keys() == {0, 1}
    states = server.execute("SELECT state FROM trials JOIN studies USING (study_id) "
                            f"WHERE study_name = '{search.folder.name}'")  # fmt: skip
    assert [state for (state,) in states] == ["COMPLETE", "COMPLETE"]


def test_machines_that_start_at_once_make_one_study(server, tmp_path):
    """Optuna alone loses most of them: each makes the tables."""
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    code = (
        "import sys\nfrom pathlib import Path\nfrom elastic_search.search.store.folder import RunFolder\n"
        "from elastic_search.search.shared import SharedStudy\n"
        "shared = SharedStudy(sys.argv[1], RunFolder(Path(sys.argv[2]), 'cold'))\n"
        "with shared.alone():\n    print(len(shared.open().trials))"
    )
    starts = [
        subprocess.Popen([sys.executable, "-c", code, server.url, str(tmp_path / str(i))], stderr=subprocess.PIPE)
        for i in range(6)
    ]
    for start in starts:
        _, stderr = start.communicate(timeout=240)
        assert start.returncode == 0, stderr.decode()
    assert server.execute("SELECT count(*) FROM studies") == [(1,)]


@pytest.mark.parametrize(
    ("url", "message"),
    (
        ("sqlite:///a.db", "sqlite cannot be shared"),
        ("postgresql://u:secret@host/db", "contains a password"),
        ("postgresql://host/db?password=secret", "contains a password"),
        ("not an address", "not a database address"),
    ),
)
def test_address_that_cannot_be_used_is_refused_without_its_secret(url, message):
    with pytest.raises(UsageError, match=message) as caught:
        checked_url(url)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_address_is_completed_with_its_driver():
    assert checked_url("postgresql://user@host:5433/db") == "postgresql+psycopg://user@host:5433/db"


def test_sealed_result_is_read_back_and_a_changed_one_is_not():
    result = {"number": 3, "accuracy": 0.1 + 0.2}
    assert unsealed(sealed(result), "here") == result
    for changed in (sealed(result).replace("3", "4", 1), "{}", "[]", "nonsense"):
        with pytest.raises(EnvironmentFault, match="here: damaged"):
            unsealed(changed, "here")


def test_server_that_is_away_is_named(tmp_path):
    pytest.importorskip("psycopg")
    with pytest.raises(EnvironmentFault, match="postgresql") as caught:
        SharedStudy(f"postgresql+psycopg://u@/db?host={tmp_path}", RunFolder(tmp_path, "run"))
    assert caught.value.exit_code == 3
