"""The authors' published weights in our networks, and weight files of our own. Needs the ``weights`` extra.

Every key of a published file is accounted for: it has the same name here, is renamed, is merged with its other half, is
dropped by a named rule, or is an error.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elastic_search.arch.spec import MAX_COUNT, Spec
from elastic_search.arch.zoo import FAMILIES, SCHEMA, from_dict, published, to_dict
from elastic_search.atomic import write_atomically
from elastic_search.errors import ElasticError, FileError, SpecError, missing_extra
from elastic_search.nn.net import Net, on_meta
from elastic_search.nn.weights.files import listing, read, read_safetensors
from elastic_search.nn.weights.released import COUNTER, COUNTS, DEAD, fit_keys, hint, mistakes

_STAGE: dict[str, tuple[type, ...]] = {
    "width": (int,), "depth": (int,), "split": (str,), "splits": (list,), "down": (str, list), "up": (str, list)
}  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What became of a published file's keys.

    Attributes:
        same: keys that have the same name here.
        renamed: keys that have another name here.
        merged: keys of halves that are one branch here.
        dropped: (rule, number of keys), for every rule.
        tensors: weights and statistics of the network that are filled.
        source_sha256: SHA-256 of the file.
    """

    same: int
    renamed: int
    merged: int
    dropped: tuple[tuple[str, int], ...]
    tensors: int
    source_sha256: str

    @property
    def keys(self) -> int:
        """All keys of the file."""
        return self.same + self.renamed + self.merged + sum(keys for _, keys in self.dropped)


def load_published(name: str, file: str | Path) -> Net:
    """A network of the paper with the weights of the authors' release, in inference mode.

    Args:
        name: of the network, e.g. ``"resnext50_elastic"``.
        file: the checkpoint: ``.pth.tar``, ``.pth`` or ``.pt`` (loaded as weights only), or ``.safetensors``.

    Raises:
        UnknownNameError: if there is no published network of that name.
        FileError: if the file cannot be read, or a key is unknown, missing or of another shape; lists them.
    """
    return _convert(name, Path(file))[0]


def convert(name: str, file: str | Path, output: str | Path) -> Conversion:
    """Write the weights of ``load_published(name, file)`` to a file that ``load_weights`` reads."""
    net, conversion = _convert(name, Path(file))
    save_weights(net, published(name), output, name, conversion.source_sha256)
    return conversion


def save_weights(net: Net, spec: Spec, path: str | Path, name: str = "", source_sha256: str = "") -> None:
    """Write a network's weights as safetensors with its spec inside, whole or not at all; an old file is replaced.

    Args:
        net: the network.
        spec: its description.
        path: the file.
        name: name of the published network, if it is one.
        source_sha256: SHA-256 of the file that the weights come from, if there is one.

    Raises:
        SpecError: if the network is not the spec's.
        EnvironmentFault: if the file cannot be written.
    """
    try:
        from safetensors.torch import save as to_bytes
    except ModuleNotFoundError:
        raise missing_extra("safetensors", "weights") from None

    state = {key: tensor.cpu().contiguous() for key, tensor in net.state_dict().items()}
    if net.graph != spec.graph() or state.keys() != on_meta(spec.graph()).state_dict().keys():
        raise SpecError("cannot save the network: it does not match the spec")
    metadata = {
        "format": "pt",
        "elastic_search.schema": str(SCHEMA),
        "elastic_search.spec": json.dumps(to_dict(spec)),
        "elastic_search.name": name,
        "elastic_search.source_sha256": source_sha256,
    }
    write_atomically(Path(path), to_bytes(state, metadata), hint=None, parents=False)


