"""What the search relies on, of every evaluator: the real one, and those that its tests stage."""

from dataclasses import replace
from fractions import Fraction
from math import isfinite

import pytest
import torch

from elastic_search.arch.zoo import published
from elastic_search.proxy.evaluator import ProxyEvaluator
from elastic_search.recipes import Proxy, Training
from elastic_search.search.evaluator import (
    DamagedCheckpointError,
    InterruptedTrainingError,
    Monitor,
    Score,
    TrialError,
    Verdict,
)
from tests.proxy.staging import Keeper
from tests.search.staging import Steps, Trainer

SPEC = published("resnext50").with_depths((1, 2, 1, 1))
OTHER = published("resnext50").with_depths((2, 1, 1, 1))


class Seconds:
    now = 0.0


def proxies():
    training = Training(epochs=3, train_images=40, test_images=20, batch=20)
    return ProxyEvaluator(Proxy(Fraction(1, 16), input=32), training, torch.device("cpu"))


EVALUATORS = {"proxy": proxies, "staged": Trainer, "staged with steps": lambda: Steps(Seconds())}


@pytest.fixture(scope="module", params=EVALUATORS)
def evaluator(request):
    return EVALUATORS[request.param]()


@pytest.fixture(scope="module")
def whole(evaluator):
    """An uninterrupted training, and its score."""
    keeper = Keeper()
    return keeper, evaluator(SPEC, 0, keeper)


def same(score, other):
    """Whether two scores are of the same training, but for its time."""
    return replace(score, seconds=0) == replace(other, seconds=0)


def test_every_epoch_is_handed_over_in_its_turn(whole):
    keeper, score = whole
    assert isinstance(score, Score)
    assert [(epoch.number, epoch.of) for epoch in keeper.epochs] == [(1, 3), (2, 3), (3, 3)]
    assert [epoch.accuracy for epoch in keeper.epochs] == score.curve
    assert score.accuracy == score.curve[-1]
    assert all(isfinite(epoch.loss) for epoch in keeper.epochs)
    assert all(isinstance(content, bytes) for content in keeper.kept)
    assert len(set(keeper.kept)) == 3
    assert keeper.steps >= 3
    assert keeper.steps % 3 == 0


def test_training_without_a_watch_goes_to_its_end(evaluator, whole):
    assert same(evaluator(SPEC, 0, Monitor()), whole[1])


@pytest.mark.parametrize("epochs", (1, 2))
def test_pruned_training_has_the_score_of_its_epochs(evaluator, whole, epochs):
    keeper = Keeper(verdicts=[Verdict.GO_ON] * (epochs - 1) + [Verdict.PRUNE])
    score = evaluator(SPEC, 0, keeper)
    assert score.curve == whole[1].curve[:epochs]
    assert score.accuracy == score.curve[-1]
    assert len(keeper.epochs) == epochs


@pytest.mark.parametrize("epochs", (1, 2))
def test_stopped_training_goes_on_as_if_it_had_not_been(evaluator, whole, epochs):
    first = Keeper(verdicts=[Verdict.GO_ON] * (epochs - 1) + [Verdict.STOP])
    with pytest.raises(InterruptedTrainingError):
        evaluator(SPEC, 0, first)
    second = Keeper(first.checkpoint)
    assert same(evaluator(SPEC, 0, second), whole[1])
    assert [epoch.number for epoch in second.epochs] == list(range(epochs, 4))
    assert second.kept[0] == first.checkpoint
    assert second.epochs[0] == first.epochs[-1]


def test_training_that_was_killed_before_its_verdict_hears_it_later(evaluator, whole):
    for verdict in (Verdict.STOP, Verdict.PRUNE):
        keeper = Keeper(whole[0].kept[0], [verdict])
        if verdict is Verdict.STOP:
            with pytest.raises(InterruptedTrainingError):
                evaluator(SPEC, 0, keeper)
        else:
            assert evaluator(SPEC, 0, keeper).curve == whole[1].curve[:1]
        assert (keeper.steps, len(keeper.epochs)) == (0, 1)


@pytest.mark.parametrize("verdict", Verdict)
def test_training_is_over_after_its_last_epoch_whatever_the_verdict(evaluator, whole, verdict):
    keeper = Keeper(whole[0].checkpoint, [verdict])
    score = evaluator(SPEC, 0, keeper)
    assert score.curve == whole[1].curve
    assert (keeper.steps, len(keeper.epochs)) == (0, 1)


def test_what_a_step_raises_ends_the_training_and_its_epoch_is_trained_again(evaluator, whole):
    keeper = Keeper(fails_at=whole[0].steps // 3 + 1, fault=InterruptedTrainingError())
    with pytest.raises(InterruptedTrainingError):
        evaluator(SPEC, 0, keeper)
    assert len(keeper.epochs) == 1
    assert same(evaluator(SPEC, 0, Keeper(keeper.checkpoint)), whole[1])
    with pytest.raises(TrialError, match="no step"):
        evaluator(SPEC, 0, Keeper(fails_at=1, fault=TrialError("no step")))


def test_checkpoint_of_another_training_is_not_taken(evaluator, whole):
    for spec, seed in ((OTHER, 0), (SPEC, 1)):
        keeper = Keeper(whole[0].checkpoint)
        evaluator(spec, seed, keeper)
        assert [epoch.number for epoch in keeper.epochs] == [1, 2, 3]
        assert keeper.kept[0] != whole[0].checkpoint


@pytest.mark.parametrize("content", (b"", b"torn", b"\xff" * 100))
def test_damaged_checkpoint_is_told(evaluator, content):
    with pytest.raises(DamagedCheckpointError):
        evaluator(SPEC, 0, Keeper(content))


def test_pace_is_a_time(evaluator):
    assert 0 < evaluator.pace(SPEC) < 60
