"""What the ``space`` commands report."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.text import edits_text, share_text
from elastic_search.space.band import Band
from elastic_search.space.match import Candidate

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace


def band_head(band: Band) -> Record:
    """A band as whole numbers."""
    bounds = {"target": band.target, "low": band.low, "high": band.high}
    return {"convention": band.convention.name, "input": list(band.input), **bounds}


def space_head(plan: SearchSpace) -> Record:
    """The head of all reports: the space, its size and the band."""
    limits = []
    for limit in plan.matcher.limits:
        quantity = "params" if limit.convention is None else limit.convention.name
        limits.append({"quantity": quantity, "input": list(limit.input), "low": limit.low, "high": limit.high})
    return {"space": plan.name, "size": plan.matcher.size, **band_head(plan.band), "limits": limits}


def count_report(plan: SearchSpace, inside: int, marginals: dict[str, dict[Any, int]]) -> Report:
    """The number of networks in the band, in total and by the value of each choice."""
    size, rows = plan.matcher.size, list[Record | None]()
    for name, counts in marginals.items():
        absent = inside - sum(counts.values())
        rows += [None] * bool(rows)
        for value, number in {**counts, **({"absent": absent} if absent > 0 else {})}.items():
            share = share_text(number, inside)
            rows.append({"choice": name, "value": str(value), "networks": number, "share": share})
    head = {**space_head(plan), "inside": inside, "share": str(Fraction(inside, size))}
    values = {choice: {str(value): n for value, n in counts.items()} for choice, counts in marginals.items()}
    fields = [Field("choice", "choice"), Field("value", "value")]
    fields += [Field("networks", "networks", "number"), Field("share", "share", "number")]
    title = f"{inside:,} of {size:,} networks of {plan.name} are in the band ({share_text(inside, size)})"
    notes = [f"band: {plan.band}", *(f"and {limit}" for limit in plan.matcher.limits)]
    return Report(title, fields, rows, notes, {**head, "marginals": values})


def candidates_report(plan: SearchSpace, title: str, candidates: list[tuple[str, Candidate]]) -> Report:
    """Networks with labels and exact costs."""
    band, rows, networks = plan.band, list[Record](), list[Record]()
    for what, candidate in candidates:
        row: Record = {"what": what, "depths": list(candidate.spec.depths), "cost": candidate.cost}
        row |= {"difference": band.change(candidate.cost), "params": candidate.params}
        networks.append({**row, "values": candidate.values})
        rows.append({**row, "splits": edits_text(candidate.spec, plan.space.base)})
    fields = [Field("what", ""), Field("depths", "depths", "depths"), Field("cost", band.convention.name, "count")]
    fields += [Field("difference", "change", "change"), Field("params", "params", "count")]
    fields.append(Field("splits", "splits", "long"))
    notes = [f"band: {band}", *(f"and {limit}" for limit in plan.matcher.limits)]
    notes += [TRAINED] * any(candidate.spec.trained_filters for _, candidate in candidates)
    return Report(title, fields, rows, notes, {**space_head(plan), "networks": networks})
