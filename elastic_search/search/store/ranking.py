"""What a run has found: the base network, then the finished trials, best first."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.spec import Spec
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.files import SearchSpace
from elastic_search.search.store.folder import RunFolder


def order(folder: RunFolder) -> list[dict[str, Any]]:
    """Recorded trials, best first: those trained to the end, those stopped at a rung, those that failed.

    A network that was trained with further seeds has the mean for its accuracy, and comes before those with one.
    """
    repeats = folder.repeats()

    def merged(result: dict[str, Any]) -> dict[str, Any]:
        scores = [r["accuracy"] for r in repeats.get(result["number"], ()) if r["accuracy"] is not None]
        if result["accuracy"] is None or not scores:
            return {**result, "seeds": 1}
        scores = [result["accuracy"], *scores]
        return {**result, "accuracy": sum(scores) / len(scores), "accuracies": scores, "seeds": len(scores)}

    def key(result: dict[str, Any]) -> tuple[float, ...]:
        if result["accuracy"] is None:
            return (2, 0, 0, 0, result["number"])
        stopped = bool(result.get("stopped"))
        reached = -len(result["curve"]) if stopped else 0
        return (stopped, reached, result["seeds"] == 1, -result["accuracy"], result["number"])

    found = (folder.result(number) for number in folder.trials())
    return sorted((merged(result) for result in found if result), key=key)


def ranking(plan: SearchSpace, folder: RunFolder) -> list[dict[str, Any]]:
    """Recorded results as rows: the base, then the trials in their ``order``.

    Each row has rank ("base", "1", "2", … for those trained to the end, "stopped", "failed"), trial, id, spec,
    cost, difference (to the base's cost, relative), params, proxy_macs, proxy_params, accuracy, accuracy_by_size,
    curve, epochs, seeds, accuracies (where there are several seeds), seconds, and reason where a trial failed.
    """
    base = folder.result(None)
    if not base:
        return []
    rows, place = [_row(plan, {**base, "seeds": 1}, "base", base["cost"])], 0
    for result in order(folder):
        if result["accuracy"] is None:
            rank = "failed"
        elif result.get("stopped"):
            rank = "stopped"
        else:
            place += 1
            rank = str(place)
        rows.append(_row(plan, result, rank, base["cost"]))
    return rows


def network_of(plan: SearchSpace, result: dict[str, Any]) -> Spec:
    """The network of a recorded result.

    Raises:
        EnvironmentFault: if it is none of the space's.
    """
    if result["values"] is None:
        return plan.space.base
    try:
        return plan.space.decode(result["values"])
    except ElasticError as error:
        raise EnvironmentFault(f"the record of trial {result['number']}: {error}", "move its file aside") from None


def _row(plan: SearchSpace, result: dict[str, Any], rank: str, base_cost: int) -> dict[str, Any]:
    keys = ("id", "cost", "params", "proxy_macs", "proxy_params", "accuracy", "accuracy_by_size", "curve")
    more = ("seeds", "accuracies", "seconds", "reason")
    return {
        "rank": rank,
        "trial": result["number"],
        "spec": network_of(plan, result),
        "difference": result["cost"] / base_cost - 1,
        "epochs": len(result.get("curve") or ()),
        **{key: result.get(key) for key in (*keys, *more)},
    }


def best_accuracies(rows: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Accuracy of the base network and of the best trial, where known."""
    base = [row["accuracy"] for row in rows if row["rank"] == "base"]
    best = [row["accuracy"] for row in rows if row["rank"] == "1"]
    return (base or [None])[0], (best or [None])[0]
