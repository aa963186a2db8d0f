"""The tables and JSON of ``flops`` and ``models``: what networks cost, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import BLOCK_KINDS, spec_id, to_dict
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import Row, Tally, tally
from elastic_search.cost.tools import MACS
from elastic_search.report.elasticized import elasticized_json
from elastic_search.report.opaque import SEE_CLASSES, opaque_notes, own_layer_notes
from elastic_search.report.table import Column, Table

SCHEMA = 1


@dataclass(frozen=True)
class Part:
    """A stage, block or op of a network with its costs; ``blocks`` is None where it has none."""

    path: str
    kind: str
    blocks: int | None
    resolutions: tuple[tuple[int, int], ...]
    params: int
    macs: int
    count: int
    activations: int


@dataclass(frozen=True)
class Costs:
    """A network's costs under macs and one more convention, in total and by part."""

    network: Network
    role: str
    macs: Tally
    count: Tally
    parts: tuple[Part, ...]


def measure(network: Network, role: str, input: Shape, convention: Convention, by: str) -> Costs:
    """Count a network and divide its costs by stage, block or op.

    Args:
        network: what to count.
        role: its part in a comparison, such as "base".
        input: shape of one image.
        convention: counted beside macs.
        by: "stage", "block" or "op".
    """
    graph = network.graph
    macs, count = tally(graph, input, MACS), tally(graph, input, convention)
    pairs = zip(rows_by(macs, by), rows_by(count, by), strict=True)
    return Costs(network, role, macs, count, tuple(_part(macs, a, b) for a, b in pairs))


def rows_by(tally: Tally, by: str) -> list[Row]:
    """Rows of a tally by "stage", "block" or "op"."""
    if by == "op":
        return tally.rows
    stages = tally.parts()
    if by == "stage":
        return stages
    found = []
    for stage in stages:
        # In a network of ours stages hold blocks; of a user's module every child is opened once.
        opened = stage.kind == "stage" or tally.graph.kind != "network"
        found += (tally.parts(stage.path) if opened else []) or [stage]
    return found


def _part(macs: Tally, row: Row, counted: Row) -> Part:
    node = macs.graph.at(row.path)
    blocks = _blocks(node) if isinstance(node, Graph) and node.kind == "stage" else None
    params, activations = row.cost.params, row.cost.activations
    resolutions = _resolutions(macs, row)
    return Part(row.path, row.kind, blocks, resolutions, params, row.cost.total, counted.cost.total, activations)


def _blocks(graph: Graph) -> int:
    """Number of blocks in a stage, however deep they are nested."""
    inner = [node.op for node in graph.nodes if isinstance(node.op, Graph)]
    return sum(
        1 if graph.kind in BLOCK_KINDS else _blocks(graph) for graph in inner if graph.kind in ("tree", *BLOCK_KINDS)
    )


def _resolutions(tally: Tally, row: Row) -> tuple[tuple[int, int], ...]:
    """Resolutions at which a part works, highest first: the block's own and those of its low branches."""
    found = {row.output[1:]}
    pending = [row]
    while pending:
        part = pending.pop()
        if part.kind == "branch":
            # Every branch ends at its block's resolution; where it works is the smallest map inside.
            found.add(min(inner.output[1:] for inner in tally.parts(part.path)))
        elif part.kind in ("stage", "tree", *BLOCK_KINDS):
            pending += [inner for inner in tally.parts(part.path) if inner.kind in ("tree", "branch", *BLOCK_KINDS)]
    return tuple(sorted(found, reverse=True))


def resolution_text(resolutions: tuple[tuple[int, int], ...]) -> str:
    """Resolutions as people write them: ``56+28``, or ``57x49 +29x25`` (which can be wrapped) where not square."""
    if all(h == w for h, w in resolutions):
        return "+".join(str(h) for h, _ in resolutions)
    return " +".join(f"{h}x{w}" for h, w in resolutions)


QUANTITIES = ("params", "macs", "count", "activations")


def total(costs: Costs) -> Part:
    """A whole network as one part."""
    depth = sum(part.blocks or 0 for part in costs.parts) or None
    macs, count = costs.macs, costs.count
    return Part("total", "network", depth, (), macs.params, macs.total, count.total, macs.activations)


def _cells(part: Part | None, whole: Part, suffix: str = "") -> dict[str, Any]:
    if part is None:
        return {}
    cells: dict[str, Any] = {quantity: getattr(part, quantity) for quantity in QUANTITIES}
    cells |= {
        "blocks": part.blocks,
        "resolution": resolution_text(part.resolutions) or None,
        "share": part.count / whole.count if whole.count else 0.0,
    }
    return {f"{key}{suffix}": value for key, value in cells.items()}


def _change(before: Part | None, after: Part | None, suffix: str = "") -> dict[str, Any]:
    if before is None or after is None:
        return {}
    values = {quantity: (getattr(before, quantity), getattr(after, quantity)) for quantity in QUANTITIES}
    return {f"{key}{suffix}": b / a - 1 if a else None for key, (a, b) in values.items()}