def load_weights(path: str | Path) -> Net:
    """Read a network that ``save_weights`` wrote, in inference mode.

    Raises:
        FileError: if the file cannot be read, has no spec of ours inside, or its tensors are not the spec's.
    """
    path = Path(path)
    tensors, metadata = read_safetensors(path)
    net = on_meta(_spec_inside(path, metadata, len(tensors)).graph())
    expected = net.state_dict()
    found = mistakes(expected, tensors, {key: ((key,), 0) for key in expected})
    if any(found.values()):
        raise FileError(listing(f"{path}: its tensors do not match the spec in its metadata", found))
    return _filled(net, tensors)


def _convert(name: str, file: Path) -> tuple[Net, Conversion]:
    spec = published(name)
    tensors = read(file)
    fit = fit_keys(spec, tensors)
    if any(fit.mistakes.values()):
        raise FileError(listing(f"{file}: not the weights of {name}", fit.mistakes), hint(name, file, tensors, fit))
    net = on_meta(spec.graph())
    state = fit.state(tensors)
    state |= {key: torch.zeros((), dtype=torch.long) for key in net.state_dict() if key.endswith(COUNTS)}
    with open(file, "rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    single = [(ours, keys[0]) for ours, (keys, _) in fit.sources.items() if len(keys) == 1]
    same = sum(ours == key for ours, key in single)
    conversion = Conversion(
        same=same,
        renamed=len(single) - same,
        merged=sum(len(keys) for keys, _ in fit.sources.values() if len(keys) > 1),
        dropped=tuple((rule, list(fit.dropped.values()).count(rule)) for rule in (DEAD, COUNTER)),
        tensors=len(fit.sources),
        source_sha256=digest,
    )
    return _filled(net, state), conversion


def _filled(net: Net, state: dict[str, Tensor]) -> Net:
    net = net.to_empty(device="cpu")
    net.load_state_dict(state, strict=True)
    return net.eval()


def _spec_inside(file: Path, metadata: dict[str, str], tensors: int) -> Spec:
    """The spec that ``save_weights`` put into a file."""
    if "elastic_search.spec" not in metadata:
        raise FileError(
            f"{file}: no 'elastic_search.spec' in its metadata",
            "read a file with the authors' keys with elastic_search.load_published(name, file)",
        )
    if metadata.get("elastic_search.schema") != str(SCHEMA):
        raise FileError(f"{file}: schema {metadata.get('elastic_search.schema')}, but this version reads {SCHEMA}")
    data: Any = None
    with suppress(ValueError, RecursionError):
        data = json.loads(metadata["elastic_search.spec"])
    if not _is_spec_data(data, tensors):
        raise FileError(f"{file}: the spec in its metadata is damaged")
    try:
        return from_dict(data)
    except ElasticError as error:
        raise FileError(f"{file}: the spec in its metadata: {error.message}", error.hint) from None


def _is_spec_data(data: Any, tensors: int) -> bool:
    """Whether plain data has the keys and types of a spec, and no more blocks than there are tensors."""
    family = FAMILIES.get(data["family"]) if isinstance(data, dict) and isinstance(data.get("family"), str) else None
    if family is None or data.get("schema") != SCHEMA or not isinstance(data.get("stages"), list):
        return False
    kinds = {field.name: type(field.default) for field in fields(family) if field.name not in ("stages", "head")}
    kinds["classes"] = int
    values = {key: value for key, value in data.items() if key not in ("schema", "family", "stages")}
    stages = data["stages"]
    sound = all(type(value) is kinds.get(key) for key, value in values.items()) and all(
        isinstance(stage, dict)
        and {"width", "depth"} <= stage.keys() <= _STAGE.keys()
        and all(type(value) in _STAGE[key] for key, value in stage.items())
        and all(type(text) is str for value in stage.values() if type(value) is list for text in value)
        and 0 < stage["depth"] <= tensors
        for stage in stages
    )
    if not sound or sum(family.blocks(stage["depth"]) for stage in stages) > tensors:
        return False
    numbers = (value for value in (*values.values(), *(stage["width"] for stage in stages)) if type(value) is int)
    return max(numbers, default=0) <= MAX_COUNT
