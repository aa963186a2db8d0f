"""Odd trainings, odd scores and odd clocks: every trial gets an end and a reason, and the budget holds."""

import random
import signal
import time
from contextlib import suppress

import pytest

from elastic_search.search.evaluator import TrialError
from elastic_search.search.store.integrity import examine
from elastic_search.search.trials.loop import MAX_FAILURES, EnvironmentFault
from tests.search.staging import KilledError, Steps, Trainer, proposals, start  # noqa: F401


class UnspeakableError(Exception):
    def __str__(self):
        raise ValueError("cannot be said")

    __repr__ = __str__


def deep():
    return deep()


def thrown(error):
    def fault():
        raise error

    return fault


FAULTS = {
    "SystemExit": thrown(SystemExit(0)),
    "SystemExit with a text": thrown(SystemExit("goodbye")),
    "GeneratorExit": thrown(GeneratorExit()),
    "StopIteration": thrown(StopIteration()),
    "RecursionError": deep,
    "OSError": thrown(OSError(5, "input/output")),
    "AssertionError": thrown(AssertionError()),
    "surrogates": thrown(ValueError("\ud800 \x1b[31m \x00")),
    "unspeakable": thrown(UnspeakableError()),
    "long": thrown(ValueError("x" * 10**6)),
}


def test_memory_error_is_a_result_about_the_network(start):  # noqa: F811
    search = start(Trainer(lambda epoch: thrown(MemoryError())() if epoch == 8 else None), trials=3)
    assert search.run() == "trials"
    assert [state for _, state, _, _ in proposals(search)] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert search.folder.result(1).reason == "out of memory"


def test_library_that_exits_in_the_base_s_training_ends_the_search_with_a_message(start):  # noqa: F811
    with pytest.raises(EnvironmentFault, match="SystemExit"):
        start(Trainer(lambda epoch: FAULTS["SystemExit"]())).run()


def test_keyboard_interrupt_in_a_training_ends_the_search_which_resumes(start):  # noqa: F811
    search = start(Trainer(lambda epoch: thrown(KeyboardInterrupt())() if epoch == 8 else None), trials=3)
    with pytest.raises(KeyboardInterrupt):
        search.run()
    resumed = start(trials=3)
    assert resumed.run() == "trials"
    whole = start(trials=3, name="whole")
    whole.run()
    assert proposals(resumed) == proposals(whole)
    assert resumed.evaluator.epochs == 3 * 4 - 7


def changed(**values):
    def change(score):
        for key, value in values.items():
            object.__setattr__(score, key, value)
        return score

    return change


SCORES = {
    "nan": changed(accuracy=float("nan")),
    "inf": changed(accuracy=float("inf")),
    "-inf": changed(accuracy=float("-inf")),
    "1e400": changed(accuracy=1e400),
    "1e300": changed(accuracy=1e300),
    "10**400": changed(accuracy=10**400),
    "None": changed(accuracy=None),
    "text": changed(accuracy="abc"),
    "number as text": changed(accuracy="1.5"),
    "complex": changed(accuracy=1j),
    "True": changed(accuracy=True),
    "list": changed(accuracy=[0.5]),
    "nan in the curve": changed(curve=[0.1, float("nan"), 0.3]),
    "text in the curve": changed(curve=[0.1, "0.2", 0.3]),
    "no curve": changed(curve=None),
    "nan for a size": changed(accuracy_by_size={"small": float("nan")}),
    "no sizes": changed(accuracy_by_size=None),
    "nan for a class": changed(accuracy_by_class=[0.5, float("nan")]),
    "no classes": changed(accuracy_by_class=None),
    "text for the error": changed(standard_error="0.1"),
    "nan seconds": changed(seconds=float("nan")),
    "text for seconds": changed(seconds="3"),
    "no score": lambda score: None,
    "a number": lambda score: 0.5,
    "a tuple": lambda score: (0.5, 0.6),
}


class Odd(Trainer):
    """Throws, or answers oddly, in all trainings but every sixth."""

    def __init__(self):
        super().__init__()
        self.faults, self.changes, self.trainings = list(FAULTS.values()), list(SCORES.values()), 0

    def __call__(self, spec, seed, monitor):
        number, self.trainings = self.trainings, self.trainings + 1
        score = super().__call__(spec, seed, monitor)
        if number < 2 or number % 6 == 0:
            return score
        return self.faults.pop()() if self.faults else self.changes.pop()(score)


