"""Notes that several reports share: how a module was read, and the result of ``elasticize``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from elastic_search.arch.network import opaque_nodes

if TYPE_CHECKING:
    from elastic_search.arch.network import Network
    from elastic_search.nn.elastic.elasticize import Elasticized

TRAINED = "params include the trained resampling filters; the other types have none"


def reading_notes(networks: Iterable[tuple[str, Network]]) -> list[str]:
    """What to know of networks that were read from modules, each under a label.

    Operations that count 0 only because nobody knows what they multiply, how to give them a rule, and whatever else the
    reading found.
    """
    lines, example = [], ""
    for label, network in networks:
        opaque = opaque_nodes(network.graph)
        if opaque:
            lines.append(f"{label}: not counted, for lack of a rule: {opaque_text(opaque)}")
            example = example or min(opaque, key=lambda name: (is_torchs(name), name))
        lines += [f"{label}: {note}" for note in network.notes]
    if example and is_torchs(example):
        # A rule for a layer of torch would replace all of its kind, in every network.
        lines.append("to count it, call it in a function or a module class of your own, and give that a rule with")
        lines.append("elastic_search.register_rule: (inputs, output), given as shapes -> multiply-adds for one image")
    elif example:
        lines.append(f'to add a rule, next to your factory put @elastic_search.register_rule("{example}")')
        lines.append("on a function of (inputs, output), given as shapes, that returns the multiply-adds for one image")
    return lines


def opaque_text(opaque: dict[str, int]) -> str:
    """Operations without a rule, with how often each occurs."""
    return ", ".join(f"{name} ({times} x)" for name, times in sorted(opaque.items()))


def is_torchs(name: str) -> bool:
    """Whether an operation is one of torch's own, by its full name."""
    return name.startswith("torch.")


def left_notes(change: Elasticized) -> list[str]:
    """How many convolutions ``elasticize`` replaced, or that it could replace none, and the others by reason."""
    reasons: dict[str, list[str]] = {}
    for left in change.left:
        reasons.setdefault(f"{left.reason} ({left.why})", []).append(left.path)
    return [str(change), *(f"left, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())]
