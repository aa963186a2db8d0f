"""``elastic-search search``: train proxies of networks inside a band and rank them."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from elastic_search import __version__
from elastic_search.cli.options import format_options
from elastic_search.errors import ElasticError, EnvironmentFault, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from elastic_search.arch.spec import Spec
    from elastic_search.files import SearchSpace
    from elastic_search.search.folder import RunFolder
    from elastic_search.search.halving import Halving
    from elastic_search.search.plan import Pace
    from elastic_search.space.match import Matcher

ENDINGS = {
    "trials": "all trials are done",
    "time": "its time is used",
    "exhausted": "every network of the band has been tried, and the best with further seeds",
    "signal": "interrupted",
}


STRATEGIES = ("feasible-tpe", "uniform", "evolution")


@click.command()
@click.argument("space")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Time to use, over all starts of the run.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="The same in minutes.")
@click.option("--until", metavar="HH:MM", help="Use the time until then, the next time a clock here shows it.")
@click.option("--trials", type=click.IntRange(1), help="Networks to try.")
@click.option("--strategy", type=click.Choice(STRATEGIES), default=STRATEGIES[0], show_default=True)
@click.option("--no-halving", is_flag=True, help="Train every proxy to its last epoch.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option("--name", help="Of the run; by default the space's.")
@click.option("--dir", "root", default="runs", show_default=True, help="Of all runs.")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@format_options
def search(
    space: str,
    hours: float | None,
    minutes: float | None,
    until: str | None,
    trials: int | None,
    strategy: str,
    no_halving: bool,
    dry_run: bool,
    seed: int,
    name: str | None,
    root: str,
    device: str,
    fmt: str,
) -> None:
    """Search a space for the Elastic network whose short-trained proxy is best, at the base's cost.

    SPACE is a shipped space (resnext50, dla_x60, densenet201, demo) or a space file (.toml). Every proposal lies
    inside the file's band, checked on the full network at its target input. At its start the search measures what an
    epoch takes and prints what fits into the budget. The same command again resumes an interrupted run; a finished
    run is shown, not overwritten. Ctrl-C or SIGTERM ends after the epoch at hand, a second one at once. Needs the
    'search' extra.
    """
    from pathlib import Path

    from elastic_search.cli.extras import require
    from elastic_search.files import load_space
    from elastic_search.report.table import show, show_json
    from elastic_search.space.match import Matcher

    started = time.monotonic()
    seconds = _seconds(hours, minutes, until)
    if seconds is None and trials is None:
        raise UsageError("a search needs a budget", "give --minutes, --hours, --until or --trials")
    plan = load_space(space)
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input, plan.limits)
    inside = matcher.count(plan.band.low, plan.band.high)
    if not inside:
        raise matcher.nothing_fits(plan.band)
    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.loop import Budget, Search, StopSignal, known_epoch_seconds

    stop = StopSignal()
    with stop.listening():
        from elastic_search.report.progress import Progress
        from elastic_search.report.searches import plan_table, search_json, search_table
        from elastic_search.search.folder import RunFolder
        from elastic_search.search.halving import Halving
        from elastic_search.search.plan import Pace, calibrate
        from elastic_search.search.ranking import best_accuracies, ranking
        from elastic_search.train.device import choose_device, describe, torch_version
        from elastic_search.train.proxy import ProxyTrainer

        folder = RunFolder(Path(root), plan.name if name is None else name)
        halving = Halving(plan.recipe.epochs, not no_halving)
        chosen = choose_device(device)

        def budget() -> Budget:
            used = folder.spent_seconds
            # "until" is a time of day: what earlier starts used does not shorten it.
            total = seconds + used if until is not None and seconds is not None else seconds
            return Budget(trials, total)

        def prepare() -> tuple[ProxyTrainer, Pace, dict[str, Any]]:
            trainer = ProxyTrainer(plan.recipe, chosen)
            known = known_epoch_seconds(folder)
            pace = Pace(known, known, known) if known else _calibrated(calibrate, plan, matcher, trainer.pace)
            left = budget().seconds
            if left is not None:
                left -= folder.spent_seconds + time.monotonic() - started
            about = {"strategy": strategy, "inside": inside, "networks": matcher.size, "band": str(plan.band)}
            return trainer, pace, about | _planned(plan, folder, halving, pace, left, trials, inside)

        title = f"{plan.name} on {describe(chosen)}"
        if dry_run:
            _, _, planned = prepare()
            return show_json({"schema": 1, **planned}) if fmt == "json" else show(plan_table(planned, title), fmt)
        with folder.locked():
            description = {"space": plan.name, "text": plan.text, "seed": seed}
            description |= {"strategy": strategy, "halving": not no_halving}
            new = folder.begin(description, device=describe(chosen), torch=torch_version(), version=__version__)
            click.echo(f"{'new run' if new else 'resuming'} {folder.path} on {describe(chosen)}", err=True)
            trainer, pace, planned = prepare()
            for line in plan_table(planned, title).rows:
                click.echo(f"{line['name']}: {line['text']}" if line else "", err=True)
            if planned["short"]:
                click.echo("the time left is too short for the base network alone", err=True)
            progress = Progress(describe(chosen), trials, lambda: run.expected_seconds())
            run = Search(
                plan,
                matcher,
                folder,
                trainer,
                seed,
                budget(),
                progress,
                stop,
                halving,
                strategy,
                lambda spec: _counted(spec, plan),
                pace.typical,
                started,
            )
            progress.known(*best_accuracies(ranking(plan, folder)))
            with progress:
                why = run.run()
            rows = ranking(plan, folder)
    if fmt == "json":
        show_json(search_json(rows, plan, folder.name, seed, inside, why))
    else:
        show(search_table(rows, plan, f"Run {folder.name}: {ENDINGS[why]}"), fmt)
    if why == "signal" and stop.received is not None:
        click.echo("interrupted: the same command resumes", err=True)
        raise SystemExit(128 + stop.received)
    if folder.best_file.exists():
        click.echo(f"best network: elastic-search flops {_short(folder.best_file)}", err=True)


def _seconds(hours: float | None, minutes: float | None, until: str | None) -> float | None:
    """The time limit in seconds."""
    if sum(given is not None for given in (hours, minutes, until)) > 1:
        raise UsageError("give one of --hours, --minutes and --until")
    if not all(math.isfinite(limit) and limit <= 100_000 for limit in (hours or 0.0, minutes or 0.0)):
        raise UsageError("--hours and --minutes are at most 100000")
    if until is not None:
        return seconds_until(until, datetime.now().astimezone())
    return hours * 3600 if hours is not None else minutes * 60 if minutes is not None else None


def seconds_until(text: str, now: datetime) -> float:
    """Seconds until a clock next shows ``HH:MM``.

    Raises:
        UsageError: if the text is no time of day.
    """
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text, re.ASCII)
    if not found:
        raise UsageError(f"--until {text!r} is not a time of day", "write 07:30")
    # Local wall time first, then back to a moment: a night in which the clocks change keeps its length.
    wall = now.replace(tzinfo=None)
    end = wall.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    if end <= wall:
        end += timedelta(days=1)
    return end.astimezone().timestamp() - now.timestamp()


def _calibrated(
    calibrate: Callable[..., Pace], plan: SearchSpace, matcher: Matcher, measure: Callable[[Spec], float]
) -> Pace:
    from elastic_search.search.evaluator import TrialError

    try:
        return calibrate(plan, matcher, measure)
    except TrialError as error:
        raise EnvironmentFault(f"a proxy of the band cannot be trained: {error}", "a smaller [proxy]") from None


def _planned(
    plan: SearchSpace,
    folder: RunFolder,
    halving: Halving,
    pace: Pace,
    left: float | None,
    trials: int | None,
    inside: int,
) -> dict[str, Any]:
    """What fits into the rest of a run's budget."""
    from elastic_search.search.plan import forecast

    done = len(folder.trials())
    remaining = None if trials is None else max(0, trials - done)
    fits = forecast(pace, halving, left, remaining, max(0, inside - done), folder.result(None) is not None)
    end = datetime.now().astimezone() + timedelta(seconds=fits.seconds)
    return {
        "seconds_an_epoch": vars(pace),
        "rungs": list(halving.rungs),
        **vars(fits),
        "budget_seconds": left,
        "spent_seconds": folder.spent_seconds,
        "end": f"{end:%Y-%m-%d %H:%M} local time",
    }


def _counted(spec: Spec, plan: SearchSpace) -> tuple[str, int, int]:
    """A network counted by the tool of the band's convention on the built module, or by fvcore."""
    from elastic_search.nn.verify import verify

    name = plan.band.convention.name
    try:
        return _first_check(verify(spec.graph(), plan.band.input, (name,)), name)
    except (KeyError, ElasticError):
        # No tool has the convention, or it is not installed.
        return _first_check(verify(spec.graph(), plan.band.input, ("fvcore",)), "fvcore")


def _first_check(checks: list[Any], quantity: str) -> tuple[str, int, int]:
    check = next(check for check in checks if check.quantity == quantity)
    return check.tool, check.ours, check.theirs


def _short(path: Path) -> str:
    from pathlib import Path

    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
