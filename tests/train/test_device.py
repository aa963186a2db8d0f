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


@pytest.mark.parametrize(
    ("flags", "has"), (("fma amx_bf16 amx_tile", True), ("avx512f avx512_bf16", False), ("", False))
)
def test_bfloat16_is_used_where_a_cpu_multiplies_matrices_in_it(tmp_path, monkeypatch, flags, has):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(devices, "_CPU_INFO", tmp_path / "cpuinfo")
    assert devices.has_bf16.__wrapped__(torch.device("cpu")) == has


@pytest.mark.parametrize(("capability", "has"), (((7, 5), False), ((8, 0), True), ((9, 0), True)))
def test_bfloat16_is_used_on_gpus_that_have_it(monkeypatch, capability, has):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert devices.has_bf16.__wrapped__(torch.device("cuda", 0)) == has
    monkeypatch.setattr(devices, "_CPU_INFO", devices.Path("/nowhere"))
    assert not devices.has_bf16.__wrapped__(torch.device("cpu"))
    assert not devices.has_bf16.__wrapped__(torch.device("mps"))


def test_algorithms_are_tried_on_a_gpu_and_the_choice_is_given_back():
    before = torch.backends.cudnn.benchmark
    with devices.tuned(torch.device("cuda", 0)):
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == before


def test_freed_memory_is_kept_while_training_on_a_cpu_and_given_back_at_the_end(monkeypatch):
    calls = []
    monkeypatch.setattr(devices, "keep_freed_memory", lambda: (calls.append("keep"), True)[1])
    monkeypatch.setattr(devices, "give_freed_memory_back", lambda: calls.append("give"))
    with devices.tuned(torch.device("cpu")):
        calls.append("train")
    with pytest.raises(ValueError, match="one"), devices.tuned(torch.device("cpu")):
        raise ValueError("one")
    assert calls == ["keep", "train", "give", "keep", "give"]


def test_memory_can_be_kept_by_glibc_alone(monkeypatch):
    class Library:
        def __init__(self, name):
            pass

    monkeypatch.setattr(devices.ctypes, "CDLL", Library)
    assert devices.keep_freed_memory.__wrapped__() is False
    devices.give_freed_memory_back()
