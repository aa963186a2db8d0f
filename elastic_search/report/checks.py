"""The table and JSON of ``validate``: (network, checks of ``nn.verify``) pairs."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.ops import Shape
from elastic_search.report.table import Column, Table

SCHEMA = 1


def checks_table(results: list[tuple[str, list[Any]]], input: Shape) -> Table:
    """Ours beside each tool's, network after network."""
    columns = (
        Column("network", "network"),
        Column("quantity", "quantity"),
        Column("ours", "elastic-search", "number"),
        Column("theirs", "tool's", "number"),
        Column("tool", "tool"),
        Column("equal", "equal"),
    )
    rows: list[dict[str, Any] | None] = []
    for network, checks in results:
        if rows:
            rows.append(None)
        rows += [{"network": network, **_data(check), "equal": "yes" if check.equal else "NO"} for check in checks]
    every = [check for _, checks in results for check in checks]
    note = f"{sum(check.equal for check in every)} of {len(every)} quantities equal"
    return Table(f"Counts of the built modules at {input.height}x{input.width}", columns, rows, (note,))


def checks_json(results: list[tuple[str, list[Any]]], input: Shape) -> dict[str, Any]:
    """The machine form of ``validate``."""
    networks = [{"name": network, "checks": [_data(check) for check in checks]} for network, checks in results]
    return {"schema": SCHEMA, "input": list(input), "networks": networks}


def _data(check: Any) -> dict[str, Any]:
    keys = ("quantity", "ours", "tool", "theirs", "equal")
    return {key: getattr(check, key) for key in keys}
