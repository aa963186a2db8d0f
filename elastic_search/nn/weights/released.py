"""How the keys of the authors' released files fit our networks.

Their keys are module names, ours are the graph's node paths. A block that is one branch here may be two halves in their
file; the names of the second half's modules end in ``_d``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.nn.net import on_meta

DEAD, COUNTER = "dead projection", "batch counter"
"""Rules by which a key is dropped: its module's result is never read; nor is the number of batches seen."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

COUNTS = ".num_batches_tracked"
STATISTICS = (".running_mean", ".running_var")
BRANCH = re.compile(r"\.at([12])\.")
Sources = dict[str, tuple[tuple[str, ...], int]]
"""By our name, the keys of a tensor and the dimension along which two of them are merged."""


@dataclass(frozen=True)
class Fit:
    """How a file's keys fit a network.

    Attributes:
        sources: where each of our tensors comes from.
        dropped: the rule by which a key is dropped.
        mistakes: the faulty keys, with what is wrong, by kind.
    """

    sources: Sources
    dropped: dict[str, str]
    mistakes: dict[str, list[str]]

    def state(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's tensors under our names; halves are merged."""
        return {
            name: torch.cat([tensors[key] for key in keys], dim) if len(keys) > 1 else tensors[keys[0]]
            for name, (keys, dim) in self.sources.items()
        }


def fit_keys(spec: Spec, tensors: dict[str, Tensor]) -> Fit:
    """Match every key of a released file with the network of a published spec."""
    dead = tuple(f"{path}." for path in spec.graph().dead())
    ours = on_meta(spec.graph(), dead=True).state_dict()
    # Plain DLA and DenseNet are whole; halves are of the Elastic network, whose merged weights could fit here.
    modules = [key.rpartition(".")[0] for key in tensors] if spec.halved else []
    halved = {module.rpartition(".")[0] for module in modules if module.endswith("_d")}
    sources: Sources = {}
    dropped = {key: COUNTER for key in tensors if key.endswith(COUNTS)}
    for name in ours:
        if name.endswith(COUNTS):
            continue
        keys = _keys_of(spec, name, ours.keys(), halved)
        if name.startswith(dead):
            dropped |= {key: DEAD for key in keys if key in tensors}
            continue
        # Halves lie side by side in the channels inside a block: outputs, but inputs of its last convolution.
        sources[name] = keys, 1 if keys[0].split(".")[-2] == spec.LAST_CONV else 0
    kept = {key: tensor for key, tensor in tensors.items() if key not in dropped}
    return Fit(sources, dropped, mistakes(ours, kept, sources))


def mistakes(ours: dict[str, Tensor], tensors: dict[str, Tensor], sources: Sources) -> dict[str, list[str]]:
    """The keys of a file that are missing, unknown, or of a wrong shape or dtype; any float can be a weight."""
    known = {key for keys, _ in sources.values() for key in keys}
    found: dict[str, list[str]] = {"missing": [], "unknown": [key for key in tensors if key not in known], "wrong": []}
    for name, (keys, dim) in sources.items():
        dtype, wanted = ours[name].dtype, list(ours[name].shape)
        wanted[dim : dim + 1] = [size // len(keys) for size in wanted[dim : dim + 1]]
        for key in keys:
            tensor = tensors.get(key)
            if tensor is None:
                found["missing"].append(key)
            elif list(tensor.shape) != wanted or tensor.dtype not in (dtype, *FLOATS):
                given = f"{_shape_text(tensor.shape)} of {tensor.dtype}"
                found["wrong"].append(f"{key}: {given}, not {_shape_text(wanted)} of {dtype}")
    return found


def _keys_of(spec: Spec, name: str, names: Collection[str], halved: set[str]) -> tuple[str, ...]:
    """The authors' keys of one of our tensors: two if a whole block here is two halves in the file.

    Published splits are whole blocks, or halves of which the second (``_d``) works at half the resolution.
    """
    key = BRANCH.sub(".", name)
    for pattern, new in spec.RELEASED_NAMES:
        key = re.sub(pattern, new, key)
    branch = BRANCH.search(name)
    if branch is None:
        return (key,)
    module, _, tensor = key.rpartition(".")
    low = f"{module}_d.{tensor}"
    if branch[1] == "2":
        return (low,)
    whole = BRANCH.sub(".at2.", name) not in names
    return (key, low) if whole and module.rpartition(".")[0] in halved else (key,)


def hint(name: str, file: Path, tensors: dict[str, Tensor], fit: Fit) -> str | None:
    """What a file that does not fit may be instead."""
    if any(BRANCH.search(key) for key in tensors):
        return f'its keys are elastic-search names: read it with elastic_search.load_weights("{file}")'
    # Only a network with as many parameters is worth a closer look.
    held = sum(tensor.numel() for key, tensor in tensors.items() if not key.endswith((*STATISTICS, COUNTS)))
    for other in PUBLISHED:
        graph = published(other).graph()
        if other == name or held not in (graph.params, graph.params_live):
            continue
        if not any(fit_keys(published(other), tensors).mistakes.values()):
            return f"this is a checkpoint of {other}: load it under that name"
    heads = ("fc.", "classifier.")
    if all(text.startswith(heads) for texts in fit.mistakes.values() for text in texts) and fit.mistakes["wrong"]:
        return "its classifier has another number of classes"
    return None


def _shape_text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "a single number"
