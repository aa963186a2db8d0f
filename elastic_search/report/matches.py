"""What ``match`` reports."""

from __future__ import annotations

from elastic_search.arch.spec import Spec
from elastic_search.arch.split import Split
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.text import size
from elastic_search.space.depths import Matches


def match_report(matches: Matches, label: str, base: Spec, split: Split) -> Report:
    """Networks with their exact costs and relative differences to the base.

    Args:
        matches: what was found.
        label: the base's name.
        base: what is matched.
        split: in every block that may scale.
    """
    band, params, found, name = matches.band, matches.params, matches.found, matches.band.convention.name
    own = tally(base.graph(), band.input, MACS)
    networks: list[Record] = []
    for candidate in matches.networks:
        row: Record = {"depths": list(candidate.spec.depths), name: candidate.cost}
        row |= {"difference": band.change(candidate.cost), "macs": candidate.matcher.cost(candidate, MACS)}
        row |= {"macs_difference": row["macs"] / own.total - 1, "params": candidate.params}
        row |= {"params_difference": candidate.params / own.params - 1, "id": spec_id(candidate.spec)}
        networks.append(row)
    fields = [Field("rank", "#", "number"), Field("depths", "depths", "depths")]
    for key in dict.fromkeys((name, "macs", "params")):
        fields += [Field(key, key, "count")]
        fields.append(Field("difference" if key == name else f"{key}_difference", "change", "change"))
    types = f" ({split.down} down, {split.up} up)" if split.scales_down else ""
    more = f"; the nearest {len(networks)} are shown (--limit)" if len(networks) < found else ""
    notes = [f"{found:,} match{more}", f"inside: {band}"]
    notes += [f"and {params}"] if params else []
    notes += [TRAINED] * (split.up == "trained")
    head: Record = {"base": label, "split": str(split), "down": split.down if split.scales_down else None}
    head |= {"up": split.up if split.scales_down else None, "input": list(band.input), "convention": name}
    head |= {"unit": band.convention.unit, "target": band.target, "low": band.low, "high": band.high}
    head |= {"params": params and [params.low, params.high], "found": found, "networks": networks}
    rows = [{**row, "rank": rank} for rank, row in enumerate(networks, 1)]
    return Report(f"Depths of {label} with split {split}{types} at {size(band.input)}", fields, rows, notes, head)
