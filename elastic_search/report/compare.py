"""The tables and JSON of ``compare``: networks side by side, with their ratios to one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.convention import Convention
from elastic_search.cost.memory import itemsize
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.cost.traits import Share, Traits, traits
from elastic_search.report.opaque import opaque_notes
from elastic_search.report.table import GAP, Column, Table

SCHEMA = 1
NARROW = 80
"""Characters that the form with a network a column has to fit in."""

BAR = 10
"""Characters of a full bar."""

QUANTITIES: dict[str, tuple[str, str, str]] = {
    "params": ("params", "params", "count"),
    "macs": ("macs", "macs", "count"),
    "count": ("", "", "count"),
    "activations": ("activations", "acts", "count"),
    "bytes_moved": ("bytes moved", "bytes", "count"),
    "peak_memory": ("peak memory, bytes", "peak", "count"),
    "intensity": ("FLOPs per byte", "FLOPs/B", "number"),
    "depth": ("depth, layers", "depth", "number"),
    "receptive_field": ("receptive field", "field", "number"),
}
"""Key to (title where there is room, title where there is none, kind); a convention gives "count" its name."""

SORT_KEYS = ("name", *QUANTITIES)


@dataclass(frozen=True)
class Compared:
    """A network with what it is compared by.

    Attributes:
        network: what was measured.
        values: by the keys of QUANTITIES.
        traits: where the values come from that no convention counts.
        shares: the parts with their names in a comparison: a family's stages by number.
    """

    network: Network
    values: dict[str, int | float | None]
    traits: Traits
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class Comparison:
    """Networks in the order they are shown, and the one that ratios are taken to."""

    networks: tuple[Compared, ...]
    first: Compared
    input: Shape
    convention: Convention
    dtype: str

    @property
    def quantities(self) -> tuple[str, ...]:
        """The keys that are shown: macs once where they are the convention too."""
        return tuple(key for key in QUANTITIES if key != "count" or self.convention is not MACS)

    def ratio(self, network: Compared, key: str) -> float | None:
        """A quantity divided by the first network's."""
        value, base = network.values[key], self.first.values[key]
        return value / base if value is not None and base else None

    def parts(self) -> tuple[str, ...]:
        """Names of all networks' parts; what only a later one has stands before what follows it there."""
        order: list[str] = []
        for network in self.networks:
            names = [share.path for share in network.shares]
            for i, name in enumerate(names):
                if name not in order:
                    after = next((order.index(later) for later in names[i + 1 :] if later in order), len(order))
                    order.insert(after, name)
        return tuple(order)


def compare(
    networks: Iterable[Network],
    input: Shape,
    convention: Convention,
    dtype: str = "fp32",
    sort: str | None = None,
    reverse: bool = False,
) -> Comparison:
    """Measure networks for one image.

    Args:
        networks: the first is what ratios are taken to, wherever it is sorted.
        input: shape of the image.
        convention: counted beside macs.
        dtype: of elements and weights, as in cost.memory.
        sort: one of SORT_KEYS; None keeps the order. Unknown values come last.
        reverse: largest first.

    Raises:
        ShapeError: if a network has no room on the image; names it.
    """
    measured = [_measure(network, input, convention, itemsize(dtype)) for network in networks]
    first = measured[0]
    if sort == "name":
        measured.sort(key=lambda one: one.network.label, reverse=reverse)
    elif sort is None:
        measured = measured[::-1] if reverse else measured
    else:
        key = "macs" if sort == "count" and convention is MACS else sort
        known = [one for one in measured if one.values[key] is not None]
        known.sort(key=lambda one: one.values[key] or 0, reverse=reverse)
        measured = known + [one for one in measured if one.values[key] is None]
    return Comparison(tuple(measured), first, input, convention, dtype)


def _measure(network: Network, input: Shape, convention: Convention, element: int) -> Compared:
    from elastic_search.errors import ShapeError

    graph = network.graph
    try:
        found = traits(graph, input, element)
    except ShapeError as error:
        raise ShapeError(f"{network.label}: {error}", "give a larger --input") from None
    macs = tally(graph, input, MACS)
    values: dict[str, int | float | None] = {
        "params": graph.params,
        "macs": macs.total,
        "count": tally(graph, input, convention).total,
        "activations": macs.activations,
        "bytes_moved": found.bytes_moved,
        "peak_memory": found.peak_memory,
        "intensity": found.intensity,
        "depth": found.depth,
        "receptive_field": found.receptive_field and max(found.receptive_field),
    }
    return Compared(network, values, found, _numbered(network, found.shares))


