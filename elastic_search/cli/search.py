"""``elastic-search search``: train proxies of networks inside a band and rank them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from elastic_search import __version__
from elastic_search.cli.options import format_options
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

ENDINGS = {
    "trials": "all trials are done",
    "time": "its time is used",
    "exhausted": "every network of the band has been tried",
    "signal": "interrupted",
}


@click.command()
@click.argument("space")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Time to use, over all starts of the run.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="The same in minutes.")
@click.option("--trials", type=click.IntRange(1), help="Networks to try.")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option("--name", help="Of the run; by default the space's.")
@click.option("--dir", "root", default="runs", show_default=True, help="Of all runs.")
@click.option("--device", type=click.Choice(["auto", "cuda", "mps", "cpu"]), default="auto", show_default=True)
@format_options
def search(
    space: str,
    hours: float | None,
    minutes: float | None,
    trials: int | None,
    seed: int,
    name: str | None,
    root: str,
    device: str,
    fmt: str,
) -> None:
    """Search a space for the Elastic network whose short-trained proxy is best, at the base's cost.

    SPACE is a shipped space (resnext50, dla_x60, densenet201, demo) or a space file (.toml). Every proposal lies
    inside the file's band, checked on the full network at its target input. The same command again resumes an
    interrupted run; a finished run is shown, not overwritten. Ctrl-C or SIGTERM ends after the epoch at hand, a
    second one at once. Needs the 'search' extra.
    """
    from pathlib import Path

    from elastic_search.cli.extras import require
    from elastic_search.files import load_space
    from elastic_search.report.table import show, show_json
    from elastic_search.space.match import Matcher

    if hours is not None and minutes is not None:
        raise UsageError("give --hours or --minutes, not both")
    if not all(math.isfinite(time) and time <= 100_000 for time in (hours or 0.0, minutes or 0.0)):
        raise UsageError("--hours and --minutes are at most 100000")
    seconds = hours * 3600 if hours is not None else minutes * 60 if minutes is not None else None
    if seconds is None and trials is None:
        raise UsageError("a search needs a budget", "give --minutes, --hours or --trials")
    plan = load_space(space)
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    inside = matcher.count(plan.band.low, plan.band.high)
    if not inside:
        raise matcher.nothing_fits(plan.band)
    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.loop import Budget, Search, StopSignal

    stop = StopSignal()
    with stop.listening():
        from elastic_search.report.progress import Progress
        from elastic_search.report.searches import search_json, search_table
        from elastic_search.search.folder import RunFolder
        from elastic_search.search.ranking import best_accuracies, ranking
        from elastic_search.train.device import choose_device, describe, torch_version
        from elastic_search.train.proxy import ProxyTrainer

        folder = RunFolder(Path(root), plan.name if name is None else name)
        chosen = choose_device(device)
        click.echo(f"{inside:,} of {matcher.size:,} networks of {plan.name} are inside: {plan.band}", err=True)
        with folder.locked():
            description = {"space": plan.name, "text": plan.text, "seed": seed}
            new = folder.begin(description, device=describe(chosen), torch=torch_version(), version=__version__)
            click.echo(f"{'new run' if new else 'resuming'} {folder.path} on {describe(chosen)}", err=True)
            trainer = ProxyTrainer(plan.recipe, chosen)
            progress = Progress(describe(chosen), trials, lambda: run.expected_seconds())
            run = Search(plan, matcher, folder, trainer, seed, Budget(trials, seconds), progress, stop)
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


def _short(path: Path) -> str:
    from pathlib import Path

    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
