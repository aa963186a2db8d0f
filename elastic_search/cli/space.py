"""``elastic-search space``: the networks of a space that lie in a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.main import Group
from elastic_search.cli.options import (
    AMOUNT,
    PERCENT,
    format_options,
    networks_complete,
    option,
    seed_option,
    spaces_complete,
)
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace
    from elastic_search.space.match import Candidate


@click.group(cls=Group)
def space() -> None:
    """Count, sample and find the networks of a space that lie in a band of costs.

    SPACE is a shipped space or a space file (.toml). The band is that of the file unless options change it.
    """


_target_option = click.option("--target", type=AMOUNT, help="Target cost; by default that of the space.")


def _band_option(command: Callable[..., Any]) -> Callable[..., Any]:
    tolerance = click.option("--band", "tolerance", type=PERCENT, help="Largest difference in cost from the target.")
    return tolerance(_target_option(command))


def _open(name: str, tolerance: Fraction | None = None, target: int | None = None) -> SearchSpace:
    from elastic_search.files import load_space

    plan = watched(load_space(name))
    if target == 0:
        raise UsageError("--target must be above 0")
    return plan.at(target, tolerance)


def watched(plan: SearchSpace) -> SearchSpace:
    """The space; a count of it that lasts says on stderr what it is doing."""
    from elastic_search.report.waiting import Waiting

    waiting = Waiting(plan.name)
    click.get_current_context().call_on_close(waiting.clear)
    return replace(plan, watch=waiting)


@space.command()
@click.argument("name", metavar="SPACE", shell_complete=spaces_complete)
@_band_option
@format_options
def count(name: str, tolerance: Fraction | None, target: int | None, fmt: str) -> None:
    """Count the networks in the band, in total and by the value of each choice."""
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import count_report

    plan = _open(name, tolerance, target)
    band, matcher = plan.band, plan.matcher
    emit(count_report(plan, matcher.some(band), matcher.marginals(band)), fmt)


@space.command()
@click.argument("name", metavar="SPACE", shell_complete=spaces_complete)
@_band_option
@option("--number", "-n", type=click.IntRange(1, 100_000), default=10, help="Number of samples.")
@option("--measure", type=click.Choice(["uniform", "prior"]), default="uniform", help="Distribution to sample from.")
@seed_option
@format_options
def sample(
    name: str, tolerance: Fraction | None, target: int | None, number: int, measure: str, seed: int, fmt: str
) -> None:
    """Sample independent networks from the band.

    uniform: every network is equally likely, so deep stages, which have the most variants, dominate.
    prior: every choice is drawn uniformly on its own, repeatedly until the network lies in the band.
    """
    plan = _open(name, tolerance, target)
    named = [(str(i), candidate) for i, candidate in enumerate(plan.sample(number, seed, measure), 1)]
    _show(plan, f"{number} samples from {plan.name} ({measure})", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE", shell_complete=spaces_complete)
@format_options
def bounds(name: str, fmt: str) -> None:
    """Show a network of the lowest cost in the space and one of the highest."""
    plan = _open(name)
    _show(
        plan,
        f"Lowest and highest cost in {plan.name}",
        list(zip(("least", "most"), plan.matcher.extremes, strict=True)),
        fmt,
    )


@space.command()
@click.argument("name", metavar="SPACE", shell_complete=spaces_complete)
@_target_option
@format_options
def nearest(name: str, target: int | None, fmt: str) -> None:
    """Find the networks with the costs nearest to the target, below and above it."""
    plan = _open(name, target=target)
    cost, matcher = plan.band.target, plan.matcher
    found = [("below", matcher.below(cost)), ("above", matcher.above(cost))]
    named = [(what, candidate) for what, candidate in found if candidate is not None]
    _show(plan, f"Nearest to {cost:,} in {plan.name}", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE", shell_complete=spaces_complete)
@click.argument("network", required=False, shell_complete=networks_complete)
@_band_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, network: str | None, tolerance: Fraction | None, target: int | None, as_json: bool) -> None:
    """Explain why the band is empty or not, or whether NETWORK is in it (exit code 1 if not)."""
    from elastic_search.cli.options import load_network
    from elastic_search.cost.tally import tally
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import verdict_report

    plan = _open(name, tolerance, target)
    band, matcher = plan.band, plan.matcher
    if network is None:
        inside = matcher.some(band)
        if as_json:
            return emit(verdict_report(plan, {"inside": inside}), "json")
        click.echo(f"{inside:,} of {matcher.size:,} networks {'is' if inside == 1 else 'are'} in the band: {band}")
        for limit in matcher.limits:
            click.echo(f"and {limit}")
        return
    label, spec = load_network(network)
    cost, reasons = tally(spec.graph(), band.input, band.convention).total, plan.why_not(spec)
    if as_json:
        about = {"network": label, "count": cost, "in_band": not reasons, "reasons": reasons}
        emit(verdict_report(plan, about), "json")
        raise SystemExit(bool(reasons))
    for reason in reasons:
        click.echo(f"{label}: {reason}")
    if reasons:
        raise SystemExit(1)
    click.echo(f"{label} is in {plan.name} and in its band: {cost:,} in {band}")


@space.command()
@click.argument("file")
def lint(file: str) -> None:
    """Check a space file: report all mistakes at once, then whether its band is empty."""
    plan = _open(file)
    plan.matcher.some(plan.band)
    size = plan.matcher.size
    click.echo(f"{file}: {size:,} network{'' if size == 1 else 's'}; the band is not empty")


def _show(plan: SearchSpace, title: str, named: list[tuple[str, Candidate]], fmt: str) -> None:
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import candidates_report

    emit(candidates_report(plan, title, named), fmt)
