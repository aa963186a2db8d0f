"""The table and JSON of ``flops --training``: FLOPs of both passes, and memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.memory import Memory, itemsize, memory
from elastic_search.cost.training import Passes, passes
from elastic_search.report.opaque import opaque_notes
from elastic_search.report.table import Column, Table

SCHEMA = 1
_GIGA, _MEBI = 10**9, 2**20


@dataclass(frozen=True)
class _Quantity:
    """A row: ``flops`` are per image unless the key says otherwise, all else is in bytes."""

    key: str
    title: str
    flops: bool
    value: int


def _quantities(flops: Passes, memory: Memory, batch: int) -> list[_Quantity]:
    counted = (
        ("forward", "forward, an image", flops.forward),
        ("backward", "backward, an image", flops.backward),
        ("total", "both, an image", flops.total),
        ("total_batch", "both, the batch", flops.total * batch),
        ("torch_total", "FlopCounterMode's, an image", flops.torch_total),
    )
    held = (
        ("parameters", "parameters", memory.parameters),
        ("buffers", "buffers", memory.buffers),
        ("gradients", "gradients", memory.gradients),
        ("optimizer", "optimiser's state", memory.optimizer),
        ("inference", "activations, inference", memory.inference),
        ("training", "activations, training", memory.training),
        ("total_inference", "peak, inference", memory.total_inference),
        ("total_training", "peak, training", memory.total_training),
    )
    rows = [_Quantity(key, title, True, value) for key, title, value in counted]
    return rows + [_Quantity(key, title, False, value) for key, title, value in held]


def _measured(networks: list[Network], input: Shape, batch: int, dtype: str, optimizer: str) -> list[list[_Quantity]]:
    size = itemsize(dtype)
    return [
        _quantities(passes(net.graph, input), memory(net.graph, input, batch, size, optimizer), batch)
        for net in networks
    ]


def training_table(
    networks: list[Network], input: Shape, batch: int = 32, dtype: str = "fp32", optimizer: str = "sgd"
) -> Table:
    """The costs of training networks, a row a quantity and a column a network, for people.

    Args:
        networks: one, or a base and its variant.
        input: shape of one image.
        batch: images.
        dtype: of the module, its images and its optimiser's state: "fp32", "bf16" or "fp16".
        optimizer: "sgd" (with momentum), "adamw" or "none".

    Raises:
        ShapeError: if a network cannot take its input.
        UnknownNameError: if there is no such dtype or optimiser.
    """
    measured = _measured(networks, input, batch, dtype, optimizer)
    rows: list[dict[str, Any] | None] = []
    for quantities in zip(*measured, strict=True):
        first = quantities[0]
        if not first.flops and rows and first.key == "parameters":
            rows.append(None)
        row: dict[str, Any] = {"quantity": first.title, "unit": "GFLOPs" if first.flops else "MiB"}
        row |= {f"value_{i}": _text(quantity) for i, quantity in enumerate(quantities)}
        rows.append(row | _change(quantities))
    columns = [Column("quantity", ""), Column("unit", "")]
    columns += [Column(f"value_{i}", net.label, "number") for i, net in enumerate(networks)]
    if len(networks) > 1:
        columns.append(Column("change", "change", "change"))
    names = " and ".join(net.label for net in networks)
    title = f"{names} in training at {input.height}x{input.width}, batch {batch}, {dtype}, optimiser {optimizer}"
    return Table(title, tuple(columns), rows, _notes(networks, input))


def training_list(
    networks: list[Network], input: Shape, batch: int = 32, dtype: str = "fp32", optimizer: str = "sgd"
) -> Table:
    """The same in plain integers, for CSV; arguments and errors as for ``training_table``."""
    measured = _measured(networks, input, batch, dtype, optimizer)
    rows = [
        {"network": net.label, "quantity": q.key, "unit": "FLOPs" if q.flops else "bytes", "value": q.value}
        for net, quantities in zip(networks, measured, strict=True)
        for q in quantities
    ]
    kinds = {"value": "number"}
    columns = tuple(Column(key, key, kinds.get(key, "text")) for key in ("network", "quantity", "unit", "value"))
    return Table("training", columns, rows)


def training_json(
    networks: list[Network], input: Shape, batch: int = 32, dtype: str = "fp32", optimizer: str = "sgd"
) -> dict[str, Any]:
    """The same in FLOPs and bytes, for machines; arguments and errors as for ``training_table``."""
    size = itemsize(dtype)
    entries: list[dict[str, Any]] = []
    for net in networks:
        counted, held = passes(net.graph, input), memory(net.graph, input, batch, size, optimizer)
        flops = {
            **counted._asdict(),
            "backward": counted.backward,
            "total": counted.total,
            "total_batch": batch * counted.total,
            "torch_total": counted.torch_total,
        }
        opaque = opaque_nodes(net.graph)
        entries.append({"name": net.label, "opaque": opaque, "flops": flops, "memory": asdict(held)})
    result: dict[str, Any] = {"schema": SCHEMA, "input": list(input), "batch": batch, "dtype": dtype}
    result |= {"optimizer": optimizer, "units": {"flops": "FLOPs per image", "memory": "bytes"}, "networks": entries}
    if len(entries) > 1:
        result["ratio"] = {part: _ratio(entries[0][part], entries[1][part]) for part in ("flops", "memory")}
    return result


def _ratio(first: dict[str, int], second: dict[str, int]) -> dict[str, float | None]:
    return {key: second[key] / value if value else None for key, value in first.items()}


def _text(quantity: _Quantity) -> str:
    size, digits = (_GIGA, 3) if quantity.flops else (_MEBI, 1)
    # In whole numbers: a float has no room for the largest counts.
    whole, rest = divmod((quantity.value * 10**digits + size // 2) // size, 10**digits)
    return f"{whole}.{rest:0{digits}}"


def _change(quantities: tuple[_Quantity, ...]) -> dict[str, float]:
    if len(quantities) < 2 or not quantities[0].value:
        return {}
    return {"change": quantities[1].value / quantities[0].value - 1}


def _notes(networks: list[Network], input: Shape) -> tuple[str, ...]:
    lines = ["FLOPs: 2 a multiply-add of convolutions and linear layers; the image needs no gradient"]
    counted = [(net.label, passes(net.graph, input)) for net in networks]
    if wrong := [
        f"{(c.torch_total - c.total) / _GIGA:.3f} for {name}" for name, c in counted if c.torch_total > c.total
    ]:
        lines.append("FlopCounterMode counts the weights' gradient of a grouped convolution as if it had one group:")
        lines.append(f"too many GFLOPs, {', '.join(wrong)}; forward and backward above are right")
    for net in networks:
        if dead := [path for path in net.graph.dead() if net.graph.at(path).params]:
            lines.append(f"{net.label}: without {', '.join(dead)}, whose result nobody reads")
    lines += opaque_notes((net.label, net.graph) for net in networks)
    lines.append("MiB: bytes of tensors at their peak, the image among the activations; a convolution's workspace and")
    lines.append("an allocator's rounding come on top; gradients and state have the parameters' dtype")
    return tuple(lines)
