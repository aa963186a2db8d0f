"""What ``validate``, ``doctor`` and ``convert`` report: whether everything that was checked is as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch.ops import Shape
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.text import size

if TYPE_CHECKING:
    from elastic_search.nn.verify import Check
    from elastic_search.nn.weights.checkpoint import Conversion

FATES = {"same": "same name", "renamed": "renamed", "merged": "merged with its other half"}
"""What can happen to a key that is kept, by the attribute of a conversion that counts it."""


def checks_report(results: list[tuple[str, list[Check]]], input: Shape) -> Report:
    """Our counts and those of each tool, one network after another."""
    rows: list[Record | None] = []
    networks = []
    for name, checks in results:
        keys = ("quantity", "ours", "tool", "theirs", "equal", "failed")
        entries = [{key: getattr(check, key) for key in keys} for check in checks]
        for entry in entries:
            entry["equal"] = None if entry["failed"] else entry["equal"]
        networks.append({"name": name, "checks": entries})
        rows += [None] * bool(rows) + [{"network": name, **entry} for entry in entries]
    equal = [check.equal for _, checks in results for check in checks if not check.failed]
    fields = [Field("network", "network"), Field("quantity", "quantity"), Field("ours", "elastic-search", "number")]
    fields += [Field("theirs", "tool's", "number"), Field("tool", "tool"), Field("equal", "equal", "check")]
    note = f"{sum(equal)} of {len(equal)} quantities equal"
    notes = [
        note,
        *(f"{name}: {one.tool} fails: {one.failed}" for name, found in results for one in found if one.failed),
    ]
    head = {"input": list(input), "networks": networks}
    return Report(f"Counts of the built modules at {size(input)}", fields, rows, notes, head)


def findings_report(findings: list[Record], title: str) -> Report:
    """One row per check, with cures below."""
    fields = [Field("what", "what"), Field("state", "state"), Field("says", "says", "long")]
    rows = [{**finding, "state": "ok" if finding["sound"] else "FAULT"} for finding in findings]
    cures = [f"{f['what']}: {f['cure']}" for f in findings if not f["sound"] and f["cure"]]
    head = {"sound": all(finding["sound"] for finding in findings), "findings": findings}
    return Report(title, fields, rows, cures, head)


def weights_report(name: str, file: str, output: str, conversion: Conversion) -> Report:
    """What happened to the keys of a checkpoint."""
    counts = {key: getattr(conversion, key) for key in FATES}
    rows: list[Record | None] = [{"became": FATES[key], "keys": keys} for key, keys in counts.items()]
    rows += [{"became": f"dropped: {rule}", "keys": keys} for rule, keys in conversion.dropped]
    rows += [None, {"became": "total", "keys": conversion.keys}]
    fields = [Field("became", "what happened to the keys"), Field("keys", "keys", "number")]
    notes = [f"wrote {output}: {conversion.tensors} tensors and the spec"]
    notes.append(f"load it with elastic_search.load_weights({output!r})")
    head = {"name": name, "file": file, "output": output, "keys": conversion.keys, **counts}
    head |= {"dropped": dict(conversion.dropped), "tensors": conversion.tensors}
    return Report(
        f"{name}: weights of {file}", fields, rows, notes, {**head, "source_sha256": conversion.source_sha256}
    )
