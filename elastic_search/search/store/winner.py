"""The best network of a run, written as a spec file once an independent tool has counted it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from elastic_search.arch.spec import Spec
from elastic_search.atomic import write_atomically
from elastic_search.errors import MismatchError
from elastic_search.files import SearchSpace, dump_spec
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import order
from elastic_search.search.store.result import Result

Counter = Callable[[Spec], tuple[str, int, int]]
"""Counts a network by an independent tool: the tool's name, our count, its count."""


def write_best(
    folder: RunFolder, plan: SearchSpace, decode: Callable[[dict[str, Any]], Spec], counter: Counter | None
) -> None:
    """Write the best network that was trained to the end, if it is not the one that is there.

    Raises:
        MismatchError: if an independent tool counts it differently, or it is outside the band.
    """
    best = best_result(folder)
    if best is None:
        return
    spec = decode(best.values or {})
    text = best_text(folder, plan, best, spec)
    if folder.best_file.is_file() and folder.best_file.read_bytes() == text.encode():
        return
    if counter is not None:
        tool, ours, theirs = counter(spec)
        if ours != theirs:
            raise MismatchError(
                f"trial {best.number}: {tool} counts {theirs:,} where we count {ours:,}; nothing was written",
                "please report this with the run's folder",
            )
    write_atomically(folder.best_file, text)


def best_result(folder: RunFolder) -> Result | None:
    """The record of the best network that was trained to the end, if the base was, too."""
    best = next((result for result in order(folder) if result.is_whole), None)
    return best if folder.result(None) is not None else None


def best_text(folder: RunFolder, plan: SearchSpace, best: Result, spec: Spec) -> str:
    """What the best network's file holds."""
    base, band = folder.result(None) or best, plan.band
    comments = (
        f"Best of run {folder.name}: trial {best.number}, id {best.id}",
        f"{best.cost:,} {band.convention.name} at {band.input.height}x{band.input.width}; "
        f"{plan.base_name}, the base, has {base.cost:,}",
        f"proxy accuracy {best.accuracy:.4f} (a proxy on Fashion-MNIST scenes, not an ImageNet result)",
    )
    return dump_spec(spec, comments)
