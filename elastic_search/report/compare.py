"""What ``compare`` reports: networks side by side, with their ratios to the first."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.compare import QUANTITIES
from elastic_search.cost.tools import MACS
from elastic_search.report.emit import GAP, Field, Record, Report
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import dashed, size

if TYPE_CHECKING:
    from elastic_search.cost.compare import Compared, Comparison

NARROW = 80
"""Most characters of the form with one network per column."""

BAR = 10
"""Characters of a full bar."""

TITLES = {
    "activations": ("activations", "acts", "count"),
    "bytes_moved": ("bytes moved", "bytes", "count"),
    "peak_memory": ("peak memory, bytes", "peak", "count"),
    "intensity": ("FLOPs per byte", "FLOPs/B", "number"),
    "depth": ("depth, layers", "depth", "number"),
    "receptive_field": ("receptive field", "field", "number"),
}
"""Quantity to (title, short title, kind of field); other quantities are counts with their names as titles."""

SHARES = "stem, stage1, ...: shares of the macs"


def comparison_report(found: Comparison, fmt: str = "table") -> Report:
    """One network per row, for wide terminals, and a form for narrow ones, pipes and papers.

    The second has one network per column or, if they do not fit, one line per quantity and network.

    Args:
        found: the networks.
        fmt: output format; cells of a "table" have bars and are aligned inside.
    """
    blocks = fmt == "latex" or encodes("█▁×")
    wide = _rows(found, blocks)._replace(head=lambda: _document(found), form="compare", records=_records(found))
    columns = _columns(found, wide, blocks, fmt)
    cells = [{field.key: field.title for field in columns.fields}, *filter(None, columns.rows)]
    width = sum(GAP + max(len(row[field.key]) for row in cells) for field in columns.fields) - GAP
    too_wide = fmt == "table" and width > NARROW
    return wide._replace(narrow=_stacked(found, wide, blocks) if too_wide else columns)


def encodes(text: str) -> bool:
    """Whether stdout can encode a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar(share: float, width: int = BAR, blocks: bool = True) -> str:
    """A horizontal bar of a share in [0, 1], to an eighth of a character, or in ``#`` without block characters."""
    if not blocks:
        return "#" * max(round(share * width), int(share > 0))
    eighths = max(round(share * width * 8), int(share > 0))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def spark(shares: Iterable[float], blocks: bool = True) -> str:
    """Shares as one character each: bars relative to the largest share, or digits in tenths of the whole."""
    values = list(shares)
    if not blocks:
        return "".join(str(min(9, round(10 * value))) for value in values)
    top = max(values, default=0) or 1
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * value / top))] for value in values)


def _times(ratio: float | None, blocks: bool) -> str:
    if ratio is None:
        return ""
    shown = f"{ratio:.2f}" if ratio >= 0.1 or not ratio else f"{ratio:.2g}"
    return f"{'×' if blocks else 'x'}{shown}"


def _rows(found: Comparison, blocks: bool) -> Report:
    """One network per row, each quantity followed by its ratio."""
    fields = [Field("name", "network"), Field("blocks", "blocks")]
    for key, name in found.quantities.items():
        _, title, kind = TITLES.get(key, (name, name, "count"))
        fields += [Field(key, title, kind), Field(f"{key}_ratio", "", "number")]
    rows = []
    for one in found.networks:
        shares = list(one.fractions.values()) or [0.0] * len(one.shares)
        row: Record = {"name": one.network.label, "blocks": dashed(one.blocks or ()) or "-"}
        row["spark"] = spark(shares, blocks)
        for key in found.quantities:
            value = one.values[key]
            row[key] = f"{value:.2f}" if isinstance(value, float) else value  # only the intensity is one
            row[f"{key}_ratio"] = "" if one is found.first else _times(found.ratio(one, key), blocks)
        rows.append(row)
    number = len(found.networks)
    title = f"{number} network{'s' if number > 1 else ''} at {size(found.input)}, {found.dtype}"
    scale = "relative to the largest" if blocks else "in tenths"
    note = f"stages: shares of the macs of stem, stages and head, or of other parts, {scale}"
    return Report(title, [*fields, Field("spark", "stages")], rows, [*_notes(found), note])


def _cells(found: Comparison, wide: Report) -> list[tuple[str, list[str], list[str]]]:
    """Title, value of each network and ratio of each network, for every quantity, as text."""
    rows = [row for row in wide.rows if row]
    fields = {field.key: field for field in wide.fields}
    cells = []
    for key, name in found.quantities.items():
        unit = wide.unit(fields[key])[1] if fields[key].kind == "count" else ""
        values = [f"{wide.cell(fields[key], row)} {unit}".rstrip() for row in rows]
        cells.append((TITLES.get(key, (name,))[0], values, [row[f"{key}_ratio"] for row in rows]))
    return [*cells, ("blocks per stage", [row["blocks"] for row in rows], [""] * len(rows))]


