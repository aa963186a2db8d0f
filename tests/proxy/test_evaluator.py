import io
import json
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from elastic_search.arch.edit import elastic
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.data.dataset import Examples
from elastic_search.data.scenes import SceneData
from elastic_search.proxy.evaluator import ProxyEvaluator
from elastic_search.recipes import Proxy, Training, recipe_dict
from elastic_search.search.evaluator import (
    PROXY_EVALUATOR,
    DamagedCheckpointError,
    InterruptedTrainingError,
    Named,
    TrialError,
    Verdict,
)
from elastic_search.train.loop import Loop
from tests.proxy.staging import Keeper

PROXY = Proxy(Fraction(1, 16), input=32)
TRAINING = Training(epochs=3, train_images=60, test_images=40, batch=20)
SPEC = elastic(published("resnext50").with_depths((2, 2, 1, 1)), parse_split("1/2,1/2"))


@pytest.fixture(scope="module")
def evaluator():
    return ProxyEvaluator(PROXY, TRAINING, torch.device("cpu"))


def test_training_is_reproducible_and_reports_every_epoch(evaluator):
    keepers = Keeper(), Keeper()
    score, again = (evaluator(SPEC, 0, keeper) for keeper in keepers)
    assert score.curve == again.curve == [epoch.accuracy for epoch in keepers[0].epochs]
    assert [epoch.number for epoch in keepers[0].epochs] == [1, 2, 3]
    assert score.accuracy == score.curve[-1]
    assert set(score.accuracy_by_size) == {"small", "medium", "large"}
    # Four of the 40 scenes show each class.
    assert len(score.accuracy_by_class) == 10
    assert sum(score.accuracy_by_class) / 10 == pytest.approx(score.accuracy)
    assert score.standard_error is None


def weights(checkpoint):
    return torch.load(io.BytesIO(checkpoint), weights_only=True)["net"]


def test_resumed_training_ends_as_the_uninterrupted_one(evaluator):
    whole = Keeper()
    score = evaluator(SPEC, 0, whole)
    first = Keeper(verdicts=[Verdict.STOP])
    with pytest.raises(InterruptedTrainingError):
        evaluator(SPEC, 0, first)
    second = Keeper(first.checkpoint, [Verdict.GO_ON, Verdict.STOP])
    with pytest.raises(InterruptedTrainingError):
        evaluator(SPEC, 0, second)
    third = Keeper(second.checkpoint)
    resumed = evaluator(SPEC, 0, third)
    assert [epoch.number for epoch in third.epochs] == [2, 3]
    assert resumed.curve == score.curve
    assert resumed.accuracy_by_size == score.accuracy_by_size
    found, expected = weights(third.checkpoint), weights(whole.checkpoint)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_checkpoint_of_another_network_or_recipe_is_not_taken(evaluator):
    other = Keeper()
    evaluator(elastic(SPEC, parse_split("1/2,1/2", "avgpool", "nearest")), 0, other)
    keeper = Keeper(other.checkpoint)
    evaluator(SPEC, 0, keeper)
    assert len(keeper.epochs) == 3
    longer = ProxyEvaluator(PROXY, replace(TRAINING, epochs=4), torch.device("cpu"))
    again = Keeper(keeper.checkpoint)
    longer(SPEC, 0, again)
    assert len(again.epochs) == 4


def test_damaged_checkpoint_is_refused(evaluator):
    with pytest.raises(DamagedCheckpointError):
        evaluator(SPEC, 0, Keeper(b"torn"))


def test_loss_that_is_not_a_number_is_a_failed_trial():
    wild = ProxyEvaluator(PROXY, replace(TRAINING, learning_rate=1e30), torch.device("cpu"))
    with pytest.raises(TrialError, match="the loss is"):
        wild(SPEC, 0, Keeper())


def test_job_names_the_evaluator_in_plain_text(evaluator):
    recipe = recipe_dict(PROXY, TRAINING)
    job = json.loads(json.dumps(Named(PROXY_EVALUATOR, {"recipe": recipe, "device": "cpu"})))
    named = Named(*job).make()
    assert named(SPEC, 0, Keeper()).curve == evaluator(SPEC, 0, Keeper()).curve


