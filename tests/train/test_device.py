import pytest
import torch

from elastic_search.errors import EnvironmentFault
from elastic_search.train import device as devices


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


def test_usable_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(devices.os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert devices.usable_cores() == 1


def test_one_thread_is_given_back_and_only_a_cpu_needs_it(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with devices.one_thread(torch.device("cpu")):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with devices.one_thread(torch.device("meta")):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
