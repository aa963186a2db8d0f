"""Which device trains; an NVIDIA driver without a usable CUDA is an error, not a slow night on the CPU."""

from __future__ import annotations

from pathlib import Path

import torch

from elastic_search.errors import EnvironmentFault

NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA, else MPS, else the CPU.

    Raises:
        EnvironmentFault: if the device cannot be used, or "auto" finds an NVIDIA driver but no usable CUDA.
    """
    if name == "cpu":
        return torch.device("cpu")
    if name in ("auto", "cuda") and torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda" or (name == "auto" and NVIDIA_DRIVER.exists()):
        raise EnvironmentFault(f"CUDA cannot be used: {_cuda_fault()}", _cuda_cure())
    if name in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    if name == "mps":
        raise EnvironmentFault("MPS cannot be used on this machine", "--device cpu")
    return torch.device("cpu")


def _cuda_fault() -> str:
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is a build without CUDA"
    if not NVIDIA_DRIVER.exists():
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
    """A device's name for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple GPU (MPS)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
