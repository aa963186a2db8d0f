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
from elastic_search.arch.zoo import FAMILIES, PUBLISHED, SCHEMA, from_dict, published, to_dict
from elastic_search.atomic import write_atomically
from elastic_search.errors import ElasticError, FileError, SpecError, missing_extra
from elastic_search.nn.net import Net
from elastic_search.nn.weights.files import listing, read, read_safetensors
from elastic_search.nn.weights.released import (
    BRANCH,
    COUNTER,
    COUNTS,
    DEAD,
    FLOATS,
    STATISTICS,
    Fit,
    fit_keys,
    on_meta,
    shape_text,
)

_STAGE: dict[str, tuple[type, ...]] = {
    "width": (int,), "depth": (int,), "split": (str,), "splits": (list,), "down": (str, list), "up": (str, list)
}  # fmt: skip


@dataclass(frozen=True)
class Conversion:
    """What became of a published file's keys.

    Attributes:
        same: keys that have the same name here.
        renamed: keys that have another.
        merged: keys of halves that are one branch here.
        dropped: (rule, keys), for every rule.
        tensors: weights and statistics of the network that they fill.
        source_sha256: of the file.
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
        UnknownNameError: if the name is not known.
        FileError: if the file cannot be read, or a key is unknown, missing or of another shape; lists them.
    """
    return _convert(name, Path(file))[0]


def convert(name: str, file: str | Path, output: str | Path) -> Conversion:
    """Write the weights of ``load_published(name, file)`` to a file that ``load_weights`` reads."""
    net, conversion = _convert(name, Path(file))
    save_weights(net, published(name), output, name, conversion.source_sha256)
    return conversion


def save_weights(net: Net, spec: Spec, path: str | Path, name: str = "", source_sha256: str = "") -> None:
    """Write a network's weights as safetensors with its spec inside; a file of that name is replaced at once or not.

    Args:
        net: the network.
        spec: its description.
        path: the file.
        name: of the published network, if it is one.
        source_sha256: of the file that the weights come from, if there is one.

    Raises:
        SpecError: if the network is not the spec's.
        EnvironmentFault: if the file cannot be written.
    """
    try:
        from safetensors.torch import save as to_bytes
    except ModuleNotFoundError:
        raise missing_extra("safetensors", "weights") from None

    state = {key: tensor.cpu().contiguous() for key, tensor in net.state_dict().items()}
    if net.graph != spec.graph() or state.keys() != on_meta(spec).state_dict().keys():
        raise SpecError("the network to be saved is not the spec's")
    metadata = {
        "format": "pt",
        "elastic_search.schema": str(SCHEMA),
        "elastic_search.spec": json.dumps(to_dict(spec)),
        "elastic_search.name": name,
        "elastic_search.source_sha256": source_sha256,
    }
    write_atomically(Path(path), to_bytes(state, metadata), hint=None, parents=False)


def load_weights(path: str | Path) -> Net:
    """The network that ``save`` wrote, in inference mode.

    Raises:
        FileError: if the file cannot be read, has no spec of ours inside, or its tensors are not the spec's.
    """
    path = Path(path)
    tensors, metadata = read_safetensors(path)
    net = on_meta(_spec_inside(path, metadata, len(tensors)))
    expected = net.state_dict()
    mistakes: dict[str, list[str]] = {
        "missing": [key for key in expected if key not in tensors],
        "unknown": [key for key in tensors if key not in expected],
        "wrong": [
            f"{key}: {shape_text(tensors[key])} of {tensors[key].dtype} is not {shape_text(tensor)} of {tensor.dtype}"
            for key, tensor in expected.items()
            if key in tensors
            and (tensors[key].shape != tensor.shape or tensors[key].dtype not in (tensor.dtype, *FLOATS))
        ],
    }
    if any(mistakes.values()):
        raise FileError(listing(f"{path}: its tensors are not those of the spec inside", mistakes))
    return _filled(net, tensors)


def _convert(name: str, file: Path) -> tuple[Net, Conversion]:
    spec = published(name)
    tensors = read(file)
    fit = fit_keys(spec, tensors)
    if any(fit.mistakes.values()):
        raise FileError(listing(f"{file}: not the weights of {name}", fit.mistakes), _hint(name, file, tensors, fit))
    net = on_meta(spec)
    state = fit.state(tensors)
    with open(file, "rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    state |= {key: torch.zeros((), dtype=torch.long) for key in net.state_dict() if key.endswith(COUNTS)}
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


def _hint(name: str, file: Path, tensors: dict[str, Tensor], fit: Fit) -> str | None:
    """What the file may be instead."""
    if any(BRANCH.search(key) for key in tensors):
        return f'the keys are ours already: elastic_search.load_weights("{file}")'
    # Only a network of as many parameters is worth a closer look.
    held = sum(tensor.numel() for key, tensor in tensors.items() if not key.endswith((*STATISTICS, COUNTS)))
    for other in PUBLISHED:
        graph = published(other).graph()
        if other == name or held not in (graph.params, graph.params_live):
            continue
        if not any(fit_keys(published(other), tensors).mistakes.values()):
            return f"this is a checkpoint of {other}: load it under that name"
    heads = ("fc.", "classifier.")
    if all(text.startswith(heads) for texts in fit.mistakes.values() for text in texts) and fit.mistakes["wrong"]:
        return "the classifier has another number of classes"
    return None


def _spec_inside(file: Path, metadata: dict[str, str], tensors: int) -> Spec:
    """The spec that ``save`` put into a file."""
    if "elastic_search.spec" not in metadata:
        raise FileError(
            f"{file}: no 'elastic_search.spec' in its metadata",
            "a file with the authors' keys: elastic_search.load_published(name, file)",
        )
    if metadata.get("elastic_search.schema") != str(SCHEMA):
        raise FileError(f"{file}: schema {metadata.get('elastic_search.schema')}: this version reads {SCHEMA}")
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
    numbers = [value for value in values.values() if type(value) is int]
    if any(type(value) is not kinds.get(key) for key, value in values.items()):
        return False
    blocks = 0
    for stage in data["stages"]:
        if not isinstance(stage, dict) or not {"width", "depth"} <= stage.keys() <= _STAGE.keys():
            return False
        if any(type(value) not in _STAGE[key] for key, value in stage.items()):
            return False
        if not all(type(text) is str for value in stage.values() if type(value) is list for text in value):
            return False
        if not 0 < stage["depth"] <= tensors:
            return False
        numbers.append(stage["width"])
        blocks += family.blocks(stage["depth"])
    return blocks <= tensors and max(numbers, default=0) <= MAX_COUNT
