"""Weight files of unknown origin, read without running or trusting anything in them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor, nn

from elastic_search.errors import FileError, missing_extra

LISTED = 10
"""Number of keys of each kind that an error lists."""


def listing(head: str, mistakes: dict[str, list[str]]) -> str:
    """A first line, and below it the first mistakes of each kind."""
    lines = [head]
    for kind, keys in mistakes.items():
        lines += [f"{kind} {key}" for key in keys[:LISTED]]
        if len(keys) > LISTED:
            lines.append(f"and {len(keys) - LISTED} more {kind}")
    return "\n  ".join(lines)


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a published file, by key; no code in it is run, and no tensor is larger than the file."""
    if file.suffix == ".safetensors":
        return _without_prefix(read_safetensors(file)[0])
    _check_file(file)
    try:
        # Explicitly, since an environment variable can turn the default into one that runs code.
        content = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"asks for {found[1]}" if found else "is damaged, or holds more than tensors"
        raise FileError(
            f"{file}: refused: its pickle {what}", "save it again as a state dict of tensors only"
        ) from None
    except Exception as error:  # a damaged file makes the reader fail in any way
        raise FileError(f"{file}: cannot be read as a checkpoint ({type(error).__name__})") from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise FileError(
            f"{file}: holds no state dict", "save a dict of tensors by key, or such a dict under 'state_dict'"
        )
    strange = [str(key) for key, value in content.items() if not (isinstance(key, str) and _is_sound(value))]
    if strange:
        raise FileError(listing(f"{file}: not every entry is a tensor stored in full", {"wrong": strange}))
    return _without_prefix(content)


def _check_file(file: Path) -> None:
    """Refuse paths that are not files, and archives that grow when they are read."""
    if not file.is_file():
        raise FileError(f"{file}: {'not a file' if file.exists() else 'no such file'}")
    try:
        with open(file, "rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                return
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except OSError as error:
        raise FileError(f"{file}: {(error.strerror or 'cannot be read').lower()}") from None
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise FileError(f"{file}: damaged: {error}") from None
    compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
    if compressed or sum(member.file_size for member in members) > 1.1 * file.stat().st_size + 2**20:
        raise FileError(f"{file}: refused: its archive is compressed, which torch.save never does")


def _is_sound(value: object) -> bool:
    """Whether this is a plain tensor whose every element is in the file, not expanded from fewer numbers."""
    if type(value) not in (Tensor, nn.Parameter):
        return False
    assert isinstance(value, Tensor)
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_nested:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, without the ``module.`` of torch's DataParallel if all keys start with it."""
    prefix = "module."
    shared = all(key.startswith(prefix) for key in tensors)
    return {key.removeprefix(prefix) if shared else key: tensor for key, tensor in tensors.items()}


def read_safetensors(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise missing_extra("safetensors", "weights") from None

    _check_file(file)
    try:
        with safe_open(file, framework="pt", device="cpu") as content:
            return {key: content.get_tensor(key) for key in content.keys()}, content.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, MemoryError, UnicodeError) as error:
        raise FileError(f"{file}: not a safetensors file ({error})") from None
