"""What a run has found: the base network, then the finished trials, best first."""

from __future__ import annotations

from typing import Any

from elastic_search.files import SearchSpace
from elastic_search.search.folder import RunFolder


def ranking(plan: SearchSpace, folder: RunFolder) -> list[dict[str, Any]]:
    """Recorded results as rows; a trial that failed has no rank and comes last.

    Each row has rank ("base", "1", "2", …), trial, id, spec, cost, difference (to the base's cost, relative),
    params, proxy_macs, proxy_params, accuracy, accuracy_by_size, seconds, and reason where a trial failed.
    """
    base = folder.result(None)
    trials = [folder.result(number) for number in folder.trials()]
    done = sorted(
        (trial for trial in trials if trial and trial["accuracy"] is not None),
        key=lambda trial: (-trial["accuracy"], trial["number"]),
    )
    failed = [trial for trial in trials if trial and trial["accuracy"] is None]
    if not base:
        return []
    rows = [_row(plan, base, "base", base["cost"])]
    rows += [_row(plan, trial, str(rank), base["cost"]) for rank, trial in enumerate(done, 1)]
    return rows + [_row(plan, trial, "failed", base["cost"]) for trial in failed]


def _row(plan: SearchSpace, result: dict[str, Any], rank: str, base_cost: int) -> dict[str, Any]:
    values = result["values"]
    keys = ("id", "cost", "params", "proxy_macs", "proxy_params", "accuracy", "accuracy_by_size", "seconds", "reason")
    return {
        "rank": rank,
        "trial": result["number"],
        "spec": plan.space.base if values is None else plan.space.decode(values),
        "difference": result["cost"] / base_cost - 1,
        **{key: result.get(key) for key in keys},
    }


def best_accuracies(rows: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Accuracy of the base network and of the best trial, where known."""
    base = [row["accuracy"] for row in rows if row["rank"] == "base"]
    best = [row["accuracy"] for row in rows if row["rank"] == "1"]
    return (base or [None])[0], (best or [None])[0]
