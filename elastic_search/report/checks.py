"""What ``validate``, ``doctor`` and ``convert`` report: whether everything that was checked is as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from elastic_search.arch.ops import Shape
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.text import size

if TYPE_CHECKING:
    from elastic_search.nn.verify import Check
    from elastic_search.nn.weights.checkpoint import Conversion

FATES = {"same": "same name", "renamed": "renamed", "merged": "merged with its other half"}
"""What can happen to a key that is kept, by the attribute of a conversion that counts it."""


def checks_report(results: list[tuple[str, list[Check]]], images: Sequence[Shape]) -> Report:
    """Our counts and those of each tool, one network after another, each with its image; all are of one size."""
    rows: list[Record | None] = []
    networks = []
    for (name, checks), image in zip(results, images, strict=True):
        keys = ("quantity", "ours", "tool", "theirs", "equal", "failed")
        entries = [{key: getattr(check, key) for key in keys} for check in checks]
        for entry in entries:
            entry |= {"equal": None, "failed": entry["failed"]} if entry["failed"] else {"failed": None}
        networks.append({"name": name, "checks": entries})
        rows += [None] * bool(rows) + [{"network": name, "input": str(image), **entry} for entry in entries]
    equal = [check.equal for _, checks in results for check in checks if not check.failed]
    fields = [Field("network", "network"), Field("quantity", "quantity"), Field("ours", "elastic-search", "number")]
    fields += [Field("theirs", "tool's", "number"), Field("tool", "tool"), Field("equal", "equal", "check")]
    notes = [f"{sum(equal)} of {len(equal)} quantities equal"]
    failed = [(name, check) for name, checks in results for check in checks if check.failed]
    notes += [f"{name}: {check.tool} fails, and is not compared: {check.failed}" for name, check in failed]
    head = {"input": list(images[0]), "equal": all(equal), "networks": networks}
    report = Report(f"Counts of the built modules at {size(images[0])}", fields, rows, notes, head, "validate")
    return report._replace(slim=_grouped(report))


def _grouped(report: Report) -> list[Report]:
    """The counts for a narrow terminal: networks as headings, then without the tools' names."""
    rows: list[Record | None] = []
    for row in report.rows:
        if row and row["network"] not in {heading["quantity"] for heading in rows if heading}:
            rows.append({"quantity": row["network"], **dict.fromkeys(("ours", "theirs", "tool", "equal"), "")})
        rows.append(row and {**row, "quantity": f"  {row['quantity']}"})
    fields = [Field("quantity", "quantity", "long"), Field("ours", "ours", "number"), *report.fields[3:]]
    grouped = report._replace(fields=fields, rows=rows)
    return [grouped, grouped._replace(fields=[field for field in fields if field.key != "tool"])]


def findings_report(findings: list[Record], title: str) -> Report:
    """One row per check, with cures below."""
    fields = [Field("what", "what"), Field("state", "state"), Field("says", "says", "long")]
    rows = [{**finding, "state": _state(finding)} for finding in findings]
    cures = [f"{f['what']}: {f['cure']}" for f in findings if not f["sound"] and f["cure"]]
    found = [{**finding, "cure": finding["cure"] or None} for finding in findings]
    head = {"sound": all(finding["sound"] for finding in findings), "findings": found}
    return Report(title, fields, rows, cures, head, "doctor")


def _state(finding: Record) -> str:
    """In a word; what is not installed is no fault."""
    if finding["says"].startswith("not installed"):
        return "-"
    return "ok" if finding["sound"] else "FAULT"


def weights_report(name: str, file: str, output: str, conversion: Conversion) -> Report:
    """What happened to the keys of a checkpoint."""
    counts = {key: getattr(conversion, key) for key in FATES}
    fates: list[Record] = [{"fate": key, "became": FATES[key], "keys": keys} for key, keys in counts.items()]
    for rule, keys in conversion.dropped:
        fates.append({"fate": "dropped", "rule": rule, "became": f"dropped: {rule}", "keys": keys})
    rows = [*({"level": "fate", **fate} for fate in fates), None]
    rows.append({"level": "total", "became": "total", "keys": conversion.keys})
    fields = [Field("became", "what happened to the keys"), Field("keys", "keys", "number")]
    notes = [f"wrote {output}: {conversion.tensors} tensors and the spec"]
    notes.append(f"load it with elastic_search.load_weights({output!r})")
    head = {"name": name, "file": file, "output": output, "keys": conversion.keys, **counts}
    head |= {"dropped": dict(conversion.dropped), "tensors": conversion.tensors}
    head["source_sha256"] = conversion.source_sha256
    return Report(f"{name}: weights of {file}", fields, rows, notes, head, "convert")
