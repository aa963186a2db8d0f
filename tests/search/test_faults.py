"""A search is killed at every point where it writes, and then run to its end: nothing shows that it was killed."""

from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from elastic_search import atomic
from elastic_search.search.store.integrity import examine
from elastic_search.search.store.study import open_study
from tests.search.staging import KilledError, Trainer, counted, outcome, proposals, start  # noqa: F401

WRITES = ("create_new_study", "_create_new_trial", "_set_trial_param", "set_", "record_")
STORED = sorted(name for name in vars(RDBStorage) if name.startswith(WRITES) and not name.endswith("_without_commit"))
"""Every method by which Optuna writes; a study asks for those with an underscore."""


class Points:
    """Counts the points before and after each write, and kills at some: after that, nothing is written any more."""

    def __init__(self, monkeypatch):
        self.names = []
        self.kill_at = None
        self._dead = False
        for name in STORED:
            self._around(monkeypatch, RDBStorage, name, lambda *args, name=name: name)
        self._around(monkeypatch, atomic, "put_in_place", lambda temporary, path: f"rename {path.name}")
        self._around(monkeypatch, atomic, "temporary_of", lambda path: f"begin {path.name}")
        self._around(monkeypatch, Path, "unlink", lambda path, *args: path.suffix == ".pt" and f"unlink {path.name}")

    def _around(self, monkeypatch, owner, name, label):
        real = getattr(owner, name)

        def wrapped(*args, **kwargs):
            point = label(*args)
            if not point:
                return real(*args, **kwargs)
            self._pass(f"before {point}")
            found = real(*args, **kwargs)
            self._pass(f"after {point}")
            return found

        monkeypatch.setattr(owner, name, wrapped)

    def _pass(self, name):
        self.names.append(name)
        if self._dead or len(self.names) - 1 == self.kill_at:
            self._dead = True
            raise KilledError(name)

    def run(self, search, kill_at=None):
        """Run the search as the command does; false if it was killed."""
        self.names, self.kill_at, self._dead = [], kill_at, False
        try:
            with search.folder.locked():
                assert search.run() == "trials"
            return True
        except KilledError:
            if search._work is not None:  # the kernel frees the locks
                for name in list(search._work._claims._held):
                    search._work._claims.release(name)
            return False
        finally:
            self._dead = False
            self.kill_at = None


@pytest.fixture
def points(monkeypatch):
    return Points(monkeypatch)


def check(points, start, kills, name, whole, **options):  # noqa: F811
    """Kill a run at each of these points of its starts, and compare it with the uninterrupted one."""
    for kill in kills:
        points.run(start(name=name, counter=counted, **options), kill)
    last = start(name=name, counter=counted, **options)
    assert points.run(last)
    assert outcome(last) == whole, kills
    left = [path for path in last.folder.path.rglob("*") if path.suffix in (".tmp", ".pt")]
    finished = {str(number) for number in last.folder.trials() if last.folder.result(number).is_whole}
    assert {path.parent.name for path in left} == {"kept"}
    assert {path.stem for path in left} == finished | {"base"}
    assert all(finding.sound for finding in examine(last.folder, last.plan)), kills


def uninterrupted(points, start, **options):  # noqa: F811
    """What comes out, and the points that it goes through."""
    search = start(name="whole", counter=counted, **options)
    assert points.run(search)
    return outcome(search), list(points.names)


OPTIONS = {"trials": 3, "halving": True, "seed": 1}


def test_points_are_before_and_after_every_kind_of_write(points, start):  # noqa: F811
    _, names = uninterrupted(points, start, **OPTIONS)
    kinds = {"_create_new_trial", "_set_trial_param", "set_trial_intermediate_value", "set_trial_state_values",
             "set_trial_system_attr", "rename 1.json", "rename spent.json", "rename best.toml", "begin base.json",
             "begin 0.pt", "rename 0.pt", "unlink 2.pt"}  # fmt: skip
    assert {f"{when} {kind}" for when in ("before", "after") for kind in kinds} <= set(names)


def test_a_search_killed_at_some_points_ends_as_the_uninterrupted_one(points, start):  # noqa: F811
    whole, names = uninterrupted(points, start, **OPTIONS)
    last = {name: at for at, name in enumerate(names)}  # one point of each name: of the last trial
    for at in sorted(last.values())[::12]:
        check(points, start, [at], f"killed-{at}", whole, **OPTIONS)


def test_a_search_killed_at_each_of_its_starts_gets_to_its_end(points, start):  # noqa: F811
    whole, names = uninterrupted(points, start, **OPTIONS)
    check(points, start, range(4, len(names), len(names) // 9), "killed", whole, **OPTIONS)


@pytest.mark.full
def test_a_search_killed_at_any_point_ends_as_the_uninterrupted_one(points, start):  # noqa: F811
    whole, names = uninterrupted(points, start, **OPTIONS)
    for at in range(len(names)):
        check(points, start, [at, at * 7 % 60][: 1 + at % 2], f"killed-{at}", whole, **OPTIONS)


def test_values_that_were_stored_in_part_are_completed_whatever_has_finished_since(
    points,
    start,  # noqa: F811
    monkeypatch,
):
    """With several workers, what others finished meanwhile would lead to other values."""
    uninterrupted(points, start, trials=2)
    at = max(i for i, name in enumerate(points.names) if name == "after _create_new_trial")
    at = points.names.index("after _set_trial_param", at)
    assert not points.run(start(name="killed", trials=2), at)
    search = start(name="killed", trials=2)
    (stored,) = [trial.params for trial in open_study(search.folder).trials if not trial.state.is_finished()]
    assert len(stored) == 1

    def other(self, number, others):
        return next(c for c in search.plan.matcher.inside(search.plan.band) if c.values["layer1.depth"] == 8)

    monkeypatch.setattr("elastic_search.search.propose.sampler.FeasibleSampler.propose", other)
    assert search.run() == "trials"
    whole = start(name="whole", trials=2)
    assert proposals(search) == proposals(whole)


def test_a_process_that_dies_while_it_writes_leaves_another_s_file_alone(tmp_path):
    """Two processes that write the same file never share a temporary one."""
    file = tmp_path / "spent.json"
    first, second = atomic.temporary_of(file), atomic.temporary_of(file)
    assert first != second
    first.write_text("half")
    atomic.write_atomically(file, "whole")
    assert file.read_text() == "whole"
    assert first.read_text() == "half"


def test_trial_whose_last_epoch_is_on_disk_costs_no_epoch_more(points, start):  # noqa: F811
    _, names = uninterrupted(points, start, trials=2)
    at = max(i for i, name in enumerate(names) if name == "before begin 1.json")
    assert not points.run(start(name="killed", trials=2), at)
    again = start(Trainer(), name="killed", trials=2)
    assert points.run(again)
    assert again.evaluator.epochs == 0
