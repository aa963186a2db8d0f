"""``elastic-search space``: what a space holds, and what of it lies in a band."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.options import Amount, Percent, format_options
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace
    from elastic_search.space.match import Candidate


@click.group()
def space() -> None:
    """Count, draw and find the networks of a space that lie in a band of costs, exactly.

    SPACE is a shipped space or a space file (.toml); its own band holds unless --band gives another tolerance.
    """


def _band_option(command: Callable[..., Any]) -> Callable[..., Any]:
    tolerance = click.option("--band", "tolerance", type=Percent(), help="Distance in cost to the target.")
    return tolerance(click.option("--target", type=Amount(), help="Cost to be near; the file's unless given.")(command))


def _open(name: str, tolerance: Fraction | None = None, target: int | None = None) -> SearchSpace:
    from elastic_search.files import load_space

    plan = load_space(name)
    if target == 0:
        raise UsageError("--target is above 0")
    return plan.at(target, tolerance)


@space.command()
@click.argument("name", metavar="SPACE")
@_band_option
@format_options
def count(name: str, tolerance: Fraction | None, target: int | None, fmt: str) -> None:
    """The exact number of networks in the band, and how many have each value of each choice."""
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import count_report

    plan = _open(name, tolerance, target)
    band, matcher = plan.band, plan.matcher
    emit(count_report(plan, matcher.some(band), matcher.marginals(band)), fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@_band_option
@click.option("--number", "-n", type=click.IntRange(1, 100_000), default=10, show_default=True, help="Of draws.")
@click.option("--measure", type=click.Choice(["uniform", "prior"]), default="uniform", show_default=True)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@format_options
def sample(
    name: str, tolerance: Fraction | None, target: int | None, number: int, measure: str, seed: int, fmt: str
) -> None:
    """Independent draws from the band.

    uniform: each distinct network is equally likely, so the deepest stages, of which there are most, dominate.
    prior: as if each choice were drawn uniformly by itself, over and over until the network lies in the band.
    """
    plan = _open(name, tolerance, target)
    named = [(str(i), candidate) for i, candidate in enumerate(plan.sample(number, seed, measure), 1)]
    _show(plan, f"{number} draws from {plan.name} ({measure})", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@format_options
def bounds(name: str, fmt: str) -> None:
    """A network of the smallest cost in the space, and one of the largest."""
    plan = _open(name)
    _show(plan, f"What {plan.name} reaches", list(zip(("least", "most"), plan.matcher.extremes, strict=True)), fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@click.option("--target", type=Amount(), help="Cost to be near; the file's unless given.")
@format_options
def nearest(name: str, target: int | None, fmt: str) -> None:
    """The networks whose costs are the nearest to the target from below and from above."""
    plan = _open(name, target=target)
    cost, matcher = plan.band.target, plan.matcher
    found = [("below", matcher.below(cost)), ("above", matcher.above(cost))]
    named = [(what, candidate) for what, candidate in found if candidate is not None]
    _show(plan, f"Nearest to {cost:,} in {plan.name}", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@click.argument("network", required=False)
@_band_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def explain(name: str, network: str | None, tolerance: Fraction | None, target: int | None, as_json: bool) -> None:
    """Why the band is empty or not; with NETWORK, why that network is or is not among it (exit 1 if not)."""
    from elastic_search.cli.options import load_network
    from elastic_search.cost.tally import tally
    from elastic_search.report.emit import Report, emit
    from elastic_search.report.spaces import space_head

    plan = _open(name, tolerance, target)
    band, matcher = plan.band, plan.matcher
    if network is None:
        inside = matcher.some(band)
        if as_json:
            return emit(Report(head={**space_head(plan), "inside": inside}), "json")
        click.echo(f"{inside:,} of {matcher.size:,} networks are inside: {band}")
        for limit in matcher.limits:
            click.echo(f"and {limit}")
        return
    label, spec = load_network(network)
    cost, reasons = tally(spec.graph(), band.input, band.convention).total, plan.why_not(spec)
    if as_json:
        about = {"network": label, "cost": cost, "inside": not reasons, "reasons": reasons}
        emit(Report(head={**space_head(plan), **about}), "json")
        raise SystemExit(bool(reasons))
    for reason in reasons:
        click.echo(f"{label}: {reason}")
    if reasons:
        raise SystemExit(1)
    click.echo(f"{label} is in {plan.name} and in the band: {cost:,} in {band}")


@space.command()
@click.argument("file")
def lint(file: str) -> None:
    """Check a space file: every mistake at once, then whether its band holds a network."""
    plan = _open(file)
    plan.matcher.some(plan.band)
    click.echo(f"{file}: a space of {plan.matcher.size:,} networks; its band is not empty")


def _show(plan: SearchSpace, title: str, named: list[tuple[str, Candidate]], fmt: str) -> None:
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import candidates_report

    emit(candidates_report(plan, title, named), fmt)
