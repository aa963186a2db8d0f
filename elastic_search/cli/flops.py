"""``elastic-search flops``: what a network costs, beside its Elastic variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.opaque import tell_opaque
from elastic_search.cli.options import (
    Amount,
    Depths,
    convention_option,
    device_option,
    dtype_option,
    edit_options,
    edited,
    format_options,
    images_option,
    load_graph,
)
from elastic_search.errors import OverBudgetError, UsageError

if TYPE_CHECKING:
    from elastic_search.arch.network import Network
    from elastic_search.arch.ops import Shape
    from elastic_search.cost.parts import Costs
    from elastic_search.report.emit import Report


@click.command()
@click.argument("name")
@click.option("--elastic", is_flag=True, help="Beside it, its published Elastic variant; a module's, made here.")
@edit_options
@click.option("--depths", type=Depths(), help="Blocks per stage, as in 6,8,5,3.")
@images_option
@click.option("--by", type=click.Choice(["stage", "block", "op"]), default="stage", show_default=True)
@convention_option("all")
@click.option("--max-macs", type=Amount(), help="Exit with 1 if the network (the edited one) costs more.")
@click.option("--max-params", type=Amount(), help="The same for parameters.")
@click.option("--max-activations", type=Amount(), help="The same for activations.")
@click.option("--training", is_flag=True, help="Forward and backward FLOPs, and memory.")
@click.option("--latency", is_flag=True, help="Measure the time per image on this machine, beside the counts.")
@click.option(
    "--batch", type=click.IntRange(1, 65_536), help="Images at once: --training 32, --latency 1 unless given."
)
@dtype_option("Of --training.")
@click.option(
    "--optimizer", type=click.Choice(["sgd", "adamw", "none"]), default="sgd", show_default=True, help="Of --training."
)
@device_option("Of --latency.")
@format_options
def flops(
    name: str,
    elastic: bool,
    split: str | None,
    down: str | None,
    up: str | None,
    depths: tuple[int, ...] | None,
    inputs: tuple[Shape, ...],
    by: str,
    convention: str,
    max_macs: int | None,
    max_params: int | None,
    max_activations: int | None,
    training: bool,
    latency: bool,
    batch: int | None,
    dtype: str,
    optimizer: str,
    device: str,
    fmt: str,
) -> None:
    """Count a network exactly: parameters, multiply-adds, a tool's count, activations.

    NAME is a published network ('elastic-search models' lists them), a spec file (.toml), or your own:
    package.module:factory is imported, which runs its code, and called; what it returns must be a torch.nn.Module.
    Spec files never run code. With an edit (--split, --down, --up, --depths) the edited network stands beside NAME.
    With --convention all every tool's count is shown, and why they differ.
    """
    from elastic_search.cost.parts import measure
    from elastic_search.cost.tools import CONVENTIONS, FVCORE
    from elastic_search.report.emit import emit

    if sum((len(inputs) > 1, training, latency, convention == "all")) > 1:
        raise UsageError(
            "several sizes, --training, --latency and --convention all are tables of their own", "ask for one"
        )
    chosen = FVCORE if convention == "all" else CONVENTIONS[convention]
    options = {"split": split, "down": down, "up": up, "depths": depths}
    edits = {key: value for key, value in options.items() if value is not None}
    counted = []
    for input in inputs:
        of_roles = _networks(name, elastic, edits, input)
        counted.append([measure(network, role, input, chosen, by) for role, network in of_roles])
    if fmt in ("csv", "json"):
        tell_opaque(costs.network for costs in counted[0])
    limits = {"macs": max_macs, "params": max_params, "activations": max_activations}
    if training:
        from elastic_search.report.training import training_report

        networks = [costs.network for costs in counted[0]]
        report = training_report(networks, inputs[0], batch or 32, dtype, optimizer)
    elif latency:
        report = _latency(counted[0], inputs[0], batch or 1, device)
    elif convention == "all":
        from elastic_search.report.conventions import tools_report

        report = tools_report(counted[0], inputs[0], by)
    else:
        from elastic_search.report.costs import costs_report, sizes_report

        report = sizes_report(counted) if len(inputs) > 1 else costs_report(counted[0], by)
    emit(report, fmt)
    _check(counted, limits)


def _networks(name: str, elastic: bool, edits: dict[str, Any], input: Shape) -> list[tuple[str, Network]]:
    """The network, and beside it the variant that the options ask for, with their roles."""
    if _is_code(name):
        return _modules(name, elastic, edits, input)
    from elastic_search.arch.network import Network
    from elastic_search.arch.split import parse_split
    from elastic_search.arch.zoo import find, published

    base = load_graph(name, input)
    networks = [("base", base)]
    if elastic:
        if edits:
            raise UsageError(
                "--elastic means the published variant and cannot be edited at once",
                "leave out --elastic to edit the base, or edit the variant by its own name",
            )
        entry = find(name)
        if entry is None or entry.elastic is None:
            if base.spec is not None and all(base.spec.paths(i) == 1 for i in range(len(base.spec.stages))):
                raise UsageError(
                    f"{name} has one path a block, as every ResNet has: it cannot be split",
                    "a ResNeXt has paths to split: flops resnext50 --elastic",
                )
            raise UsageError(f"no Elastic variant of {name} is published", f"edit it: flops {name} --split 1/2,1/2")
        variant = published(entry.elastic)
        networks.append(("elastic", Network(entry.elastic, variant.graph(), variant)))
    elif edits:
        assert base.spec is not None
        spec = edited(base.spec, **{key: edits.get(key) for key in ("split", "down", "up", "depths")})
        shown = dict(edits)
        if "split" in shown:
            shown["split"] = parse_split(shown["split"])
        if "depths" in shown:
            shown["depths"] = ",".join(map(str, shown["depths"]))
        text = " ".join(f"--{key} {value}" for key, value in shown.items())
        networks.append(("edited", Network(f"{name} {text}", spec.graph(), spec)))
    return networks


def _is_code(name: str) -> bool:
    """Whether a name is ``package.module:factory``."""
    return ":" in name and "/" not in name and not name.endswith(".toml")


def _modules(name: str, elastic: bool, edits: dict[str, Any], input: Shape) -> list[tuple[str, Network]]:
    """A user's module, and the same made Elastic."""
    wrong = [f"--{key}" for key in ("depths",) if key in edits]
    if wrong or (edits and not elastic):
        options = ", ".join(wrong or (f"--{key}" for key in edits))
        raise UsageError(
            f"{options}: a module of your own has no stages to edit", f"flops {name} --elastic --split 1/2,1/2"
        )
    networks = [("base", load_graph(name, input))]
    if elastic:
        from elastic_search.arch.network import Network
        from elastic_search.arch.split import parse_split, resampling_pair
        from elastic_search.nn.elastic.elasticize import elasticize
        from elastic_search.nn.trace.factory import load_module
        from elastic_search.nn.trace.tracing import own_layers, trace
        from elastic_search.report.notes import left_notes

        pair = resampling_pair(edits.get("down"), edits.get("up"))
        split = parse_split(edits.get("split", "1/2,1/2"), *pair)
        module = load_module(name)
        change = elasticize(module, split, input=(input.channels, input.height, input.width))
        click.echo("\n".join(left_notes(change)), err=True)
        label = f"{name} --elastic {split.short}"
        graph, classes = trace(module, input), own_layers(module)
        variant = Network(label, graph, module=module, own_layers=classes, elasticized=change)
        networks.append(("elastic", variant))
    return networks


def _latency(networks: list[Costs], input: Shape, batch: int, device: str) -> Report:
    from elastic_search.cli.extras import require
    from elastic_search.report.latency import latency_report

    require("torch")
    from elastic_search.nn.latency import measure_all
    from elastic_search.nn.net import Net
    from elastic_search.train.device import choose_device

    modules = [costs.network.module or Net(costs.network.graph) for costs in networks]
    return latency_report(networks, measure_all(modules, input, batch, choose_device(device)))


def _check(counted: list[list[Costs]], limits: dict[str, int | None]) -> None:
    """Raise if the network asked for, the last one, is over a budget at any size."""
    over = []
    for networks in counted:
        asked = networks[-1]
        values = {"macs": asked.macs.total, "params": asked.macs.params, "activations": asked.macs.activations}
        size = f"{asked.macs.input.height}x{asked.macs.input.width}"
        for key, limit in limits.items():
            if limit is not None and values[key] > limit:
                over.append(f"{asked.network.label} at {size}: {values[key]:,} {key}, over {limit:,}")
    if over:
        raise OverBudgetError("\n  ".join(over))
