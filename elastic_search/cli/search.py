"""``elastic-search search``: train proxies of networks inside a band and rank them."""

from __future__ import annotations

import math
import os
import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import Amounts, format_options
from elastic_search.errors import UsageError
from elastic_search.search.propose import STRATEGIES

if TYPE_CHECKING:
    from pathlib import Path

    from elastic_search.search.run import Run

ENDINGS = {
    "trials": "all trials are done",
    "time": "its time is used",
    "exhausted": "every network of the band has been tried, and the best with further seeds",
    "signal": "interrupted",
}


@click.command()
@click.argument("space")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Time to use, over all starts of the run.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="The same in minutes.")
@click.option("--until", metavar="HH:MM", help="Use the time until then, the next time a clock here shows it.")
@click.option("--trials", type=click.IntRange(1), help="Networks to try; with --targets, in each band.")
@click.option("--targets", type=Amounts(), help="Search a band around each of these costs, as in 2G,3G,4.26G.")
@click.option("--strategy", type=click.Choice(STRATEGIES), default=STRATEGIES[0], show_default=True)
@click.option("--no-halving", is_flag=True, help="Train every proxy to its last epoch.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option("--name", help="Of the run; by default the space's.")
@click.option("--dir", "root", default="runs", show_default=True, help="Of all runs.")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that train; "
              "each of them has a GPU of its own as far as there are any.")  # fmt: skip
@click.option("--storage", metavar="URL", help="PostgreSQL of a study that several machines share; the same command "
              "runs on each.")  # fmt: skip
@format_options
def search(
    space: str,
    hours: float | None,
    minutes: float | None,
    until: str | None,
    trials: int | None,
    targets: tuple[int, ...] | None,
    strategy: str,
    no_halving: bool,
    dry_run: bool,
    seed: int,
    name: str | None,
    root: str,
    device: str,
    workers: int,
    storage: str | None,
    fmt: str,
) -> None:
    """Search a space for the Elastic network whose short-trained proxy is best, at the base's cost.

    SPACE is a shipped space (resnext50, resnext50_blocks, dla_x60, densenet201, demo) or a space file (.toml). Every
    proposal lies inside the file's band, checked on the full network at its target input. At its start the search
    measures what an epoch takes and prints what fits into the budget. The same command again resumes an interrupted
    run; a finished run is shown, not overwritten. Ctrl-C or SIGTERM ends after the epoch at hand, a second one at
    once. With --targets, one run after the other searches each band with an equal share of the time, and the table
    shows the best network of each: accuracy against cost. Needs the 'search' extra, and 'cluster' for --storage.
    """
    from pathlib import Path

    from elastic_search.cli.extras import require
    from elastic_search.files import load_space
    from elastic_search.search.plan import bands

    started = time.monotonic()
    seconds = _seconds(hours, minutes, until)
    if seconds is None and trials is None:
        raise UsageError("a search needs a budget", "give --minutes, --hours, --until or --trials")
    plan = load_space(space)
    title = plan.name if name is None else name
    plans = bands(plan, title, Path(root), targets)
    for one in plans.values():
        one.matcher.some(one.band)
    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.trials.signals import StopSignal

    stop = StopSignal()
    with stop.listening():
        from elastic_search.report.progress import Progress
        from elastic_search.search.evaluator import PROXY_EVALUATOR, Named
        from elastic_search.search.run import Run, sweep
        from elastic_search.search.shared import SharedStudy, checked_url
        from elastic_search.search.store.folder import RunFolder
        from elastic_search.search.trials.loop import Settings
        from elastic_search.train.device import choose_device, describe, torch_version

        address = storage and checked_url(storage)
        chosen = choose_device(device)
        about = {"device": describe(chosen), "torch": torch_version()}
        # Two processes with a thread for every core slow one another down many times over.
        threads = max(1, (os.cpu_count() or 1) // workers) if chosen.type == "cpu" else None
        settings = Settings(trials, seed, strategy, not no_halving, workers, threads, address)
        cautions = []
        if workers > 1 or storage is not None:
            cautions.append("several workers: the trials depend on which of them is quicker")
        elif chosen.type != "cpu":
            cautions.append("on a GPU, equal seeds give nearly equal accuracies only")
        runs = [
            Run(
                one,
                RunFolder(Path(root), of),
                settings,
                Named(PROXY_EVALUATOR, {"recipe": one.recipe, "device": device}),
                about,
                Progress(*cautions),
                stop,
            )
            for of, one in plans.items()
        ]
        total = seconds
        if seconds is not None and until is not None:
            # A time of day, whatever was used before.
            total = seconds + sum(run.folder.spent_seconds for run in runs)
        if dry_run:
            return _show_plans(runs, total, fmt)
        if address is not None:
            SharedStudy(address, runs[0].folder).close()  # a server that is away is told before anything else
        stop.notice = "stopping after this epoch; once more stops at once"
        sweep(runs, total, started)
        done = [run for run in runs if run.ended]
        _show(done, title if targets else "", fmt)
    if done[-1].ended == "time" and not any(run.folder.result(None) for run in runs):
        click.echo("nothing was trained to the end: the time was too short for the base network", err=True)
    if done[-1].ended == "signal" and stop.received is not None:
        click.echo("interrupted: the same command resumes", err=True)
        raise SystemExit(128 + stop.received)
    for run in runs:
        if run.folder.best_file.exists():
            click.echo(f"best network: elastic-search flops {_short(run.folder.best_file)}", err=True)


def _show_plans(runs: list[Run], seconds: float | None, fmt: str) -> None:
    """What fits into the budget of each band."""
    from elastic_search.report.emit import Report, emit
    from elastic_search.report.searches import plan_report
    from elastic_search.search.run import share

    plans = [plan_report(run, run.plan(share(runs, number, seconds))) for number, run in enumerate(runs)]
    if fmt == "json" and len(plans) > 1:
        return emit(Report(head={"bands": [plan.head for plan in plans]}), fmt)
    for plan in plans:
        emit(plan, fmt)


def _show(runs: list[Run], sweep: str, fmt: str) -> None:
    """A run's ranking, or of several bands the best networks."""
    from elastic_search.report.emit import emit
    from elastic_search.report.searches import search_report, sweep_report
    from elastic_search.search.store.ranking import curve

    if sweep:
        return emit(sweep_report(sweep, runs, curve([run.rows() for run in runs])), fmt)
    emit(search_report(runs[0], ENDINGS[runs[0].ended]), fmt)


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


def _short(path: Path) -> str:
    from pathlib import Path

    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
