"""What ``flops --training`` reports: FLOPs of both passes, and memory."""

from __future__ import annotations

from dataclasses import asdict

from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.memory import itemsize, memory
from elastic_search.cost.training import passes
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import decimal, size

TITLES = {
    "flops": {
        "forward": "forward, per image",
        "backward": "backward, per image",
        "total": "both, per image",
        "total_batch": "both, per batch",
        "torch_total": "FlopCounterMode, per image",
    },
    "memory": {
        **{key: key for key in ("parameters", "buffers", "gradients")},
        "optimizer": "optimiser state",
        "inference": "activations, inference",
        "training": "activations, training",
        "total_inference": "peak, inference",
        "total_training": "peak, training",
    },
}
"""The rows of each part of a measurement."""

UNITS = {"flops": ("FLOPs", "GFLOPs", 10**9, 3), "memory": ("bytes", "MiB", 2**20, 1)}
"""The unit of each part, and that of tables: its name, divisor and decimals."""

Measured = dict[str, dict[str, int]]
"""FLOPs (per image unless the key says otherwise) and bytes, by part and key."""


def training_report(
    networks: list[Network], input: Shape, batch: int = 32, dtype: str = "fp32", optimizer: str = "sgd"
) -> Report:
    """The costs of training networks, one row per quantity and one column per network.

    Args:
        networks: a network, or a base and its variant.
        input: shape of one image.
        batch: number of images.
        dtype: type of weights, images and optimiser state: "fp32", "bf16" or "fp16".
        optimizer: "sgd" (with momentum), "adamw" or "none".

    Raises:
        ShapeError: if a network cannot take its input.
        UnknownNameError: if the dtype or optimiser is unknown.
    """
    measured = [_measure(net.graph, input, batch, itemsize(dtype), optimizer) for net in networks]
    rows: list[Record | None] = []
    records: list[Record] = [
        {
            **{"network": net.label, "input": str(input), "batch": batch, "dtype": dtype, "optimizer": optimizer},
            **{"quantity": key, "unit": UNITS[part][0], "value": costs[part][key], "opaque": opaque_nodes(net.graph)},
        }
        for net, costs in zip(networks, measured, strict=True)
        for part, titles in TITLES.items()
        for key in titles
    ]
    for part, titles in TITLES.items():
        rows += [None] * bool(rows)
        _, unit, divisor, places = UNITS[part]
        for key, title in titles.items():
            values = [costs[part][key] for costs in measured]
            row: Record = {"quantity": title, "unit": unit}
            row |= {f"value_{i}": decimal(value, divisor, places) for i, value in enumerate(values)}
            rows.append(row | ({"change": values[1] / values[0] - 1} if len(values) > 1 and values[0] else {}))
    fields = [Field("quantity", ""), Field("unit", "")]
    fields += [Field(f"value_{i}", net.label, "number") for i, net in enumerate(networks)]
    fields += [Field("change", "change", "change")] * (len(networks) > 1)
    names = " and ".join(net.label for net in networks)
    title = f"Training {names} at {size(input)}, batch {batch}, {dtype}, optimiser {optimizer}"
    head: Record = {"input": list(input), "batch": batch, "dtype": dtype, "optimizer": optimizer}
    head["units"] = {"flops": "FLOPs per image", "memory": "bytes"}
    counted = zip(networks, measured, strict=True)
    head["networks"] = [{"name": net.label, "opaque": opaque_nodes(net.graph), **costs} for net, costs in counted]
    if len(networks) > 1:
        head["ratio"] = {part: _ratio(measured, part) for part in TITLES}
    return Report(title, fields, rows, _notes(networks, measured), head, "flops --training", records)


def _measure(graph: Graph, input: Shape, batch: int, itemsize: int, optimizer: str) -> Measured:
    counted = passes(graph, input)
    flops = {**counted._asdict(), "backward": counted.backward, "total": counted.total}
    flops |= {"total_batch": batch * counted.total, "torch_total": counted.torch_total}
    return {"flops": flops, "memory": asdict(memory(graph, input, batch, itemsize, optimizer))}


def _ratio(measured: list[Measured], part: str) -> dict[str, float | None]:
    first, second = measured[0][part], measured[1][part]
    return {key: second[key] / value if value else None for key, value in first.items()}


def _notes(networks: list[Network], measured: list[Measured]) -> list[str]:
    lines = ["FLOPs: 2 per multiply-add of convolutions and linear layers; the image needs no gradient"]
    wrong = []
    for net, costs in zip(networks, measured, strict=True):
        if (excess := costs["flops"]["torch_total"] - costs["flops"]["total"]) > 0:
            wrong.append(f"{excess / 10**9:.3f} for {net.label}")
    if wrong:
        lines.append(
            "FlopCounterMode counts the weight gradient of a grouped convolution as if it had one group "
            f"(GFLOPs too many: {', '.join(wrong)}); forward and backward above are right"
        )
    for net in networks:
        if dead := [path for path in net.graph.dead() if net.graph.at(path).params]:
            lines.append(f"{net.label}: without {', '.join(dead)}, whose results are not used")
    lines += reading_notes((net.label, net) for net in networks)
    lines.append(
        "MiB: peak size of tensors, with the image among the activations, but without the workspace of convolutions "
        "and the allocator's rounding; gradients and state have the dtype of the parameters"
    )
    return lines
