"""``elastic-search search``: train proxies of networks inside a band and rank them."""

from __future__ import annotations

import math
import os
import re
import signal
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from elastic_search.cli.images import WORKERS, images_options, with_images
from elastic_search.cli.options import (
    AMOUNTS,
    device_option,
    dir_option,
    format_options,
    option,
    require,
    runs_complete,
    seed_option,
    spaces_complete,
)
from elastic_search.errors import UnfinishedError, UsageError
from elastic_search.search.propose import STRATEGIES

if TYPE_CHECKING:
    from fractions import Fraction

    from elastic_search.search.run import Run
    from elastic_search.search.store.folder import RunFolder

ENDINGS = {
    "trials": "all trials are done",
    "time": "the time limit is reached",
    "exhausted": "every network in the band has been tried, the best ones with more seeds",
    "signal": "interrupted",
}


@click.command()
@click.argument("space", required=False, shell_complete=spaces_complete)
@click.option("--resume", metavar="NAME", shell_complete=runs_complete, help="Continue the run NAME with the space, "
              "seed and strategy stored in it, in place of SPACE.")  # fmt: skip
@click.option(
    "--hours", type=click.FloatRange(0, min_open=True), help="Time limit in hours, over all starts of the run."
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Time limit in minutes.")
@click.option("--until", metavar="HH:MM", help="Stop at the next HH:MM (local time).")
@click.option("--trials", type=click.IntRange(1), help="Number of networks to try (in each band, with --targets).")
@click.option("--targets", type=AMOUNTS, help="Search a band around each of these costs, such as 2G,3G,4.26G.")
@option("--strategy", type=click.Choice(STRATEGIES), default=STRATEGIES[0], help="How the next network is chosen.")
@click.option("--no-halving", is_flag=True, help="Train every proxy to its last epoch.")
@click.option("--dry-run", is_flag=True, help="Print the plan and exit.")
@images_options
@seed_option
@click.option("--name", help="Name of the run; by default the name of the space.")
@dir_option
@device_option()
@option(
    "--workers",
    type=WORKERS,
    default=1,
    help="Training processes; each uses its own GPU if possible. auto: one for each GPU, or for each core.",
)
@click.option("--trainers-per-gpu", type=click.IntRange(1, 16), metavar="N", help="Training processes on each GPU, "
              "where one does not fill it; --workers auto counts them.")  # fmt: skip
@option("--graph", type=click.Choice(("auto", "off")), default="auto", help="Whether training steps on CUDA are "
        "recorded as a CUDA graph: wherever that is possible, or never.")  # fmt: skip
@option("--keep", type=click.IntRange(0, 1000), default=5, help="Number of trials, the best ones, whose trained "
        "proxies are kept, with those of the base.")  # fmt: skip
@click.option("--storage", metavar="URL", help="PostgreSQL database of a study shared by several machines; run the "
              "same command on each.")  # fmt: skip
@format_options
def search(
    space: str | None,
    resume: str | None,
    hours: float | None,
    minutes: float | None,
    until: str | None,
    trials: int | None,
    targets: tuple[int, ...] | None,
    strategy: str,
    no_halving: bool,
    dry_run: bool,
    data: str | None,
    subset: Fraction | None,
    rank_on: str | None,
    cache: str | None,
    seed: int,
    name: str | None,
    root: str,
    device: str,
    workers: int | Literal["auto"],
    trainers_per_gpu: int | None,
    graph: str,
    keep: int,
    storage: str | None,
    fmt: str,
) -> None:
    """Search a space for the Elastic network with the best short-trained proxy at the cost of the base.

    SPACE is a shipped space (resnext50, resnext50_cpu, resnext50_blocks, dla_x60, densenet201, demo) or a space
    file (.toml). Every proposed network lies in the band of the file, checked on the full network at its target
    input size. The search first measures how long an epoch takes and prints how many trials fit into the budget.
    Run the same command again to resume an interrupted run, or give its folder, runs/NAME, as SPACE; a finished run
    is shown, not overwritten. Ctrl-C or SIGTERM stops after the current epoch, a second one at once. With
    --targets, one band is searched after another, each with an equal share of the time, and the table shows the
    best network of each band. Needs the 'search' extra, and 'cluster' for --storage.
    """
    from dataclasses import replace
    from pathlib import Path

    from elastic_search.cli.space import watched
    from elastic_search.files import load_space
    from elastic_search.search.plan import bands
    from elastic_search.space.work import MAX_ROWS_BESIDE_TRAINING

    started = time.monotonic()
    seconds = _seconds(hours, minutes, until)
    stored = _stored(space, resume, root)
    if stored is None:
        plan, job = with_images(watched(load_space(space or "")), data, subset, rank_on, cache)
        title = plan.name if name is None else name
        plans = bands(plan, title, Path(root), targets)
    else:
        if name is not None or targets:
            raise UsageError("a stored run has its name and its target", "leave out --name and --targets")
        about, plan, title, root = stored.description(), stored.plan(), stored.name, str(stored.path.parent)
        plan, job = with_images(plan, data, subset, rank_on, cache)
        plans = {title: watched(plan)}
        seed, strategy, halving = _as_stored(about, seed=seed, strategy=strategy, halving=not no_halving)
        no_halving = not halving
    if seconds is None and trials is None:
        raise UsageError("no budget for the search", "give --minutes, --hours, --until or --trials")
    plans = {of: replace(one, most_rows=MAX_ROWS_BESIDE_TRAINING) for of, one in plans.items()}
    for one in plans.values():
        one.matcher.some(one.band)
    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.trials.signals import StopSignal

    stop = StopSignal()
    with stop.listening():
        from elastic_search.report.emit import emit
        from elastic_search.report.progress import Progress
        from elastic_search.report.searches import search_report, sweep_report
        from elastic_search.search.evaluator import PROXY_EVALUATOR, Named
        from elastic_search.search.run import Run, sweep
        from elastic_search.search.shared import SharedStudy, checked_url
        from elastic_search.search.store.folder import RunFolder
        from elastic_search.search.store.ranking import curve
        from elastic_search.search.trials.loop import Settings
        from elastic_search.train.device import choose_device, describe, one_thread, torch_version, usable_cores
        from elastic_search.train.trainers import MOST, sharing, trainers

        address = storage and checked_url(storage)
        chosen = choose_device(device)
        with one_thread(chosen):
            about = {"device": describe(chosen), "torch": torch_version()}
        threads = 1 if chosen.type == "cpu" else None
        source = click.get_current_context().get_parameter_source("workers")
        if trainers_per_gpu is not None and source is ParameterSource.DEFAULT:
            workers = "auto"
        number = trainers(workers, trainers_per_gpu, chosen)
        settings = Settings(trials, seed, strategy, not no_halving, number, threads, address, keep=keep)
        cautions = []
        if chosen.type == "cpu" and number < (cores := usable_cores()):
            cautions.append(f"{number} of {cores} cores used, one thread each; --workers {min(cores, MOST)} uses more")
        if number > 1 or storage is not None:
            cautions.append("with several workers, the order in which they finish changes which networks are tried")
        elif chosen.type != "cpu":
            cautions.append("on a GPU, equal seeds give only nearly equal accuracies")
        runs = []
        for of, one in plans.items():
            told = {"device": device, "graph": graph, "trainers": sharing(number, chosen)}
            evaluator = Named(PROXY_EVALUATOR, {"recipe": one.recipe, **told, **job})
            runs.append(Run(one, RunFolder(Path(root), of), settings, evaluator, about, Progress(*cautions), stop))
        total = seconds
        if seconds is not None and until is not None:
            # --until is a time of day, however much time earlier starts used.
            total = seconds + sum(run.folder.spent_seconds for run in runs)
        if dry_run:
            return _show_plans(runs, total, fmt)
        if address is not None:
            SharedStudy(address, runs[0].folder).close()  # an unreachable server is reported before anything else
        stop.notice = "stopping after this epoch; press Ctrl-C again to stop at once"
        try:
            sweep(runs, total, started)
        except KeyboardInterrupt:
            click.echo("interrupted at once, in the middle of an epoch; run the same command to resume", err=True)
            raise SystemExit(128 + (stop.received or signal.SIGINT)) from None
        done = [run for run in runs if run.ended]
        if targets:
            emit(sweep_report(title, done, curve([run.rows() for run in done])), fmt)
        else:
            emit(search_report(done[0], ENDINGS[done[0].ended]), fmt)
    if done[-1].ended == "signal" and stop.received is not None:
        click.echo("interrupted; run the same command to resume", err=True)
        raise SystemExit(128 + stop.received)
    found = [run.folder.best_file for run in runs if run.folder.best_file.exists()]
    for best in found:
        click.echo(f"best network: elastic-search flops {os.path.relpath(best)}", err=True)
    if done[-1].ended == "time" and not found:
        raise _unfinished(done[-1])


def _stored(space: str | None, resume: str | None, root: str) -> RunFolder | None:
    """The run to continue from what is stored with it; None if a space is given.

    Raises:
        UsageError: if neither is given, or both.
    """
    from pathlib import Path

    if space is not None and resume is not None:
        raise UsageError("SPACE and --resume exclude one another", "a run continues with the space stored in it")
    if space is None and resume is None:
        raise UsageError("no space to search", "name a shipped one (resnext50, …), give a space file, or --resume NAME")
    path = Path(root) / resume if resume is not None else Path(space or "").resolve()
    if resume is None and ("/" not in str(space) or not path.is_dir()):
        return None
    require("filelock")
    from elastic_search.search.store.folder import RunFolder

    return RunFolder(path.parent, path.name)


def _as_stored(about: dict[str, Any], **settings: Any) -> list[Any]:
    """Settings with which a run continues: those given on the command line, otherwise those it was started with."""
    context = click.get_current_context()
    options = {"halving": "no_halving"}
    given = {key for key in settings
             if context.get_parameter_source(options.get(key, key)) is not ParameterSource.DEFAULT}  # fmt: skip
    return [value if key in given else about.get(key, value) for key, value in settings.items()]


def _unfinished(run: Run) -> UnfinishedError:
    """What was trained when the time ended before any Elastic network was, and what to give to go on."""
    from math import ceil

    from elastic_search.search.store.result import SCALED

    base = run.folder.result(None)
    so_far = "the base network was trained" if base else "not even the base network was trained to the end"
    scaled = run.space.scaled_base is not None and run.folder.result(SCALED) is None
    spent, pace = run.folder.spent_seconds, run.__dict__.get("pace")
    text = f"the time ended before any Elastic network was trained: {so_far}; what there is of others is kept"
    if pace is None:
        return UnfinishedError(text, "run it again with more time: the speed could not be measured in this one")
    needed = spent + run.halving.epochs * ((1 + scaled) * pace.typical + (0 if base else pace.base))
    return UnfinishedError(
        text, f"run it again with --minutes {ceil(1.25 * needed / 60)}, which goes on where this start ended"
    )


def _show_plans(runs: list[Run], seconds: float | None, fmt: str) -> None:
    """Show what fits into the budget of each band."""
    from elastic_search.report.emit import emit
    from elastic_search.report.searches import plan_report, plans_report
    from elastic_search.search.run import share

    plans = [plan_report(run, run.plan(share(runs, number, seconds))) for number, run in enumerate(runs)]
    emit(plans_report(plans) if len(plans) > 1 else plans[0], fmt)


def _seconds(hours: float | None, minutes: float | None, until: str | None) -> float | None:
    """The time limit in seconds."""
    if sum(given is not None for given in (hours, minutes, until)) > 1:
        raise UsageError("--hours, --minutes and --until exclude one another", "give one")
    if not all(math.isfinite(limit) and limit <= 100_000 for limit in (hours or 0.0, minutes or 0.0)):
        raise UsageError("--hours and --minutes must be at most 100000")
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
        raise UsageError(f"--until {text!r} is not a time of day", "write it as 07:30")
    # Local wall time first, then back to a moment: a night in which the clocks change keeps its length.
    wall = now.replace(tzinfo=None)
    end = wall.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
    if end <= wall:
        end += timedelta(days=1)
    return end.astimezone().timestamp() - now.timestamp()