def _columns(by: str, convention: Convention) -> list[Column]:
    columns = [Column("blocks", "blocks", "number")] if by == "stage" else []
    columns += [Column("resolution", "pixels", "long"), Column("params", "params", "count")]
    columns += [Column("macs", "macs", "count")]
    if convention is not MACS:
        columns.append(Column("count", convention.name, "count"))
    return [*columns, Column("activations", "acts", "count"), Column("share", "share", "percent")]


def _aligned(networks: list[Costs]) -> list[tuple[str, list[Part | None]]]:
    """Parts of all networks by path; what only a later network has stands after what precedes it there."""
    by_path = [{part.path: part for part in costs.parts} for costs in networks]
    order: list[str] = []
    for parts in by_path:
        known, new, last = set(order), dict[str, list[str]](), ""
        for path in parts:
            if path in known:
                last = path
            else:
                new.setdefault(last, []).append(path)
        order = [*new.get("", []), *(p for path in order for p in (path, *new.get(path, [])))]
    return [(path, [parts.get(path) for parts in by_path]) for path in order]


def cost_tables(networks: list[Costs], by: str, convention: Convention, title: str) -> tuple[Table, Table | None]:
    """The table side by side, and the same stacked for narrow terminals (None for a single network)."""
    columns = _columns(by, convention)
    wholes = [total(costs) for costs in networks]
    aligned: list[tuple[str, list[Part | None]]] = [*_aligned(networks), ("total", [*wholes])]
    heading = Column("path", by)
    notes = _notes(networks, convention)
    if len(networks) == 1:
        rows: list[dict[str, Any] | None] = [{"path": path, **_cells(parts[0], wholes[0])} for path, parts in aligned]
        return Table(title, (heading, *columns), [*rows[:-1], None, rows[-1]], notes), None
    stacked = _stacked(networks, aligned, wholes)
    narrow = Table(title, (heading, Column("network", "network"), *columns), stacked, notes)
    return _side_by_side(networks, columns, aligned, wholes, heading, narrow), narrow


def cost_list(networks: list[Costs], by: str, convention: Convention) -> Table:
    """One row a network and part, for CSV; the total is the part of that name."""
    rows: list[dict[str, Any] | None] = []
    for costs in networks:
        whole = total(costs)
        for part in (*costs.parts, whole):
            cells = _cells(part, whole)
            rows.append(
                {
                    "network": costs.network.label,
                    "role": costs.role,
                    by: part.path,
                    **cells,
                    convention.name: part.count,
                }
            )
    columns = [Column(convention.name if c.key == "count" else c.key, "") for c in _columns(by, convention)]
    return Table("", (Column("network", ""), Column("role", ""), Column(by, ""), *columns), rows)


def _stacked(
    networks: list[Costs], aligned: list[tuple[str, list[Part | None]]], wholes: list[Part]
) -> list[dict[str, Any] | None]:
    rows: list[dict[str, Any] | None] = []
    for path, parts in aligned:
        if rows:
            rows.append(None)
        for costs, part, whole in zip(networks, parts, wholes, strict=True):
            if part is not None:
                rows.append({"path": path, "network": costs.role, **_cells(part, whole)})
        change = _change(parts[0], parts[1])
        if change:
            rows.append({"path": path, "network": "change", **change})
    return rows


def _side_by_side(networks: list[Costs], columns: list[Column], aligned: list[tuple[str, list[Part | None]]],
                  wholes: list[Part], heading: Column, narrow: Table) -> Table:  # fmt: skip
    wide = [heading]
    units: dict[str, tuple[int, str]] = {}
    for column in columns:
        for i, costs in enumerate(networks):
            wide.append(Column(f"{column.key}_{i}", f"{column.title}\n{costs.role}", column.kind))
            if column.kind == "count":
                units[f"{column.key}_{i}"] = narrow.unit(column)
        if column.kind == "count":
            wide.append(Column(f"{column.key}_change", "\nchange", "change"))
    rows: list[dict[str, Any] | None] = []
    for path, parts in aligned:
        cells: dict[str, Any] = {"path": path}
        for i, (part, whole) in enumerate(zip(parts, wholes, strict=True)):
            cells |= _cells(part, whole, f"_{i}")
        rows.append(cells | _change(parts[0], parts[1], "_change"))
    return Table(narrow.title, tuple(wide), [*rows[:-1], None, rows[-1]], narrow.notes, units)


def _notes(networks: list[Costs], convention: Convention) -> tuple[str, ...]:
    lines = []
    for costs in networks:
        label = "" if len(networks) == 1 else f"{costs.role}: {costs.network.label}"
        blocks = costs.network.elastic_blocks
        parts = [label, "" if blocks is None else f"{blocks} Elastic blocks"]
        lines += [", ".join(filter(None, parts))] if any(parts) else []
    for costs in networks:
        spec = costs.network.spec
        if spec is not None and spec.trained_filters:
            added = f"{trained_params(spec):,} of {costs.count.params:,} params"
            lines.append(f"{costs.role}: {added} are the trained filters of its resampling")
    lines += _dead_notes(networks)
    lines += opaque_notes((costs.role, costs.network.graph) for costs in networks)
    if convention.name in SEE_CLASSES:
        lines += own_layer_notes((costs.role, costs.network.module) for costs in networks)
    shown = convention if convention is not MACS else MACS
    lines.append(f"macs: {MACS.meaning}" + ("" if shown is MACS else f"; {shown.name}: {shown.meaning}"))
    lines.append(f"share: of {shown.name}; acts: output elements of convolutions and linear layers")
    return tuple(lines)


