"""What a run has found: the base network, then the finished trials, best first; and the best of several bands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from elastic_search.arch.spec import Spec
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.files import SearchSpace
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import Result


@dataclass(frozen=True)
class Row:
    """A result in its place.

    Attributes:
        rank: "base"; "1", "2", … of those trained to the end; "stopped"; "failed".
        result: what came of it.
        spec: the network.
        difference: of its cost to the base's, relative.
        band: in a sweep, the number of the band whose best it is; None for the base.
        front: in a sweep, whether it is on the curve of the best.
    """

    rank: str
    result: Result
    spec: Spec
    difference: float
    band: int | None = None
    front: bool | None = None


def order(folder: RunFolder) -> list[Result]:
    """Recorded trials, best first: those trained to the end, those stopped at a rung, those that failed.

    A network that was trained with further seeds has the mean for its accuracy, and comes before those with one.
    """
    repeats = folder.repeats()

    def merged(result: Result) -> Result:
        more = [r.accuracy for r in repeats.get(result.number or 0, ()) if r.accuracy is not None]
        if result.accuracy is None or not more:
            return result
        scores = (result.accuracy, *more)
        return replace(result, accuracy=sum(scores) / len(scores), accuracies=scores)

    def key(result: Result) -> tuple[float, ...]:
        number = result.number or 0
        if result.accuracy is None:
            return (2, 0, 0, 0, number)
        reached = -result.epochs if result.stopped else 0
        return (result.stopped, reached, result.seeds == 1, -result.accuracy, number)

    found = (folder.result(number) for number in folder.trials())
    return sorted((merged(result) for result in found if result), key=key)


def ranking(plan: SearchSpace, folder: RunFolder) -> list[Row]:
    """The base, then the recorded trials in their ``order``; nothing before the base is recorded."""
    base = folder.result(None)
    if not base:
        return []
    place = count(1)
    ranked = [(base, "base")]
    for result in order(folder):
        ranked.append((result, str(next(place)) if result.is_whole else "stopped" if result.stopped else "failed"))
    return [Row(rank, result, network_of(plan, result), result.cost / base.cost - 1) for result, rank in ranked]


def curve(of_bands: list[list[Row]]) -> list[Row]:
    """The base and each band's best network, cheapest first."""
    found = [row for row in of_bands[0] if row.rank == "base"]
    found += [replace(row, band=i) for i, rows in enumerate(of_bands) for row in rows if row.rank == "1"]
    rows = sorted(found, key=lambda row: row.result.cost)
    base = next((row.result.cost for row in rows if row.rank == "base"), 0)
    front = pareto_front([(row.result.cost, row.result.accuracy or 0.0) for row in rows])
    return [
        replace(row, difference=row.result.cost / base - 1 if base else 0.0, front=on)
        for row, on in zip(rows, front, strict=True)
    ]


def pareto_front(points: list[tuple[int, float]]) -> list[bool]:
    """Which of (cost, accuracy) no other beats: by more accuracy at no more cost, or as much at less."""
    return [
        not any((c <= cost and a > accuracy) or (c < cost and a >= accuracy) for c, a in points)
        for cost, accuracy in points
    ]


def network_of(plan: SearchSpace, result: Result) -> Spec:
    """The network of a recorded result.

    Raises:
        EnvironmentFault: if it is none of the space's.
    """
    if result.values is None:
        return plan.space.base
    try:
        return plan.space.decode(result.values)
    except ElasticError as error:
        raise EnvironmentFault(f"the record of trial {result.number}: {error}", "move its file aside") from None