def test_odd_exceptions_and_scores_are_recorded_and_the_search_goes_on(start):  # noqa: F811
    search = start(Odd(), trials=43, strategy="uniform")
    assert search.run() == "trials"
    assert not search.evaluator.faults
    assert not search.evaluator.changes
    states = [state for _, state, _, _ in proposals(search)]
    assert (states.count("FAIL"), states.count("PRUNED")) == (len(FAULTS), len(SCORES))
    assert states.count("COMPLETE") == 43 - len(FAULTS) - len(SCORES)
    failed = [result for number in range(43) if (result := search.folder.result(number)).accuracy is None]
    assert all(result.reason and len(result.reason) <= 500 for result in failed)
    assert sum(bool(result.traceback) for result in failed) == len(FAULTS)
    assert max(path.stat().st_size for path in (search.folder.path / "trials").iterdir()) < 100_000
    assert all(finding.sound for finding in examine(search.folder, search.plan))
    assert start(trials=43, strategy="uniform").run() == "trials"


def test_trials_that_fail_one_after_the_other_end_the_search(start):  # noqa: F811
    def fail(epoch):
        if epoch > 6:
            raise TrialError("the loss is nan")

    search = start(Trainer(fail), trials=30)
    with pytest.raises(EnvironmentFault, match="the loss is nan"):
        search.run()
    assert len(search.folder.trials()) == 1 + MAX_FAILURES


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on only when it is told to; the time of day jumps at every look."""

    class Clock:
        now = 1000.0

    rng = random.Random(0)
    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    monkeypatch.setattr(time, "time", lambda: rng.choice((0.0, 1e9, 2e9)) + rng.random())
    return Clock


def test_time_of_day_does_not_matter(start, clock):  # noqa: F811
    search = start(Steps(clock), trials=None, seconds=200, epoch_seconds=10.0)
    search.evaluator.seconds = 30.0
    assert search.run() == "time"
    assert search.evaluator.epochs == 18
    assert search.folder.spent_seconds == 180


def test_process_that_was_stopped_ends_at_once_and_its_trial_goes_on_later(start, clock):  # noqa: F811
    def stop(step):
        if step == 75:  # in the second epoch of trial 1
            clock.now += 3600

    search = start(Steps(clock, stop), trials=None, seconds=200)
    search.evaluator.seconds = 30.0
    assert search.run() == "time"
    assert search.evaluator.steps == 75
    again = start(Steps(clock), trials=2, seconds=4000)
    assert again.run() == "trials"
    assert again.evaluator.steps == 90 - 70
    whole = start(name="whole", trials=2)
    whole.run()
    assert proposals(again) == proposals(whole)


def test_deadline_holds_inside_an_epoch_that_became_slow(start, clock):  # noqa: F811
    def slow(step):
        if step > 40:
            clock.now += 9

    search = start(Steps(clock, slow), trials=None, seconds=100)
    search.evaluator.seconds = 30.0
    assert search.run() == "time"
    assert 100 <= search.folder.spent_seconds <= 110


@pytest.mark.parametrize("seed", [0] + [pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12)])
def test_resumes_do_not_start_the_budget_again(start, clock, seed):  # noqa: F811
    """Signals and kills at random steps: all starts together take the budget and at most an epoch more."""
    rng, total = random.Random(seed), 0.0
    for _ in range(3):
        at, how = rng.randrange(20, 120), rng.choice((signal.SIGTERM, KilledError))

        def fault(step, at=at, how=how):
            if step == at:
                if how is KilledError:
                    raise KilledError
                signal.raise_signal(how)

        clock.now += 10_000  # between the starts
        began = clock.now
        search = start(Steps(clock, fault), trials=None, seconds=300)
        search.evaluator.seconds = 30.0
        with suppress(KilledError):
            search.run()
        total += clock.now - began
    clock.now += 10_000
    began = clock.now
    last = start(Steps(clock), trials=None, seconds=300)
    last.evaluator.seconds = 30.0
    assert last.run() == "time"
    total += clock.now - began
    assert 0.85 * 300 <= total <= 300 + 10
    assert last.folder.spent_seconds == pytest.approx(total, abs=1)


def test_first_signal_waits_for_the_epoch_no_longer_than_its_notice(start, clock):  # noqa: F811
    def fault(step):
        if step == 12:
            signal.raise_signal(signal.SIGTERM)
        if step > 12:
            clock.now += 9

    search = start(Steps(clock, fault), trials=3)
    assert search.run() == "signal"
    assert search.evaluator.steps <= 16
