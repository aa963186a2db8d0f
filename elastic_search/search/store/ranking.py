"""What a run has found: the base network, then the finished trials, best first; and the best of several bands.

The best network is written as a spec file once an independent tool has counted it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from elastic_search.arch.spec import Spec
from elastic_search.atomic import write_atomically
from elastic_search.errors import ElasticError, EnvironmentFault, MismatchError
from elastic_search.files import SearchSpace, dump_spec
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import OF_BASE, SCALED, Result

Counter = Callable[[Spec], tuple[str, int, int]]
"""Counts a network with an independent tool: the tool's name, our count, its count."""


SHOWN = 3
"""Best networks that are tested on images which nothing was chosen by, besides the base."""


@dataclass(frozen=True)
class Row:
    """A result and its rank.

    Attributes:
        rank: "base"; "scaled" for the base scaled to the band; "1", "2", … for those trained to the end; "stopped";
            "failed".
        result: what the training gave.
        spec: the network.
        difference: relative difference of its cost to the base's, or to that of the scaled base.
        band: in a sweep, the number of the band that it is the best of; None for the base.
        front: in a sweep, whether no other row costs less and is as accurate.
    """

    rank: str
    result: Result
    spec: Spec
    difference: float
    band: int | None = None
    front: bool | None = None


def order(folder: RunFolder, among: Iterable[int] | None = None) -> list[Result]:
    """Recorded trials, or some of their numbers, best first: trained to the end, stopped at a rung, failed.

    The accuracy of a network that was trained with several seeds is their mean; such networks come first.
    """
    repeats = folder.repeats()

    def merged(result: Result) -> Result:
        more = [r for r in repeats.get(result.number or 0, ()) if r.accuracy is not None]
        if result.accuracy is None or not more:
            return result
        scores = (result.accuracy, *(r.accuracy for r in more if r.accuracy is not None))
        tests = [r.test_accuracy for r in (result, *more) if r.test_accuracy is not None]
        test = sum(tests) / len(tests) if tests else None
        return replace(result, accuracy=sum(scores) / len(scores), accuracies=scores, test_accuracy=test)

    def key(result: Result) -> tuple[float, ...]:
        number = result.number or 0
        if result.accuracy is None:
            return (2, 0, 0, 0, number)
        reached = -result.epochs if result.stopped else 0
        return (result.stopped, reached, result.seeds == 1, -result.accuracy, number)

    found = (folder.result(number) for number in (folder.trials() if among is None else among))
    return sorted((merged(result) for result in found if result), key=key)


def ranking(plan: SearchSpace, folder: RunFolder) -> list[Row]:
    """The base, then the base scaled to the band where there is one, then the recorded trials in their ``order``.

    Empty until the base is recorded.
    """
    base = folder.result(None)
    if not base:
        return []
    like, place = folder.result(SCALED) or base, count(1)
    ranked = [(base, "base")]
    if scaled := folder.result(SCALED):
        ranked.append((scaled, "scaled"))
    for result in order(folder):
        ranked.append((result, str(next(place)) if result.is_whole else "stopped" if result.stopped else "failed"))
    return [Row(rank, result, network_of(plan, result), result.cost / like.cost - 1) for result, rank in ranked]


def curve(of_bands: list[list[Row]]) -> list[Row]:
    """The base and each band's best network and scaled base, cheapest first."""
    found = [row for row in of_bands[0] if row.rank == "base"]
    found += [replace(row, band=i) for i, rows in enumerate(of_bands) for row in rows if row.rank in ("1", "scaled")]
    rows = sorted(found, key=lambda row: row.result.cost)
    base = next((row.result.cost for row in rows if row.rank == "base"), 0)
    front = pareto_front([(row.result.cost, row.result.accuracy or 0.0) for row in rows])
    return [
        replace(row, difference=row.result.cost / base - 1 if base else 0.0, front=on)
        for row, on in zip(rows, front, strict=True)
    ]


def pareto_front(points: list[tuple[int, float]]) -> list[bool]:
    """Whether each (cost, accuracy) is unbeaten: none is more accurate at no more cost, or as accurate at less."""
    return [
        not any((c <= cost and a > accuracy) or (c < cost and a >= accuracy) for c, a in points)
        for cost, accuracy in points
    ]


def network_of(plan: SearchSpace, result: Result) -> Spec:
    """The network of a recorded result.

    Raises:
        EnvironmentFault: if it is not in the space.
    """
    if result.values is None:
        return plan.space.base
    try:
        if result.number == SCALED:
            return plan.space.base.with_depths(tuple(int(depth) for depth in result.values.values()))
        return plan.space.decode(result.values)
    except (ElasticError, ValueError) as error:
        name = OF_BASE.get(result.number, f"trial {result.number}")
        raise EnvironmentFault(f"the record of {name}: {error}", "move its file aside") from None


def write_best(
    folder: RunFolder, plan: SearchSpace, decode: Callable[[dict[str, Any]], Spec], counter: Counter | None
) -> None:
    """Write the best network that was trained to the end, unless its file is up to date.

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
            fault = f"trial {best.number}: {tool} counts {theirs:,}, but we count {ours:,}; nothing was written"
            raise MismatchError(fault, "please report this, with the run's folder")
    write_atomically(folder.best_file, text)


def best_result(folder: RunFolder) -> Result | None:
    """The record of the best network that was trained to the end; None until the base was, too."""
    if folder.result(None) is None:
        return None
    return next((result for result in order(folder) if result.is_whole), None)


def best_text(folder: RunFolder, plan: SearchSpace, best: Result, spec: Spec) -> str:
    """The content of the best network's file."""
    base, band = folder.result(None) or best, plan.band
    accuracy, about = f"proxy accuracy {best.accuracy:.4f}", plan.images
    if best.test_accuracy is not None:
        names = {"val": "the validation scenes", "test": "the test scenes"}
        ranked, final = (of if about.sealed else names[of] for of in (about.splits["rank"], about.splits["final"]))
        accuracy += f" on {ranked}, which ranked it, and {best.test_accuracy:.4f} on {final}"
    what = f"images of {about.name}, not a full training" if about.sealed else f"{about.name}, not an ImageNet result"
    comments = (
        f"Best of run {folder.name}: trial {best.number}, id {best.id}",
        f"{best.cost:,} {band.convention.name} at {band.input.height}x{band.input.width}; "
        f"{plan.base_name}, the base, has {base.cost:,}",
        f"{accuracy} (a proxy on {what})",
    )
    return dump_spec(spec, comments)
