"""Which device trains. An NVIDIA driver without a usable CUDA is an error, not a slow night on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
