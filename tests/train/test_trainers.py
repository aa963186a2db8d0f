import pytest
import torch

from elastic_search.errors import UsageError
from elastic_search.train import trainers as module
from elastic_search.train.trainers import sharing, trainers

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 6)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.parametrize(
    ("workers", "per_gpu", "device", "number"),
    ((1, None, CPU, 1), ("auto", None, CPU, 6), (3, None, CUDA, 3), ("auto", None, CUDA, 4), ("auto", 3, CUDA, 12),
     (5, 2, CUDA, 5), ("auto", None, torch.device("mps"), 1)),
)  # fmt: skip
def test_auto_takes_each_gpu_or_core(machine, workers, per_gpu, device, number):
    assert trainers(workers, per_gpu, device) == number


@pytest.mark.parametrize(("workers", "per_gpu", "device"), ((1, 2, CPU), (9, 2, CUDA)))
def test_trainers_that_no_gpu_takes_are_refused(machine, workers, per_gpu, device):
    with pytest.raises(UsageError, match="--trainers-per-gpu"):
        trainers(workers, per_gpu, device)


@pytest.mark.parametrize(("number", "device", "share"), ((3, CPU, 3), (4, CUDA, 1), (5, CUDA, 2), (1, CUDA, 1)))
def test_trainers_share_a_gpu_as_they_take_them_in_turn(machine, number, device, share):
    assert sharing(number, device) == share