def _part_cells(found: Comparison, blocks: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """Name of a part, and bar and percentage of each network."""
    cells = []
    for part in found.parts():
        shares = [one.fractions.get(part) for one in found.networks]
        cells.append((part, [("", "-") if s is None else (bar(s, BAR, blocks), f"{100 * s:.1f}%") for s in shares]))
    return cells


def _columns(found: Comparison, wide: Report, blocks: bool, fmt: str) -> Report:
    """One network per column: quantities, then the parts with their shares of macs."""
    networks, cells = range(len(found.networks)), _cells(found, wide)
    aligned = fmt == "table"
    widths = [max(len(ratios[i]) for _, _, ratios in cells) if aligned else 0 for i in networks]

    def share(shape: str, percent: str) -> str:
        return f"{shape:{BAR}} {percent:>6}" if aligned else percent

    rows: list[Record | None] = []
    for title, values, ratios in cells:
        texts = (f"{v} {r.rjust(w)}" if w or r else v for v, r, w in zip(values, ratios, widths, strict=True))
        rows.append({"quantity": title, **{f"n{i}": text for i, text in enumerate(texts)}})
    rows.append(None)
    for part, drawn in _part_cells(found, blocks):
        rows.append({"quantity": part, **{f"n{i}": share(*drawn[i]) for i in networks}})
    heads = (Field(f"n{i}", one.network.label, "number") for i, one in enumerate(found.networks))
    return Report(wide.title, [Field("quantity", ""), *heads], rows, [*_notes(found), SHARES])


def _stacked(found: Comparison, wide: Report, blocks: bool) -> Report:
    """One line per quantity and network, for any number of networks."""
    groups = [(title, list(zip(values, ratios, strict=True))) for title, values, ratios in _cells(found, wide)]
    groups += [(part, [(percent, shape) for shape, percent in drawn]) for part, drawn in _part_cells(found, blocks)]
    rows: list[Record | None] = []
    for title, cells in groups:
        for i, (one, (value, ratio)) in enumerate(zip(found.networks, cells, strict=True)):
            about = {"quantity": "" if i else title, "name": one.network.label}
            rows.append(about | {"value": value, "ratio": ratio})
        rows.append(None)
    fields = [Field("quantity", ""), Field("name", "network"), Field("value", "", "number"), Field("ratio", "")]
    return Report(wide.title, fields, rows[:-1], [*_notes(found), SHARES])


def _notes(found: Comparison) -> list[str]:
    lines = []
    if len(found.networks) > 1:
        lines.append(f"ratios are relative to {found.first.network.label}")
    if found.convention is not MACS:
        lines.append(f"{found.convention.name}: {found.convention.meaning}")
    lines += [
        "bytes: every op reads its inputs and weights and writes its output once",
        "peak memory: image and activations during inference, without weights",
        "depth: convolutions and linear layers on the longest path",
        "field: pixels that a position of the last map depends on, without gates",
    ]
    return lines + reading_notes((one.network.label, one.network) for one in found.networks)


def _ratios(found: Comparison, one: Compared) -> dict[str, float | None]:
    return {key: found.ratio(one, key) for key in QUANTITIES}


def _records(found: Comparison) -> list[Record]:
    """Networks with raw numbers, for CSV; every row has every part, in the order of the table."""
    rows, rules, parts = list[Record](), found.convention, found.parts()
    about = {"dtype": found.dtype, "convention": rules.name, "unit": rules.unit}
    for one in found.networks:
        macs = {share.path: share.macs for share in one.shares}
        row: Record = {"network": one.network.label, "input": str(one.input), **about, "blocks": one.blocks}
        row |= one.values
        row |= {f"{key}_ratio": ratio for key, ratio in _ratios(found, one).items()}
        row |= {f"macs_of_{part}": macs.get(part) for part in parts}
        rows.append(row | {"opaque": opaque_nodes(one.network.graph)})
    return rows


def _document(found: Comparison) -> Record:
    """Plain integers, and ratios to the network that was named first."""
    convention, entries = found.convention, []
    for one in found.networks:
        spec, graph = one.network.spec, one.network.graph
        entry: Record = {"name": one.network.label, "id": spec and spec_id(spec), "depths": spec and list(spec.depths)}
        entry |= {"blocks": one.blocks, "elastic_blocks": one.network.elastic_blocks}
        entry |= {"params_live": graph.params_live, "opaque": opaque_nodes(graph), **one.values}
        entry["receptive_field"] = one.traits.receptive_field and list(one.traits.receptive_field)
        entry |= {"macs_live": one.traits.macs_live, "stages": [s._asdict() for s in one.traits.shares]}
        entries.append(entry | {"ratio": _ratios(found, one)})
    head: Record = {"input": list(found.input), "convention": convention.name, "unit": convention.unit}
    return {**head, "dtype": found.dtype, "reference": found.first.network.label, "networks": entries}