def _numbered(network: Network, shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """Stages by number, so that layer1, level2 and block1 stand in one row."""
    if network.spec is None:
        return shares
    numbers = {network.spec.stage_name(i): f"stage{i + 1}" for i in range(len(network.spec.stages))}
    return tuple(Share(numbers.get(share.path, share.path), share.macs) for share in shares)


def _blocks(network: Network) -> list[int] | None:
    """Blocks of each stage, where the network has a spec."""
    return None if network.spec is None else [len(stage.splits) for stage in network.spec.stages]


def _fraction(network: Compared, part: str) -> float | None:
    """A part's share of the network's macs."""
    whole = sum(share.macs for share in network.shares)
    return next((share.macs / whole for share in network.shares if share.path == part and whole), None)


# How it looks.


def encodes(text: str) -> bool:
    """Whether stdout can show a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar(share: float, width: int = BAR, blocks: bool = True) -> str:
    """A horizontal bar of a share in [0, 1], to an eighth of a character, or in ``#`` without block characters."""
    eighths = round(share * width * 8)
    if not blocks:
        return "#" * max(round(share * width), int(share > 0))
    eighths = max(eighths, int(share > 0))
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def spark(shares: Iterable[float], blocks: bool = True) -> str:
    """Shares as one character each: columns whose tallest is the largest share, or tenths of the whole."""
    values = list(shares)
    if not blocks:
        return "".join(str(min(9, round(10 * value))) for value in values)
    top = max(values, default=0) or 1
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(8 * value / top))] for value in values)


def compare_tables(found: Comparison, fmt: str = "table") -> tuple[Table, Table]:
    """A network a row, for wide terminals, and a form for narrow ones, pipes and papers.

    The second has a network a column, or where these are too many a line for each quantity and network.

    Args:
        found: the networks.
        fmt: "table", "markdown" or "latex"; a table's cells are aligned inside, and LaTeX has no bars.
    """
    blocks = fmt != "latex" and encodes("█▁×")
    wide = _rows(found, blocks)
    columns = _columns(found, wide, blocks, fmt)
    if fmt != "table":
        return wide, columns
    width = sum(
        max(len(row[c.key]) for row in [{c.key: c.title}, *filter(None, columns.rows)]) for c in columns.columns
    )
    if width + GAP * (len(columns.columns) - 1) > NARROW:
        return wide, _stacked(found, wide, blocks)
    return wide, columns


def _times(ratio: float | None, blocks: bool) -> str:
    if ratio is None:
        return ""
    shown = f"{ratio:.2f}" if ratio >= 0.1 or not ratio else f"{ratio:.2g}"
    return f"{'×' if blocks else 'x'}{shown}"


def _title(found: Comparison, key: str, short: bool = False) -> str:
    return found.convention.name if key == "count" else QUANTITIES[key][short]


def _shown(value: int | float | None) -> Any:
    """A value as a table takes it; only the intensity is a float."""
    return f"{value:.2f}" if isinstance(value, float) else value


def _rows(found: Comparison, blocks: bool) -> Table:
    """A network a row, each quantity beside its ratio."""
    columns = [Column("name", "network"), Column("blocks", "blocks")]
    for key in found.quantities:
        columns.append(Column(key, _title(found, key, short=True), QUANTITIES[key][2]))
        columns.append(Column(f"{key}_ratio", "", "number"))
    columns.append(Column("spark", "stages"))
    rows: list[dict[str, Any] | None] = []
    for one in found.networks:
        row = {"name": one.network.label, "spark": spark(_all_shares(one), blocks)}
        row["blocks"] = "-".join(map(str, _blocks(one.network) or ())) or "-"
        for key in found.quantities:
            row[key] = _shown(one.values[key])
            row[f"{key}_ratio"] = "" if one is found.first else _times(found.ratio(one, key), blocks)
        rows.append(row)
    scaled = "the largest is full" if blocks else "in tenths"
    notes = (*_notes(found), f"stages: the shares of macs of stem, stages and head, or of other parts; {scaled}")
    return Table(_heading(found), tuple(columns), rows, notes)


def _all_shares(one: Compared) -> list[float]:
    whole = sum(share.macs for share in one.shares) or 1
    return [share.macs / whole for share in one.shares]


def _cells(found: Comparison, wide: Table) -> list[tuple[str, list[str], list[str]]]:
    """Title, value of each network and ratio of each network, for every quantity, as text."""
    rows = [row for row in wide.rows if row]
    cells = []
    for key in found.quantities:
        column = next(column for column in wide.columns if column.key == key)
        unit = wide.unit(column)[1] if column.kind == "count" else ""
        values = [wide.cell(column, row) + (f" {unit}" if unit else "") for row in rows]
        cells.append((_title(found, key), values, [row[f"{key}_ratio"] for row in rows]))
    return [*cells, ("blocks per stage", [row["blocks"] for row in rows], [""] * len(rows))]


