"""What the ``space`` commands report."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from elastic_search.arch.zoo import spec_id
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.text import edits_text, share_text

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace
    from elastic_search.space.band import Band
    from elastic_search.space.match import Candidate


def band_head(band: Band) -> Record:
    """A band as whole numbers."""
    bounds = {"target": band.target, "low": band.low, "high": band.high}
    return {"convention": band.convention.name, "unit": band.convention.unit, "input": list(band.input), **bounds}


def band_columns(band: Band) -> Record:
    """What rows of CSV say of a band."""
    return {**band_head(band), "input": str(band.input)}


def space_head(plan: SearchSpace) -> Record:
    """The head of all reports: the space, its size and the band."""
    limits = []
    for limit in plan.matcher.limits:
        rules = limit.convention
        about = {"quantity": rules.name, "unit": rules.unit} if rules else {"quantity": "params", "unit": "parameters"}
        limits.append({**about, "input": list(limit.input), "low": limit.low, "high": limit.high})
    return {"space": plan.name, "size": plan.matcher.size, **band_head(plan.band), "limits": limits}


def count_report(plan: SearchSpace, inside: int, marginals: dict[str, dict[Any, int]]) -> Report:
    """The number of networks in the band, in total and by the value of each choice."""
    size, rows, records = plan.matcher.size, list[Record | None](), list[Record]()
    for name, counts in marginals.items():
        absent = inside - sum(counts.values())
        rows += [None] * bool(rows)
        for value, number in {**counts, **({"absent": absent} if absent > 0 else {})}.items():
            row: Record = {"choice": name, "value": str(value), "inside": number}
            rows.append({**row, "share": share_text(number, inside)})
            records.append({"level": "choice", **row, "share": float(Fraction(number, inside))})
    records.append({"level": "total", "inside": inside, "share": 1.0})
    head = {**space_head(plan), "inside": inside, "share": float(Fraction(inside, size))}
    values = {choice: {str(value): n for value, n in counts.items()} for choice, counts in marginals.items()}
    fields = [Field("choice", "choice"), Field("value", "value")]
    fields += [Field("inside", "networks", "number"), Field("share", "share", "number")]
    verb = "is" if inside == 1 else "are"
    title = f"{inside:,} of {size:,} networks of {plan.name} {verb} in the band ({share_text(inside, size)})"
    notes = [f"band: {plan.band}", *(f"and {limit}" for limit in plan.matcher.limits)]
    return Report(title, fields, rows, notes, {**head, "marginals": values}, "space count", records)


def candidates_report(plan: SearchSpace, title: str, candidates: list[tuple[str, Candidate]]) -> Report:
    """Networks with labels and exact costs."""
    band, rows, networks = plan.band, list[Record](), list[Record]()
    for what, candidate in candidates:
        spec = candidate.spec
        row: Record = {"what": what, "depths": list(spec.depths), "count": candidate.cost}
        row |= {"difference": band.change(candidate.cost), "params": candidate.params}
        row |= {"splits": edits_text(spec, plan.space.base), "id": spec_id(spec)}
        networks.append({**row, "values": candidate.values})
        rows.append({**row, **band_columns(band)})
    fields = [Field("what", ""), Field("depths", "depths", "depths"), Field("count", band.convention.name, "count")]
    fields += [Field("difference", "change", "change"), Field("params", "params", "count")]
    fields.append(Field("splits", "splits", "long"))
    notes = [f"band: {band}", *(f"and {limit}" for limit in plan.matcher.limits)]
    notes += [TRAINED] * any(candidate.spec.trained_filters for _, candidate in candidates)
    return Report(title, fields, rows, notes, {**space_head(plan), "networks": networks}, "space sample").without(
        "params"
    )


def verdict_report(plan: SearchSpace, about: Record) -> Report:
    """What ``space explain`` says in JSON: of the space or, with ``network`` in ``about``, of a network."""
    form = "space explain NETWORK" if "network" in about else "space explain"
    return Report(notes=[f"band: {plan.band}"], head={**space_head(plan), **about}, form=form)
