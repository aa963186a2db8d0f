"""``elastic-search space``: what a space holds, and what of it lies in a band."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.options import Amount, Percent, format_options
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace
    from elastic_search.space.band import Band
    from elastic_search.space.match import Candidate, Matcher


@click.group()
def space() -> None:
    """Count, draw and find the networks of a space that lie in a band of costs, exactly.

    SPACE is a shipped space or a space file (.toml); its own band holds unless --band gives another tolerance.
    """


def _band_option(command: Callable[..., Any]) -> Callable[..., Any]:
    tolerance = click.option("--band", "tolerance", type=Percent(), help="Distance in cost to the target.")
    return tolerance(click.option("--target", type=Amount(), help="Cost to be near; the file's unless given.")(command))


def _open(name: str, tolerance: Fraction | None, target: int | None) -> tuple[SearchSpace, Band, Matcher]:
    from elastic_search.files import at_target, load_space
    from elastic_search.space.match import Matcher

    plan = load_space(name)
    if target == 0:
        raise UsageError("--target is above 0")
    plan = at_target(plan, target)
    band = plan.band if tolerance is None else replace(plan.band, tolerance=tolerance)
    return plan, band, Matcher(plan.space, band.convention, band.input, plan.limits)


@space.command()
@click.argument("name", metavar="SPACE")
@_band_option
@format_options
def count(name: str, tolerance: Fraction | None, target: int | None, fmt: str) -> None:
    """The exact number of networks in the band, and how many have each value of each choice."""
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import count_report

    plan, band, matcher = _open(name, tolerance, target)
    inside = matcher.count(band.low, band.high)
    if not inside:
        raise matcher.nothing_fits(band)
    emit(count_report(plan, band, matcher, inside, matcher.marginals(band)), fmt)


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
    plan, band, matcher = _open(name, tolerance, target)
    drawn = matcher.sample(band, number, seed, measure)
    named = [(str(i), candidate) for i, candidate in enumerate(drawn, 1)]
    _show(plan, band, matcher, f"{number} draws from {plan.name} ({measure})", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@format_options
def bounds(name: str, fmt: str) -> None:
    """A network of the smallest cost in the space, and one of the largest."""
    plan, band, matcher = _open(name, None, None)
    named = list(zip(("least", "most"), matcher.extremes, strict=True))
    _show(plan, band, matcher, f"What {plan.name} reaches", named, fmt)


@space.command()
@click.argument("name", metavar="SPACE")
@click.option("--target", type=Amount(), help="Cost to be near; the file's unless given.")
@format_options
def nearest(name: str, target: int | None, fmt: str) -> None:
    """The networks whose costs are the nearest to the target from below and from above."""
    plan, band, matcher = _open(name, None, target)
    found = [("below", matcher.below(band.target)), ("above", matcher.above(band.target))]
    named = [(what, candidate) for what, candidate in found if candidate is not None]
    _show(plan, band, matcher, f"Nearest to {band.target:,} in {plan.name}", named, fmt)


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

    plan, band, matcher = _open(name, tolerance, target)
    if network is None:
        inside = matcher.count(band.low, band.high)
        if not inside:
            raise matcher.nothing_fits(band)
        if as_json:
            return emit(Report(head={**space_head(plan, band, matcher), "inside": inside}), "json")
        click.echo(f"{inside:,} of {matcher.size:,} networks are inside: {band}")
        for limit in matcher.limits:
            click.echo(f"and {limit}")
        return
    label, spec = load_network(network)
    cost = tally(spec.graph(), band.input, band.convention).total
    reasons = [] if plan.space.values_of(spec) else plan.space.why_not(spec)
    if cost not in band:
        reasons.append(f"it costs {cost:,} ({(cost - band.target) / band.target:+.3%}), outside {band}")
    for limit in plan.limits:
        if not limit.holds(spec):
            reasons.append(f"it has {limit.amount(spec):,}, outside {limit}")
    if as_json:
        about = {"network": label, "cost": cost, "inside": not reasons, "reasons": reasons}
        emit(Report(head={**space_head(plan, band, matcher), **about}), "json")
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
    _, band, matcher = _open(file, None, None)
    if not matcher.count(band.low, band.high):
        raise matcher.nothing_fits(band)
    click.echo(f"{file}: a space of {matcher.size:,} networks; its band is not empty")


def _show(
    plan: SearchSpace, band: Band, matcher: Matcher, title: str, named: list[tuple[str, Candidate]], fmt: str
) -> None:
    from elastic_search.report.emit import emit
    from elastic_search.report.spaces import candidates_report

    emit(candidates_report(plan, band, matcher, title, named), fmt)