MOST_NAMED = 8
"""Dead parts that a note names."""


def _dead_notes(networks: list[Costs]) -> list[str]:
    """What nobody reads, and why; networks with the same dead parts share a note."""
    notes: dict[str, list[str]] = {}
    for costs in networks:
        spec, graph = costs.network.spec, costs.network.graph
        if graph.params_live == graph.params:
            continue
        dead = [path for path in graph.dead() if graph.at(path).params]
        named = ", ".join(dead[:MOST_NAMED]) + (f" and {len(dead) - MOST_NAMED} more" if len(dead) > MOST_NAMED else "")
        why = f": {spec.WHY_DEAD}" if spec is not None and spec.WHY_DEAD else ""
        live = f"{graph.params_live:,} of {graph.params:,} params are live; nobody reads {named}{why}"
        notes.setdefault(live, []).append(costs.role)
    return [f"{', '.join(roles)}: {note}" for note, roles in notes.items()]


def trained_params(spec: Spec) -> int:
    """Parameters that learned resampling adds to a network; the other types have none."""
    return sum(op.params for path, op in spec.graph().walk() if path.endswith((".down", ".up")))


def sweep_rows(counted: list[list[Costs]]) -> list[dict[str, Any]]:
    """A row for each input size and network: its totals."""
    rows = []
    for networks in counted:
        for costs in networks:
            input, name = costs.macs.input, costs.count.convention.name
            row: dict[str, Any] = {
                "input": f"{input.height}x{input.width}",
                "network": costs.network.label,
                "role": costs.role,
            }
            row |= {"params": costs.macs.params, "macs": costs.macs.total, name: costs.count.total}
            rows.append({**row, "activations": costs.macs.activations})
    return rows


def sweep_table(counted: list[list[Costs]]) -> Table:
    """Totals at several input sizes."""
    rows = sweep_rows(counted)
    columns = [Column("input", "input"), Column("role", "network"), Column("params", "params", "count")]
    columns += [Column(key, key, "count") for key in dict.fromkeys(("macs", counted[0][0].count.convention.name))]
    first = counted[0]
    shown: list[dict[str, Any] | None] = []
    for i in range(0, len(rows), len(first)):
        shown += [None] * bool(shown and len(first) > 1) + [*rows[i : i + len(first)]]
    notes = _notes(first, first[0].count.convention)[:-1]
    title = f"{' and '.join(costs.network.label for costs in first)} by input size"
    return Table(title, (*columns, Column("activations", "acts", "count")), shown, notes)


def sweep_json(counted: list[list[Costs]]) -> dict[str, Any]:
    """The machine form of a sweep over input sizes."""
    convention = counted[0][0].count.convention
    head = {"schema": SCHEMA, "convention": convention.name, "unit": convention.unit}
    found = [costs for networks in counted for costs in networks]
    rows = zip(sweep_rows(counted), found, strict=True)
    return {**head, "networks": [{**row, "opaque": opaque_nodes(costs.network.graph)} for row, costs in rows]}


def costs_json(networks: list[Costs], input: Shape, by: str, convention: Convention) -> dict[str, Any]:
    """The machine form of ``flops``: plain integers, one entry a network."""

    def part_json(part: Part) -> dict[str, Any]:
        found = {"params": part.params, "macs": part.macs, convention.name: part.count, "activations": part.activations}
        resolutions = [list(resolution) for resolution in part.resolutions]
        return {"path": part.path, "kind": part.kind, "blocks": part.blocks, "resolutions": resolutions, **found}

    entries = []
    for costs in networks:
        whole, spec = part_json(total(costs)), costs.network.spec
        entries.append(
            {
                "name": costs.network.label,
                "role": costs.role,
                "id": None if spec is None else spec_id(spec),
                "elastic_blocks": costs.network.elastic_blocks,
                "params_live": costs.network.graph.params_live,
                "opaque": opaque_nodes(costs.network.graph),
                "params_trained_filters": trained_params(spec) if spec and spec.trained_filters else 0,
                **elasticized_json(costs.network.elasticized),
                **{key: whole[key] for key in ("blocks", "params", "macs", convention.name, "activations")},
                "parts": [part_json(part) for part in costs.parts],
                "spec": None if spec is None else to_dict(spec),
            }
        )
    result = {"schema": SCHEMA, "input": list(input), "by": by, "convention": convention.name, "unit": convention.unit}
    result["networks"] = entries
    if len(networks) > 1:
        keys = dict.fromkeys(("params", "macs", convention.name, "activations"))
        result["difference"] = {key: entries[1][key] - entries[0][key] for key in keys}
        result["ratio"] = {key: entries[1][key] / entries[0][key] for key in keys}
    return result
