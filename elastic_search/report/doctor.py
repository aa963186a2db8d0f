"""What ``doctor`` reports."""

from __future__ import annotations

from elastic_search.report.emit import Field, Record, Report


def findings_report(findings: list[Record], title: str) -> Report:
    """One row for each thing that was looked at; cures below."""
    fields = [Field("what", "what"), Field("state", "state"), Field("says", "says", "long")]
    rows = [{**finding, "state": "ok" if finding["sound"] else "FAULT"} for finding in findings]
    cures = [f"{f['what']}: {f['cure']}" for f in findings if not f["sound"] and f["cure"]]
    head = {"sound": all(finding["sound"] for finding in findings), "findings": findings}
    return Report(title, fields, rows, cures, head)
