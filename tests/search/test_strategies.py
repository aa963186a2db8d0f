"""Every strategy keeps the promises of the search; halving stops what is behind; a wrong winner is not written."""

import pytest
from optuna.trial import TrialState

from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import MismatchError
from elastic_search.search.evaluator import TrialError
from elastic_search.search.propose.strategies import START, STRATEGIES
from elastic_search.search.store.study import open_study
from tests.search.staging import KilledError, Trainer, killed_at, proposals, start  # noqa: F401


@pytest.mark.parametrize("halving", (False, True), ids=("whole", "halving"))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_killed_search_proposes_what_the_uninterrupted_one_did(start, strategy, halving):  # noqa: F811
    options = {"strategy": strategy, "halving": halving, "trials": 18}
    whole = start(name="whole", **options)
    assert whole.run() == "trials"
    for epochs in ((5,), (11,), (4,), (9, 30)):
        with pytest.raises(KilledError):
            start(Trainer(killed_at(*epochs)), name="killed", **options).run()
    again = start(name="killed", **options)
    assert again.run() == "trials"
    assert proposals(again) == proposals(whole)
    band = whole.plan.band
    for _, _, values, _ in proposals(whole):
        assert tally(whole.plan.space.decode(dict(values)).graph(), image(224, 224), FVCORE).total in band


def test_strategies_differ(start):  # noqa: F811
    found = {}
    for strategy in STRATEGIES:
        search = start(name=strategy, strategy=strategy, trials=20)
        search.run()
        found[strategy] = proposals(search)
    assert len({tuple(trials) for trials in found.values()}) == len(STRATEGIES)
    # Until there is something to learn from, all draw alike.
    assert len({tuple(trials[:START]) for trials in found.values()}) == 1


def test_halving_saves_epochs_and_keeps_the_best(start):  # noqa: F811
    trainers = {on: Trainer() for on in (False, True)}
    best = {}
    for on, trainer in trainers.items():
        search = start(trainer, name=f"halving-{on}", halving=on, strategy="uniform", trials=20)
        search.run()
        states = [trial.state for trial in open_study(search.folder).get_trials(deepcopy=False)]
        assert (TrialState.PRUNED in states) == on
        best[on] = max(value for *_, state, _, value in ((n, s, v, x) for n, s, v, x in proposals(search)) if value)
    assert trainers[True].epochs < 0.8 * trainers[False].epochs
    assert best[True] == best[False]


def test_trials_out_of_memory_are_recorded_with_their_reason_and_avoided(start):  # noqa: F811
    class Small(Trainer):
        def __call__(self, spec, seed, monitor):
            if spec.depths[0] > 5:
                raise TrialError("out of memory")
            return super().__call__(spec, seed, monitor)

    failed = {}
    for strategy in ("uniform", "feasible-tpe"):
        search = start(Small(), name=strategy, strategy=strategy, trials=40)
        assert search.run() == "trials"
        results = [search.folder.result(number) for number in search.folder.trials()]
        failed[strategy] = [result for result in results if result.accuracy is None]
        assert {result.reason for result in failed[strategy]} == {"out of memory"}
    assert len(failed["feasible-tpe"]) < 0.7 * len(failed["uniform"])


def test_a_winner_that_another_tool_counts_otherwise_is_not_written(start):  # noqa: F811
    search = start(counter=lambda spec: ("fvcore", 100, 101), trials=3)
    with pytest.raises(MismatchError, match="101"):
        search.run()
    assert not search.folder.best_file.exists()
