"""How the keys of the authors' released files fit our networks.

Their keys are module names, ours the graph's node paths. Where a whole block is one branch here, their file may hold it
as two halves, of which the second has ``_d`` at the end of its modules' names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.nn.net import Net

DEAD, COUNTER = "dead projection", "batch counter"
"""Rules by which a key is dropped: nobody reads its module's result; nobody reads how many batches were seen."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

COUNTS = ".num_batches_tracked"
STATISTICS = (".running_mean", ".running_var")
BRANCH = re.compile(r"\.at([12])\.")


@dataclass(frozen=True)
class Fit:
    """How a file's keys fit a network.

    Attributes:
        sources: by our name, the keys of a tensor and the dimension along which two of them are merged.
        dropped: the rule by which a key is dropped.
        mistakes: keys, and what is wrong with them, by kind.
    """

    sources: dict[str, tuple[tuple[str, ...], int]]
    dropped: dict[str, str]
    mistakes: dict[str, list[str]]

    def state(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The file's tensors under our names; halves are merged."""
        return {
            name: torch.cat([tensors[key] for key in keys], dim) if len(keys) > 1 else tensors[keys[0]]
            for name, (keys, dim) in self.sources.items()
        }


def fit_keys(spec: Spec, tensors: dict[str, Tensor]) -> Fit:
    """What becomes of every key of a released file in the network of a published spec."""
    dead = tuple(f"{path}." for path in spec.graph().dead())
    ours = on_meta(spec, dead=True).state_dict()
    modules = [key.split(".")[:-1] for key in tensors]
    halved = {".".join(module[:-1]) for module in modules if module and module[-1].endswith("_d")}
    if not spec.halved:
        # Plain DLA and DenseNet are whole; halves are of the Elastic network, whose merged weights could fit here.
        halved = set()
    sources: dict[str, tuple[tuple[str, ...], int]] = {}
    dropped = {key: COUNTER for key in tensors if key.endswith(COUNTS)}
    mistakes: dict[str, list[str]] = {"missing": [], "unknown": [], "wrong": []}
    for name, tensor in ours.items():
        if name.endswith(COUNTS):
            continue
        keys = _keys_of(spec, name, ours.keys(), halved)
        if name.startswith(dead):
            dropped |= {key: DEAD for key in keys if key in tensors}
            continue
        # Halves lie side by side in the channels inside a block: outputs, but inputs of its last convolution.
        dim = 1 if keys[0].split(".")[-2] == spec.LAST_CONV else 0
        sources[name] = keys, dim
        wanted = list(tensor.shape)
        wanted[dim] //= len(keys)
        for key in keys:
            if key not in tensors:
                mistakes["missing"].append(key)
            elif list(tensors[key].shape) != wanted:
                mistakes["wrong"].append(f"{key}: {shape_text(tensors[key])} is not {shape_text(wanted)}")
            elif tensors[key].dtype not in FLOATS:
                mistakes["wrong"].append(f"{key}: {tensors[key].dtype}; weights are floats of 16 to 64 bits")
    known = {key for keys, _ in sources.values() for key in keys} | dropped.keys()
    mistakes["unknown"] = [key for key in tensors if key not in known]
    return Fit(sources, dropped, mistakes)


def _keys_of(spec: Spec, name: str, names: Collection[str], halved: set[str]) -> tuple[str, ...]:
    """The authors' keys of one of our tensors: two, where a whole block here is two halves in the file.

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


def on_meta(spec: Spec, *, dead: bool = False) -> Net:
    """The spec's network without storage: names and shapes."""
    with torch.device("meta"):
        return Net(spec.graph(), dead=dead)


def shape_text(value: Tensor | list[int]) -> str:
    """A shape as people read it: ``64x3x7x7``."""
    return "x".join(map(str, value.shape if isinstance(value, Tensor) else value)) or "a single number"
