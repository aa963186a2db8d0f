from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from elastic_search.arch.edit import elastic
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.errors import EnvironmentFault
from elastic_search.recipes import Proxy, Training
from elastic_search.search.evaluator import InterruptedTrainingError, TrialError
from elastic_search.tasks import classification
from elastic_search.train import device as devices
from elastic_search.train.proxy import ProxyTrainer, _learning_rate

PROXY = Proxy(Fraction(1, 16), input=32)
TRAINING = Training(epochs=3, train_images=60, test_images=40, batch=20)
SPEC = elastic(published("resnext50").with_depths((2, 2, 1, 1)), parse_split("1/2,1/2"))


@pytest.fixture(scope="module")
def trainer():
    return ProxyTrainer(PROXY, TRAINING, torch.device("cpu"))


def train(trainer, path, stop=lambda: False, seed=0):
    epochs = []
    return trainer(SPEC, seed, checkpoint=path, stop=stop, report=epochs.append), epochs


def test_training_is_reproducible_and_reports_every_epoch(trainer, tmp_path):
    (score, epochs), (again, _) = (train(trainer, tmp_path / f"{i}.pt") for i in range(2))
    assert score.curve == again.curve == [epoch.accuracy for epoch in epochs]
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert score.accuracy == score.curve[-1]
    assert set(score.accuracy_by_size) == {"small", "medium", "large"}


def test_resumed_training_ends_as_the_uninterrupted_one(trainer, tmp_path):
    whole, _ = train(trainer, tmp_path / "whole.pt")
    with pytest.raises(InterruptedTrainingError):
        train(trainer, tmp_path / "parts.pt", stop=lambda: True)
    calls = iter((False, True))
    with pytest.raises(InterruptedTrainingError):
        train(trainer, tmp_path / "parts.pt", stop=lambda: next(calls))
    resumed, epochs = train(trainer, tmp_path / "parts.pt")
    assert len(epochs) < 3
    assert resumed.curve == whole.curve
    weights = [torch.load(tmp_path / name, weights_only=True)["net"] for name in ("whole.pt", "parts.pt")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_checkpoint_of_another_network_is_not_taken(trainer, tmp_path):
    path = tmp_path / "x.pt"
    other = elastic(SPEC, parse_split("1/2,1/2", "avgpool", "nearest"))
    trainer(other, 0, checkpoint=path, stop=lambda: False, report=lambda epoch: None)
    _, epochs = train(trainer, path)
    assert len(epochs) == 3


def test_learning_rate_rises_to_its_peak_and_falls_to_zero():
    rates = [_learning_rate(step, 100, 0.5) for step in range(100)]
    assert rates.index(max(rates)) == 39
    assert max(rates) == pytest.approx(0.5)
    assert rates[0] < 0.02
    assert rates[-1] < 0.01


def test_accuracy_is_the_share_of_right_answers_in_each_group():
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1]])
    right = classification.hits(logits, torch.tensor([1, 1, 1, 0]))
    assert right.tolist() == [True, False, True, True]
    groups = classification.accuracy_by_group(right, torch.tensor([0, 0, 2, 2]), ("small", "medium", "large"))
    assert groups == {"small": 0.5, "large": 1.0}


def test_damaged_checkpoint_is_named(trainer, tmp_path):
    (tmp_path / "x.pt").write_bytes(b"torn")
    with pytest.raises(EnvironmentFault, match=r"x\.pt: damaged"):
        train(trainer, tmp_path / "x.pt")


def test_loss_that_is_not_a_number_is_a_failed_trial(tmp_path):
    wild = ProxyTrainer(PROXY, replace(TRAINING, learning_rate=1e30), torch.device("cpu"))
    with pytest.raises(TrialError, match="the loss is"):
        train(wild, tmp_path / "x.pt")


@pytest.mark.slow
def test_proxy_learns_the_embedded_task(tmp_path):
    training = Training(epochs=5, train_images=1500, test_images=500, batch=25)
    trainer = ProxyTrainer(replace(PROXY, width=Fraction(1, 8)), training, torch.device("cpu"))
    score = trainer(SPEC, 0, checkpoint=tmp_path / "x.pt", stop=lambda: False, report=lambda epoch: None)
    assert score.accuracy > 0.25


def test_driver_without_usable_cuda_is_an_error_unless_the_cpu_is_asked_for(tmp_path, monkeypatch):
    driver = tmp_path / "version"
    driver.write_text("NVRM version")
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", (tmp_path / "none", driver))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentFault, match="CUDA cannot be used") as error:
        devices.choose_device("auto")
    assert "--device cpu" in error.value.hint
    assert devices.choose_device("cpu").type == "cpu"


def test_missing_device_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(EnvironmentFault):
            devices.choose_device(name)


def test_auto_is_the_cpu_where_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "NVIDIA_DRIVER", (tmp_path / "none",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose_device("auto").type == "cpu"
