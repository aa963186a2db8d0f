"""What ``validate`` reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch.ops import Shape
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.text import size

if TYPE_CHECKING:
    from elastic_search.nn.verify import Check


def checks_report(results: list[tuple[str, list[Check]]], input: Shape) -> Report:
    """Ours beside each tool's, network after network."""
    rows: list[Record | None] = []
    networks = []
    for name, checks in results:
        keys = ("quantity", "ours", "tool", "theirs", "equal")
        entries = [{key: getattr(check, key) for key in keys} for check in checks]
        networks.append({"name": name, "checks": entries})
        rows += [None] * bool(rows) + [{"network": name, **entry} for entry in entries]
    equal = [check.equal for _, checks in results for check in checks]
    fields = [Field("network", "network"), Field("quantity", "quantity"), Field("ours", "elastic-search", "number")]
    fields += [Field("theirs", "tool's", "number"), Field("tool", "tool"), Field("equal", "equal", "check")]
    note = f"{sum(equal)} of {len(equal)} quantities equal"
    head = {"input": list(input), "networks": networks}
    return Report(f"Counts of the built modules at {size(input)}", fields, rows, [note], head)
