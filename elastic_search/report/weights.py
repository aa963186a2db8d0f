"""The table and JSON of ``convert``: what became of a file's keys, a ``Conversion`` of ``nn.weights.checkpoint``."""

from __future__ import annotations

from typing import Any

from elastic_search.report.table import Column, Table

SCHEMA = 1


def weights_table(name: str, file: str, output: str, conversion: Any) -> Table:
    """A row for each thing that can become of a key."""
    dropped = [{"became": f"dropped: {rule}", "keys": keys} for rule, keys in conversion.dropped]
    rows: list[dict[str, Any] | None] = [
        {"became": "same name", "keys": conversion.same},
        {"became": "renamed", "keys": conversion.renamed},
        {"became": "merged with its other half", "keys": conversion.merged},
        *dropped,
        None,
        {"became": "in all", "keys": conversion.keys},
    ]
    notes = (
        f"wrote {output}: {conversion.tensors} tensors, and the spec",
        f"load it with elastic_search.load_weights({output!r})",
    )
    columns = (Column("became", "what became of the keys"), Column("keys", "keys", "number"))
    return Table(f"{name}: weights of {file}", columns, rows, notes)


def weights_json(name: str, file: str, output: str, conversion: Any) -> dict[str, Any]:
    """The machine form of ``convert``."""
    keys = ("keys", "same", "renamed", "merged")
    return {
        "schema": SCHEMA,
        "name": name,
        "file": file,
        "output": output,
        **{key: getattr(conversion, key) for key in keys},
        "dropped": dict(conversion.dropped),
        "tensors": conversion.tensors,
        "source_sha256": conversion.source_sha256,
    }
