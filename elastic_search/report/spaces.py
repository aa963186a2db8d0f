"""The tables and JSON of ``space``."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from elastic_search.files import SearchSpace
from elastic_search.report.matches import TRAINED
from elastic_search.report.searches import edits_text
from elastic_search.report.table import Column, Table
from elastic_search.space.band import Band
from elastic_search.space.match import Candidate, Matcher

SCHEMA = 1


def share_text(part: int, whole: int) -> str:
    """A share in percent with four significant digits, however small."""
    return f"{float(100 * Fraction(part, whole)):.4g}%" if whole else "-"


def candidate_json(candidate: Candidate, band: Band) -> dict[str, Any]:
    """A network with its exact cost and its values."""
    return {
        "depths": list(candidate.spec.depths),
        "cost": candidate.cost,
        "difference": candidate.cost / band.target - 1,
        "params": candidate.params,
        "values": candidate.values,
    }


def head_json(plan: SearchSpace, band: Band, matcher: Matcher) -> dict[str, Any]:
    """What all answers share: the space, its size and the band."""
    return {
        "schema": SCHEMA,
        "space": plan.name,
        "size": matcher.size,
        "convention": band.convention.name,
        "input": list(band.input),
        "target": band.target,
        "low": band.low,
        "high": band.high,
        "limits": [
            {
                "quantity": "params" if limit.convention is None else limit.convention.name,
                "input": list(limit.input),
                "low": limit.low,
                "high": limit.high,
            }
            for limit in matcher.limits
        ],
    }


def count_table(
    plan: SearchSpace, band: Band, matcher: Matcher, inside: int, marginals: dict[str, dict[Any, int]]
) -> Table:
    """How many networks are inside, and how many have each value of each choice."""
    columns = (
        Column("choice", "choice"),
        Column("value", "value"),
        Column("networks", "networks", "number"),
        Column("share", "share", "number"),
    )
    rows: list[dict[str, Any] | None] = []
    for name, counts in marginals.items():
        entries = dict(counts)
        if (absent := inside - sum(entries.values())) > 0:
            entries["absent"] = absent
        rows += [
            {"choice": name, "value": str(value), "networks": number, "share": share_text(number, inside)}
            for value, number in entries.items()
        ]
        rows.append(None)
    title = f"{inside:,} of {matcher.size:,} networks of {plan.name} are inside ({share_text(inside, matcher.size)})"
    return Table(title, columns, rows[:-1], (f"inside: {band}", *(f"and {limit}" for limit in matcher.limits)))


def candidates_table(title: str, candidates: list[tuple[str, Candidate]], band: Band, notes: tuple[str, ...]) -> Table:
    """Networks with their exact costs."""
    columns = (
        Column("what", ""),
        Column("depths", "depths"),
        Column("cost", band.convention.name, "count"),
        Column("difference", "change", "change"),
        Column("params", "params", "count"),
        Column("splits", "splits", "long"),
    )
    rows: list[dict[str, Any] | None] = []
    for what, candidate in candidates:
        spec = candidate.spec
        text = {"depths": "-".join(map(str, spec.depths)), "splits": edits_text(spec, candidate.matcher.space.base)}
        rows.append({**candidate_json(candidate, band), "what": what, **text})
    trained = (TRAINED,) if any(candidate.spec.trained_filters for _, candidate in candidates) else ()
    return Table(title, columns, rows, (*notes, *trained))
