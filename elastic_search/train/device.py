"""Which device trains. An NVIDIA driver without a usable CUDA is an error, not a slow night on the CPU."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

from elastic_search.errors import EnvironmentFault

NVIDIA_DRIVER = (
    Path("/proc/driver/nvidia/version"),
    Path("/usr/lib/wsl/lib/libcuda.so.1"),
    Path(os.environ.get("SYSTEMROOT", "/nowhere"), "System32", "nvcuda.dll"),
)
"""What an NVIDIA driver leaves on Linux, under WSL and on Windows."""


def choose_device(name: str, worker: int = 0) -> torch.device:
    """The device with a name; "auto" is CUDA if there is any, else MPS, else the CPU.

    Args:
        name: "auto", "cuda", "mps" or "cpu".
        worker: number of the process; processes take the GPUs in turn.

    Raises:
        EnvironmentFault: if the device cannot be used, or "auto" finds an NVIDIA driver but no usable CUDA.
    """
    if name == "cpu":
        return torch.device("cpu")
    driver = any(path.exists() for path in NVIDIA_DRIVER)
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return _tried(torch.device("cuda", worker % torch.cuda.device_count()))
    if name == "cuda" or (name == "auto" and driver):
        raise EnvironmentFault(f"CUDA cannot be used: {_cuda_fault()}", _cuda_cure())
    if name in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    if name == "mps":
        raise EnvironmentFault("MPS cannot be used on this machine", "use --device cpu")
    return torch.device("cpu")


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """A context in which torch computes in one thread on a CPU, unless OMP_NUM_THREADS gives another number.

    The threads of a proxy's small layers mostly wait for one another, and on a busy machine many times over. More
    workers use more cores better, and one thread gives equal seeds equal accuracies whatever the number of cores.
    """
    before = torch.get_num_threads()
    if device.type == "cpu" and not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tuned(device: torch.device) -> Iterator[None]:
    """A context for trainings: one thread on a CPU (``one_thread``), and shapes that stay the same on a GPU.

    On a CPU, memory that a step frees is kept for the next one: given back to the system and taken again, it costs up
    to a quarter of a step's time. It is given back at the end.
    """
    if device.type == "cpu":
        keeps = keep_freed_memory()
        with one_thread(device):
            try:
                yield
            finally:
                if keeps:
                    give_freed_memory_back()
        return
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True  # tries the algorithms for each shape once
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep memory that tensors free, in this process; whether it can (glibc)."""
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Older versions allow at most 32 MiB in the heap; larger tensors are given back as before.
        kept = mallopt(_MMAP_THRESHOLD, 2**30) or mallopt(_MMAP_THRESHOLD, 2**25)
        return bool(kept and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
    return False


def give_freed_memory_back() -> None:
    """Give memory that is free in the C library back to the system."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


_CPU_INFO = Path("/proc/cpuinfo")


@cache
def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 faster than of floats.

    A CPU does with AMX. With AVX-512's bf16 instructions alone, the convolutions of these networks take 1 to 8 times
    as long in bfloat16, most of all their gradients (``benchmarks/train_speed.py``).
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        with suppress(OSError):
            return "amx_bf16" in _CPU_INFO.read_text().split()
    return False


def _tried(device: torch.device) -> torch.device:
    """The device, after a convolution on it, which fails at once if torch was built for other GPUs."""
    try:
        image, weight = torch.ones(1, 1, 4, 4, device=device), torch.ones(1, 1, 3, 3, device=device)
        torch.nn.functional.conv2d(image, weight).sum().item()
    except RuntimeError as error:
        raise EnvironmentFault(f"CUDA cannot be used: {str(error).splitlines()[0]}", _cuda_cure()) from None
    return device


def _cuda_fault() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    if not any(path.exists() for path in NVIDIA_DRIVER):
        return "no NVIDIA driver is loaded"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return "no GPU is visible"


def _cuda_cure() -> str:
    if torch.version.cuda is None:
        return "install a CUDA build of torch (https://pytorch.org/get-started/locally), or use --device cpu"
    return "check nvidia-smi, the driver's version and CUDA_VISIBLE_DEVICES, or use --device cpu"


def describe(device: torch.device) -> str:
    """A name of a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def torch_version() -> str:
    """Version and build of torch."""
    return str(torch.__version__)