def _part_cells(found: Comparison, blocks: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """Name of a part, and bar and percentage of each network."""
    cells = []
    for part in found.parts():
        shares = [_fraction(one, part) for one in found.networks]
        drawn = [("", "-") if s is None else (bar(s, BAR, blocks), f"{100 * s:.1f}%") for s in shares]
        cells.append((part, drawn))
    return cells


def _columns(found: Comparison, wide: Table, blocks: bool, fmt: str) -> Table:
    """A network a column: quantities, then the parts with their share of macs."""
    rows: list[dict[str, Any] | None] = []
    cells = _cells(found, wide)
    widths = [
        max(len(ratios[i]) for _, _, ratios in cells) if fmt == "table" else 0 for i in range(len(found.networks))
    ]
    for title, values, ratios in cells:
        texts = (f"{v} {r.rjust(w)}" if w or r else v for v, r, w in zip(values, ratios, widths, strict=True))
        rows.append({"quantity": title, **{f"n{i}": text for i, text in enumerate(texts)}})
    rows.append(None)
    for part, drawn in _part_cells(found, blocks):
        texts = (_part_text(shape, share, fmt) for shape, share in drawn)
        rows.append({"quantity": part, **{f"n{i}": text for i, text in enumerate(texts)}})
    heads = (Column(f"n{i}", one.network.label, "number") for i, one in enumerate(found.networks))
    return Table(_heading(found), (Column("quantity", ""), *heads), rows, (*_notes(found), SHARES))


def _part_text(shape: str, share: str, fmt: str) -> str:
    if fmt == "latex":
        return share
    return f"{shape.ljust(BAR)} {share:>6}" if fmt == "table" else f"{shape} {share}".strip()


SHARES = "stem, stage1, ...: shares of macs"


def _stacked(found: Comparison, wide: Table, blocks: bool) -> Table:
    """A line for each quantity and network, for any number of networks."""
    labels = [one.network.label for one in found.networks]
    rows: list[dict[str, Any] | None] = []
    for title, values, ratios in _cells(found, wide):
        for i, label in enumerate(labels):
            rows.append({"quantity": "" if i else title, "name": label, "value": values[i], "ratio": ratios[i]})
        rows.append(None)
    for part, drawn in _part_cells(found, blocks):
        for i, label in enumerate(labels):
            rows.append({"quantity": "" if i else part, "name": label, "value": drawn[i][1], "ratio": drawn[i][0]})
        rows.append(None)
    columns = (Column("quantity", ""), Column("name", "network"), Column("value", "", "number"), Column("ratio", ""))
    return Table(_heading(found), columns, rows[:-1], (*_notes(found), SHARES))


def _heading(found: Comparison) -> str:
    number = len(found.networks)
    return f"{number} network{'s' if number > 1 else ''} at {found.input.height}x{found.input.width}, {found.dtype}"


def _notes(found: Comparison) -> tuple[str, ...]:
    lines = []
    if len(found.networks) > 1:
        lines.append(f"ratios are to {found.first.network.label}")
    if found.convention is not MACS:
        lines.append(f"{found.convention.name}: {found.convention.meaning}")
    lines += [
        "bytes: every op reads its inputs and weights and writes its output once",
        "peak memory: image and activations of inference, weights aside",
        "depth: convolutions and linear layers on the longest path",
        "field: pixels that a position of the last map depends on, gates not counted",
    ]
    lines += opaque_notes((one.network.label, one.network.graph) for one in found.networks)
    return tuple(lines)


# For machines.


def compare_list(found: Comparison) -> Table:
    """A network a row with raw numbers, for CSV."""
    names = {key: found.convention.name if key == "count" else key for key in found.quantities}
    parts = found.parts()
    rows: list[dict[str, Any] | None] = []
    for one in found.networks:
        row: dict[str, Any] = {"network": one.network.label}
        row["blocks"] = "-".join(map(str, _blocks(one.network) or ())) or None
        row |= {names[key]: one.values[key] for key in names}
        row |= {f"{names[key]}_ratio": found.ratio(one, key) for key in names}
        rows.append(row | {f"macs_{share.path}": share.macs for share in one.shares})
    keys = [
        "network",
        "blocks",
        *names.values(),
        *(f"{name}_ratio" for name in names.values()),
        *(f"macs_{p}" for p in parts),
    ]
    return Table("", tuple(Column(key, "") for key in keys), rows)


def compare_json(found: Comparison) -> dict[str, Any]:
    """The machine form: plain integers; ratios to the first network that was named."""
    convention = found.convention
    names = {key: convention.name if key == "count" else key for key in found.quantities}
    entries = []
    for one in found.networks:
        spec, graph = one.network.spec, one.network.graph
        entries.append(
            {
                "name": one.network.label,
                "id": spec and spec_id(spec),
                "depths": spec and list(spec.depths),
                "blocks": _blocks(one.network),
                "elastic_blocks": one.network.elastic_blocks,
                "params_live": graph.params_live,
                "opaque": opaque_nodes(graph),
                **{names[key]: one.values[key] for key in names},
                "receptive_field": one.traits.receptive_field and list(one.traits.receptive_field),
                "macs_live": one.traits.macs_live,
                "stages": [{"path": share.path, "macs": share.macs} for share in one.traits.shares],
                "ratio": {names[key]: found.ratio(one, key) for key in names},
            }
        )
    result = {"schema": SCHEMA, "input": list(found.input), "convention": convention.name, "unit": convention.unit}
    return {**result, "dtype": found.dtype, "reference": found.first.network.label, "networks": entries}
