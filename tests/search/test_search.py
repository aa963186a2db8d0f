"""The loop with a trainer that is told what to do: what it proposes, when it ends and what it writes."""

import json
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import EnvironmentFault, NothingFitsError, UsageError
from elastic_search.files import load_spec, parse_space
from elastic_search.search.evaluator import (
    TrialError,
)
from elastic_search.search.propose.strategies import START
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import ranking
from elastic_search.search.store.study import open_study
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.loop import Search, Settings
from tests.search.staging import TEXT, Silent, Trainer, pretend, proposals, start  # noqa: F401
from tests.staging import SPACE


def test_every_proposal_is_inside_the_band_and_new(start):  # noqa: F811
    search = start(trials=25)
    assert search.run() == "trials"
    done = proposals(search)
    assert len(done) == 25 > START
    assert len({values for _, _, values, _ in done}) == 25
    for _, _, values, _ in done:
        spec = search.plan.space.decode(dict(values))
        assert tally(spec.graph(), image(224, 224), FVCORE).total in search.plan.band
        assert spec != search.plan.space.base


def test_same_seed_gives_the_same_proposals_and_another_seed_others(start):  # noqa: F811
    searches = [start(seed=seed, name=name, trials=14) for seed, name in ((1, "a"), (1, "b"), (2, "c"))]
    for search in searches:
        search.run()
    first, same, other = map(proposals, searches)
    assert first == same
    assert first != other


def test_search_prefers_what_was_good(start):  # noqa: F811
    """After the uniform start, proposals are better than it by the pretended accuracy's own rule."""

    class Deep(Trainer):
        def __call__(self, spec, seed, monitor):
            score = super().__call__(spec, seed, monitor)
            return replace(score, accuracy=spec.depths[1] / 20)

    search = start(Deep(), trials=30)
    search.run()
    values = [value for _, _, _, value in proposals(search)]
    assert sum(values[START:]) / len(values[START:]) > sum(values[:START]) / START + 0.02


def test_base_that_cannot_be_trained_ends_the_search(start):  # noqa: F811
    def fail(epoch):
        raise TrialError("out of memory")

    with pytest.raises(EnvironmentFault, match="the base network cannot be trained: out of memory"):
        start(Trainer(fail)).run()


def test_failed_trial_is_recorded_with_its_reason_and_the_search_goes_on(start):  # noqa: F811
    def fail(epoch):
        if epoch == 8:
            raise TrialError("the loss is nan in epoch 2")
        if epoch == 12:
            raise ValueError("unforeseen")

    search = start(Trainer(fail))
    assert search.run() == "trials"
    states = [state for _, state, _, _ in proposals(search)]
    assert (states.count("PRUNED"), states.count("FAIL")) == (1, 1)
    assert len(states) == 6
    rows = ranking(search.plan, search.folder)
    assert next(row.result.reason for row in rows if row.rank == "failed") == "the loss is nan in epoch 2"
    assert "unforeseen" in search.folder.result(3).traceback


def test_first_trial_that_fails_ends_the_search(start):  # noqa: F811
    def fail(epoch):
        if epoch > 3:
            raise ValueError("a bug")

    with pytest.raises(EnvironmentFault, match="a bug"):
        start(Trainer(fail)).run()


def test_time_is_kept_over_starts(start, monkeypatch):  # noqa: F811
    now = [0.0]
    monkeypatch.setattr("elastic_search.search.trials.loop.time.monotonic", lambda: now[0])

    def tick(epoch):
        now[0] += 10

    search = start(Trainer(tick), trials=None, seconds=100)
    search.evaluator.seconds = 30.0
    assert search.run() == "time"
    assert search.evaluator.epochs == 9  # a fourth training would not end
    assert search.folder.spent_seconds == 90
    again = start(Trainer(tick), trials=None, seconds=100)
    assert again.run() == "time"
    assert again.evaluator.epochs == 0
    longer = start(Trainer(tick), trials=None, seconds=145)
    longer.folder.spend(100)
    assert longer.run() == "time"
    assert longer.evaluator.epochs == 3


