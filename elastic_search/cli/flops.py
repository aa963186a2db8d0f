"""``elastic-search flops``: what a network costs, next to its Elastic variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.options import (
    AMOUNT,
    DEPTHS,
    IMAGES,
    check_convention,
    convention_option,
    device_option,
    dtype_option,
    edit_options,
    edited,
    format_options,
    image_of,
    is_code,
    load_graph,
    made,
    networks_complete,
    option,
    require,
)
from elastic_search.cli.output import tell_opaque
from elastic_search.errors import OverBudgetError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from elastic_search.arch.network import Network
    from elastic_search.arch.ops import Shape
    from elastic_search.cost.budget import Verdict
    from elastic_search.cost.parts import Costs
    from elastic_search.report.emit import Report


@click.command()
@click.argument("name", shell_complete=networks_complete)
@click.option(
    "--elastic", is_flag=True, help="Add its Elastic variant: the published one, or your module made Elastic."
)
@edit_options
@click.option("--depths", type=DEPTHS, help="Blocks per stage, such as 6,8,5,3.")
@option("--input", "inputs", type=IMAGES, default="224", help="Input size in pixels, or several, such as 96,224.")
@option("--by", type=click.Choice(["stage", "block", "op"]), default="stage", help="Parts to list.")
@click.option("--depth", type=click.IntRange(1, 100), help="List modules nested up to this depth, instead of --by.")
@convention_option("all")
@click.option("--max-macs", type=AMOUNT, help="Exit with 1 if the network (the edited one, if any) has more MACs.")
@click.option("--max-params", type=AMOUNT, help="Exit with 1 if it has more parameters.")
@click.option("--max-activations", type=AMOUNT, help="Exit with 1 if it has more activations.")
@click.option(
    "--allow-unknown",
    is_flag=True,
    help="Let operations that nobody can count pass a budget; else they exit with 1, as the total is not known.",
)
@click.option("--training", is_flag=True, help="Show forward and backward FLOPs and the memory of training.")
@click.option("--latency", is_flag=True, help="Measure the time per image on this machine, next to the counts.")
@click.option(
    "--batch", type=click.IntRange(1, 65_536), help="Batch size; 32 for --training and 1 for --latency if omitted."
)
@dtype_option("Data type for --training.")
@option("--optimizer", type=click.Choice(["sgd", "adamw", "none"]), default="sgd", help="Optimiser for --training.")
@device_option("Device for --latency.")
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
    depth: int | None,
    convention: str,
    max_macs: int | None,
    max_params: int | None,
    max_activations: int | None,
    allow_unknown: bool,
    training: bool,
    latency: bool,
    batch: int | None,
    dtype: str,
    optimizer: str,
    device: str,
    fmt: str,
) -> None:
    """Count the cost of a network exactly: parameters, multiply-adds, another tool's count, activations.

    NAME is a published network (see 'elastic-search models'), a spec file (.toml), or package.module:factory, a
    function of your own that returns a torch.nn.Module. The factory is imported and called, which runs its code; spec
    files never run code. With --split, --down, --up or --depths the edited network is shown next to NAME. With
    --convention all every tool's count is shown, and why the counts differ.
    """
    from elastic_search.cost.parts import measure
    from elastic_search.cost.tools import CONVENTIONS, FVCORE
    from elastic_search.report.emit import emit

    check_convention(convention, (name,))
    if sum((len(inputs) > 1, training, latency, convention == "all")) > 1:
        raise UsageError("several sizes, --training, --latency and --convention all exclude one another", "give one")
    if batch is not None and not (training or latency):
        raise UsageError("--batch changes nothing without --training or --latency", "add one of them, or leave it out")
    for key, of in (("dtype", training), ("optimizer", training), ("device", latency)):
        if _is_given(key) and not of:
            needed = "--latency" if key == "device" else "--training"
            raise UsageError(f"--{key} changes nothing without {needed}", f"add {needed}, or leave it out")
    if depth is not None:
        if by != "stage":
            raise UsageError(f"--depth and --by {by} exclude each other", "give one")
        by = "module"
    chosen = FVCORE if convention == "all" else CONVENTIONS[convention]
    options = {"split": split, "down": down, "up": up, "depths": depths}
    edits = {key: value for key, value in options.items() if value is not None}
    counted = []
    for i, input in enumerate(inputs):
        of_roles = _networks(name, elastic, edits, input)
        input = image_of(of_roles[0][1], input)
        inputs = (*inputs[:i], input, *inputs[i + 1 :])
        counted.append([measure(network, role, input, chosen, by, depth or 1) for role, network in of_roles])
    if fmt == "json":
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

        report = tools_report(counted[0], inputs[0], by, depth or 1)
    else:
        from elastic_search.report.costs import costs_report, sizes_report

        report = sizes_report(counted, by) if len(inputs) > 1 else costs_report(counted[0], by)
    found = _verdicts([networks[-1] for networks in counted], limits, allow_unknown)
    emit(report.with_budget(found), fmt)
    if over := [verdict for verdict in found if not verdict.within]:
        unknown = all(verdict.value <= verdict.limit for verdict in over)
        hint = "give the operations a rule (elastic_search.register_rule), or pass them with --allow-unknown"
        raise OverBudgetError("\n  ".join(map(str, over)), hint if unknown else None)


def _is_given(option: str) -> bool:
    """Whether an option of this command was written."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _networks(name: str, elastic: bool, edits: dict[str, Any], input: Shape) -> list[tuple[str, Network]]:
    """The network and the variant that the options ask for, each with its role."""
    if is_code(name):
        return _modules(name, elastic, edits, input)

    from elastic_search.arch.network import Network
    from elastic_search.arch.split import parse_split
    from elastic_search.arch.zoo import find, published

    base = load_graph(name, input)
    networks = [("base", base)]
    if elastic:
        if edits:
            raise UsageError(
                "--elastic shows the published variant and excludes edits",
                "leave out --elastic to edit the base, or give the variant's own name to edit that",
            )
        entry = find(name)
        if entry is None or entry.elastic is None:
            if base.spec is not None and all(base.spec.paths(i) == 1 for i in range(len(base.spec.stages))):
                raise UsageError(
                    f"{name} has a single path per block, like every ResNet, and cannot be split",
                    "try a ResNeXt: flops resnext50 --elastic",
                )
            raise UsageError(f"{name} has no published Elastic variant", f"edit it: flops {name} --split 1/2,1/2")
        variant = published(entry.elastic)
        networks.append(("elastic", Network(entry.elastic, variant.graph(), variant)))
    elif edits:
        assert base.spec is not None
        spec = edited(base.spec, **{key: edits.get(key) for key in ("split", "down", "up", "depths")})
        shown = edits | ({"split": parse_split(edits["split"])} if "split" in edits else {})
        shown |= {"depths": ",".join(map(str, edits["depths"]))} if "depths" in edits else {}
        text = " ".join(f"--{key} {value}" for key, value in shown.items())
        networks.append(("edited", Network(f"{name} {text}", spec.graph(), spec)))
    return networks


