"""What ``match`` reports."""

from __future__ import annotations

from elastic_search.arch.split import Split
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.conventions import MACS
from elastic_search.cost.tally import Tally
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.text import size
from elastic_search.space.band import Band
from elastic_search.space.match import Candidate, Matcher


def match_report(
    candidates: list[Candidate],
    found: int,
    matcher: Matcher,
    band: Band,
    base: tuple[str, Tally],
    split: Split,
    params: tuple[int, int] | None = None,
) -> Report:
    """Networks with their exact costs and relative differences to the base.

    Args:
        candidates: the networks to show.
        found: how many there are in all.
        matcher: of their space.
        band: of costs.
        base: its name and its macs.
        split: in every block that may scale.
        params: bounds of the parameters, if there are any.
    """
    (label, macs), name = base, band.convention.name
    networks: list[Record] = []
    for candidate in candidates:
        row: Record = {"depths": list(candidate.spec.depths), name: candidate.cost}
        row |= {"difference": candidate.cost / band.target - 1, "macs": matcher.cost(candidate, MACS)}
        row |= {"macs_difference": row["macs"] / macs.total - 1, "params": candidate.params}
        row |= {"params_difference": candidate.params / macs.params - 1, "id": spec_id(candidate.spec)}
        networks.append(row)
    fields = [Field("rank", "#", "number"), Field("depths", "depths", "depths")]
    for key in dict.fromkeys((name, "macs", "params")):
        fields += [Field(key, key, "count")]
        fields.append(Field("difference" if key == name else f"{key}_difference", "change", "change"))
    types = f" ({split.down} down, {split.up} up)" if split.scales_down else ""
    more = f"; the nearest {len(networks)} are shown (--limit)" if len(networks) < found else ""
    notes = [f"{found:,} match{more}", f"inside: {band}"]
    notes += [f"and {params[0]:,} to {params[1]:,} parameters"] if params else []
    notes += [TRAINED] * (split.up == "trained")
    head: Record = {"base": label, "split": str(split), "down": split.down if split.scales_down else None}
    head |= {"up": split.up if split.scales_down else None, "input": list(band.input), "convention": name}
    head |= {"unit": band.convention.unit, "target": band.target, "low": band.low, "high": band.high}
    head |= {"params": None if params is None else list(params), "found": found, "networks": networks}
    rows = [{**row, "rank": rank} for rank, row in enumerate(networks, 1)]
    return Report(f"Depths of {label} with split {split}{types} at {size(band.input)}", fields, rows, notes, head)