def test_trial_that_cannot_end_in_time_is_not_started(start, monkeypatch):  # noqa: F811
    now = [0.0]
    monkeypatch.setattr("elastic_search.search.trials.loop.time.monotonic", lambda: now[0])

    def tick(epoch):
        now[0] += 1

    # Scores say that a trial takes 3 seconds; after the base and two trials 2 are left.
    search = start(Trainer(tick), trials=None, seconds=11)
    assert search.run() == "time"
    assert search.evaluator.epochs == 9


def test_time_until_the_end_is_that_of_the_trials_that_are_left_over_all_workers(start):  # noqa: F811
    search = start(Trainer(), trials=2)
    assert search.run() == "trials"
    clock = Clock(search.folder, None)
    # Every training took 3 seconds in 3 epochs.
    assert clock.until_end(None, 3) is None
    assert clock.until_end(6, 3) == pytest.approx(4 * 3)
    assert clock.until_end(6, 3, workers=2) == pytest.approx(4 * 3 / 2)
    limited = Clock(search.folder, search.folder.spent_seconds + 5)
    assert limited.until_end(6, 3) == pytest.approx(5, abs=0.5)


def test_exhausted_band_ends_the_search(tmp_path):
    plan = parse_space(TEXT + '[band]\ntolerance = "0.02%"', "tiny", "tiny.toml")
    others = [c for c in plan.matcher.inside(plan.band) if c.spec != plan.space.base]
    assert 2 <= len(others) <= 12
    folder = RunFolder(tmp_path, "run")
    folder.begin({})
    for _ in range(2):
        search = Search(plan, folder, Trainer(), Settings(50, halving=False), Silent(), Clock(folder, None))
        assert search.run() == "exhausted"
        assert [state for _, state, _, _ in proposals(search)] == ["COMPLETE"] * len(others)


def test_empty_band_is_refused_before_anything_is_trained(tmp_path):
    plan = parse_space(SPACE.replace('"1", ', "") + '[band]\ntolerance = "0.001%"', "tiny", "tiny.toml")
    folder = RunFolder(tmp_path, "run")
    search = Search(plan, folder, Trainer(), Settings(5), Silent(), Clock(folder, None))
    with pytest.raises(NothingFitsError, match="the nearest cost"):
        search.run()
    assert not search.evaluator.epochs


def test_best_network_is_written_as_a_spec(start):  # noqa: F811
    search = start(trials=12)
    search.run()
    best = max(search.evaluator.trained[1:], key=pretend)
    assert load_spec(search.folder.best_file) == best
    rows = ranking(search.plan, search.folder)
    assert [row.rank for row in rows[:3]] == ["base", "1", "2"]
    assert rows[1].spec == best
    assert rows[1].result.accuracy == max(row.result.accuracy for row in rows[1:])


def test_run_in_use_is_refused(tmp_path):
    folder = RunFolder(tmp_path, "run")
    with folder.locked(), pytest.raises(EnvironmentFault, match="in use"), RunFolder(tmp_path, "run").locked():
        pass


@pytest.mark.parametrize("name", ("../x", "", "a/b", ".hidden", "-x", "a" * 65, "a\x00", "nul\n", "é"))
def test_run_name_cannot_be_a_path(tmp_path, name):
    with pytest.raises(UsageError, match="run name"):
        RunFolder(tmp_path, name)


def test_run_name_with_braces_or_percent_cannot_reach_the_database_url(tmp_path):
    root = tmp_path / "a{b}%20c?d"
    folder = RunFolder(root, "run")
    folder.begin({})
    open_study(folder)
    assert folder.study_file.exists()


def test_study_is_an_optuna_study(start):  # noqa: F811
    search = start(trials=3)
    search.run()
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{search.folder.study_file}")
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3
    assert json.loads((search.folder.path / "run.json").read_text())["seed"] == 0