def test_validation_scenes_rank_and_test_scenes_are_read_once_at_the_end(monkeypatch):
    training = replace(TRAINING, val_images=20)
    evaluator = ProxyEvaluator(PROXY, training, torch.device("cpu"))
    read, predictions = [], Loop.predictions

    def noted(self, net, scenes, batches=None):
        read.append(len(scenes))
        return predictions(self, net, scenes, batches)

    monkeypatch.setattr(Loop, "predictions", noted)
    score = evaluator(SPEC, 0, Keeper())
    assert read == [20, 20, 20, 40]
    assert score.accuracy == score.curve[-1]
    assert (20 * score.accuracy) % 1 == pytest.approx(0)
    assert (40 * score.test_accuracy) % 1 == pytest.approx(0)
    pruned = evaluator(SPEC, 0, Keeper(verdicts=[Verdict.PRUNE]))
    assert pruned.test_accuracy is None


class Unbalanced:
    """The scenes, of whose first class one in three is left."""

    def __init__(self):
        scenes = SceneData(TRAINING, 32)
        self._of = {split: scenes.examples(split) for split in ("train", "rank")}
        kept = {split: (found.labels > 0) | (torch.arange(len(found)) % 3 == 0) for split, found in self._of.items()}
        self._of = {
            split: Examples(found.images[kept[split]], found.labels[kept[split]]) for split, found in self._of.items()
        }
        self.about = replace(scenes.about, images={s: len(e) for s, e in self._of.items()}, groups=())

    def examples(self, split):
        return self._of[split]


@pytest.mark.parametrize("metric", ("balanced_accuracy", "f1"))
def test_metric_of_the_recipe_ranks(metric):
    data, keepers = Unbalanced(), [Keeper(), Keeper()]
    plain, other = (
        ProxyEvaluator(PROXY, replace(TRAINING, metric=name), torch.device("cpu"), data)(SPEC, 0, keeper)
        for name, keeper in zip(("accuracy", metric), keepers, strict=True)
    )
    # The same training, which is judged otherwise.
    assert other.accuracy_by_class == plain.accuracy_by_class
    assert other.accuracy != plain.accuracy
    assert other.accuracy == other.curve[-1] == keepers[1].epochs[-1].accuracy
    if metric == "balanced_accuracy":
        assert other.accuracy == pytest.approx(sum(other.accuracy_by_class) / 10, abs=1e-4)
    assert 0 < other.standard_error < 0.2


def test_recipe_without_validation_scenes_ranks_on_the_test_scenes(evaluator):
    assert evaluator(SPEC, 0, Keeper()).test_accuracy is None


def test_recipe_with_muon_is_resumed_bit_for_bit():
    muon = {"optimizer": "muon", "learning_rate": 0.1, "pct_start": 0.3, "zero_init_last": False}
    training = replace(TRAINING, val_images=20, **muon)
    evaluator = ProxyEvaluator(PROXY, training, torch.device("cpu"))
    whole = Keeper()
    score = evaluator(SPEC, 0, whole)
    first = Keeper(verdicts=[Verdict.STOP])
    with pytest.raises(InterruptedTrainingError):
        evaluator(SPEC, 0, first)
    second = Keeper(first.checkpoint)
    resumed = evaluator(SPEC, 0, second)
    assert replace(resumed, seconds=0) == replace(score, seconds=0)
    found, expected = weights(second.checkpoint), weights(whole.checkpoint)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("given", "threads"), ((None, 1), ("2", 3)))
def test_evaluator_on_a_cpu_trains_in_one_thread_unless_told(monkeypatch, evaluator, given, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    before = torch.get_num_threads()

    class Threads(Keeper):
        def step(self):
            super().step()
            seen.add(torch.get_num_threads())

    try:
        torch.set_num_threads(3)
        seen = set()
        evaluator(SPEC, 0, Threads(verdicts=[Verdict.PRUNE]))
        assert seen == {threads}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_proxy_learns_the_embedded_task():
    training = Training(epochs=5, train_images=1500, test_images=500, batch=25)
    evaluator = ProxyEvaluator(replace(PROXY, width=Fraction(1, 8)), training, torch.device("cpu"))
    assert evaluator(SPEC, 0, Keeper()).accuracy > 0.25


def test_remarks_say_where_images_are_and_what_room_there_is(evaluator, monkeypatch):
    assert evaluator.remarks == ()
    monkeypatch.setattr(evaluator, "_doubled", 1.1)
    (room,) = evaluator.remarks
    assert "only 1.10 times as long" in room
    assert "--trainers-per-gpu 2" in room
    monkeypatch.setattr(evaluator, "_doubled", 1.6)
    assert evaluator.remarks == ()
    monkeypatch.setattr(evaluator._loop, "resident", False)
    assert evaluator.remarks[0].startswith("the images stay in their file")