def _modules(name: str, elastic: bool, edits: dict[str, Any], input: Shape) -> list[tuple[str, Network]]:
    """A user's module and its Elastic version."""
    if "depths" in edits or (edits and not elastic):
        options = "--depths" if "depths" in edits else ", ".join(f"--{key}" for key in edits)
        hint = f"use flops {name} --elastic --split 1/2,1/2"
        raise UsageError(f"{options}: a module of your own has no stages to edit", hint)
    networks = [("base", load_graph(name, input))]
    if elastic:
        from elastic_search.arch.split import parse_split, resampling_pair
        from elastic_search.nn.elastic.elasticize import elasticize
        from elastic_search.nn.trace.tracing import network
        from elastic_search.report.notes import left_notes

        split = parse_split(edits.get("split", "1/2,1/2"), *resampling_pair(edits.get("down"), edits.get("up")))
        module = _copied(name)
        change = elasticize(module, split, input=input)
        click.echo("\n".join(left_notes(change)), err=True)
        variant = network(f"{name} --elastic {split.short}", module, input)
        networks.append(("elastic", variant.edited(elasticized=change)))
    return networks


def _copied(name: str) -> nn.Module:
    """Another module like the one that a factory makes."""
    from copy import deepcopy

    from elastic_search.nn.trace.factory import load_module

    try:
        return deepcopy(made(name))
    except Exception:
        return load_module(name)  # some modules cannot be copied


def _verdicts(asked: list[Costs], limits: dict[str, int | None], allow_unknown: bool) -> list[Verdict]:
    """Whether the network asked for keeps its budget, at every size."""
    if all(limit is None for limit in limits.values()):
        return []
    from elastic_search.cost.budget import verdicts

    return verdicts(asked, limits, allow_unknown)


def _latency(networks: list[Costs], input: Shape, batch: int, device: str) -> Report:
    from elastic_search.report.latency import latency_report

    require("torch")
    from elastic_search.nn.latency import measure_all
    from elastic_search.nn.net import Net
    from elastic_search.train.device import choose_device

    modules = [costs.network.module or Net(costs.network.graph) for costs in networks]
    return latency_report(networks, measure_all(modules, input, batch, choose_device(device)))
