"""Findings of ``doctor`` as a table and JSON."""

from __future__ import annotations

from typing import Any

from elastic_search.report.table import Column, Table

SCHEMA = 1


def findings_table(findings: list[dict[str, Any]], title: str) -> Table:
    """One row for each thing that was looked at; cures below."""
    columns = (Column("what", "what"), Column("state", "state"), Column("says", "says", "long"))
    rows = [{**finding, "state": "ok" if finding["sound"] else "FAULT"} for finding in findings]
    cures = tuple(f"{f['what']}: {f['cure']}" for f in findings if not f["sound"] and f["cure"])
    return Table(title, columns, rows, cures)


def findings_json(findings: list[dict[str, Any]]) -> dict[str, Any]:
    """The machine form."""
    return {"schema": SCHEMA, "sound": all(finding["sound"] for finding in findings), "findings": findings}
