"""Processes that work in the same folder, and commands that only look at it."""

import threading
from dataclasses import replace

import pytest

from elastic_search.atomic import temporary_of, write_atomically
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.search.claims import Claims
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.integrity import examine
from elastic_search.search.store.result import Result
from elastic_search.search.store.study import open_study
from tests.search.staging import TEXT, KilledError, Trainer, killed_at, proposals, start  # noqa: F401


def test_writers_of_one_file_never_tear_it(tmp_path):
    """The watchdog's thread and the training, or two workers: the file is always one of theirs, whole."""
    file, faults = tmp_path / "spent.json", []

    def write(text):
        for _ in range(60):
            try:
                write_atomically(file, text)
            except EnvironmentFault as error:
                faults.append(error)

    threads = [threading.Thread(target=write, args=(letter * 5000,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if file.exists():
            text = file.read_text()
            assert text == text[:1] * 5000
    assert not faults
    assert not list(tmp_path.glob("*.tmp"))


def test_a_look_at_a_run_deletes_nothing(start):  # noqa: F811
    search = start(trials=2)
    search.run()
    left = temporary_of(search.folder.path / "trials/2.json")
    left.write_text("half")
    search.folder.checkpoint(0).write_text("1")
    with search.folder.locked(sweep=False):
        assert any(finding.what == "*.tmp" for finding in examine(search.folder, search.plan))
    assert left.exists()
    assert search.folder.checkpoint(0).exists()
    with search.folder.locked():
        pass
    assert not left.exists()
    assert not search.folder.checkpoint(0).exists()


def test_checkpoints_of_recorded_repeats_are_swept_and_others_stay(tmp_path):
    folder = RunFolder(tmp_path, "run")
    folder.record(Result(3, {}, "x", 1, 1, seed=1, reason="x"), again=True)
    folder.checkpoint(3, 1).parent.mkdir()
    for path in (folder.checkpoint(3, 1), folder.checkpoint(3, 2), folder.checkpoint(3)):
        path.write_text("1")
    with folder.locked():
        pass
    assert sorted(path.name for path in (folder.path / "checkpoints").iterdir()) == ["3-2.pt", "3.pt"]


def test_doctor_makes_no_tables_in_an_empty_database(start):  # noqa: F811
    search = start(trials=1)
    search.run()
    search.folder.study_file.write_bytes(b"")
    examine(search.folder, search.plan)
    assert search.folder.study_file.read_bytes() == b""


def test_trial_whose_owner_lives_is_left_to_it(start):  # noqa: F811
    """A worker whose own work is done ends; the trial that another trains is that one's."""
    with pytest.raises(KilledError):
        start(Trainer(killed_at(5)), trials=3).run()
    claims = Claims(start().folder.path / "claims")
    assert claims.take("0")
    second = start(trials=3)
    assert second.run() == "trials"
    assert [state for _, state, _, _ in proposals(second)] == ["RUNNING", "COMPLETE", "COMPLETE"]
    claims.release("0")
    last = start(trials=3)
    assert last.run() == "trials"
    assert last.evaluator.epochs == 2
    whole = start(trials=3, name="whole")
    whole.run()
    assert proposals(last) == proposals(whole)


def test_result_whose_worker_died_before_it_was_told_is_told_by_another(start):  # noqa: F811
    search = start(trials=2)
    search.run()
    third = start(trials=3)

    def told_late(epoch):
        """Another worker's trial 2 is recorded while this one trains trial 3."""
        if epoch == 1:
            study = open_study(search.folder)
            study.sampler = third._work._sampler
            trial = study.ask()
            values = {c.name: trial.suggest_categorical(c.name, c.values) for c in search.plan.space.choices}
            result = search.folder.result(1)
            search.folder.record(replace(result, number=trial.number, values=values))

    third = start(Trainer(told_late), trials=4)
    assert third.run() == "trials"
    assert [state for _, state, _, _ in proposals(third)] == ["COMPLETE"] * 4


def test_base_of_a_sweep_is_taken_over_only_into_a_run_that_is_ours(tmp_path):
    """Another seed's run of that name is refused, and nothing was written into it."""
    from elastic_search.files import parse_space
    from elastic_search.search.run import Run
    from elastic_search.search.trials.loop import Settings

    first, other = RunFolder(tmp_path, "first"), RunFolder(tmp_path, "other")
    first.record(Result(None, None, "x", 1, 1, accuracy=0.5, curve=(0.5,), seconds=1.0))
    other.begin({"space": "small", "text": TEXT, "seed": 7})
    plan = parse_space(TEXT, "small", "small.toml")
    settings = Settings(1, strategy="uniform", halving=False)
    with pytest.raises(UsageError, match="another"):
        Run(plan, other, settings, Trainer()).go(None, None, first)
    assert other.result(None) is None
