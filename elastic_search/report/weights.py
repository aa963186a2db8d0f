"""What ``convert`` reports: what became of a file's keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.report.emit import Field, Record, Report

if TYPE_CHECKING:
    from elastic_search.nn.weights.checkpoint import Conversion

FATES = {"same": "same name", "renamed": "renamed", "merged": "merged with its other half"}
"""What can become of a key that is kept, by the attribute of a conversion that counts it."""


def weights_report(name: str, file: str, output: str, conversion: Conversion) -> Report:
    """A row for each thing that can become of a key."""
    counts = {key: getattr(conversion, key) for key in FATES}
    rows: list[Record | None] = [{"became": FATES[key], "keys": keys} for key, keys in counts.items()]
    rows += [{"became": f"dropped: {rule}", "keys": keys} for rule, keys in conversion.dropped]
    rows += [None, {"became": "in all", "keys": conversion.keys}]
    fields = [Field("became", "what became of the keys"), Field("keys", "keys", "number")]
    notes = [f"wrote {output}: {conversion.tensors} tensors, and the spec"]
    notes.append(f"load it with elastic_search.load_weights({output!r})")
    head = {"name": name, "file": file, "output": output, "keys": conversion.keys, **counts}
    head |= {"dropped": dict(conversion.dropped), "tensors": conversion.tensors}
    return Report(
        f"{name}: weights of {file}", fields, rows, notes, {**head, "source_sha256": conversion.source_sha256}
    )
