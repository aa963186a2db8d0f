"""``elastic-search reproduce``: a recorded training once more, compared epoch by epoch."""

from __future__ import annotations

import click

from elastic_search import __version__
from elastic_search.cli.options import device_option, format_options
from elastic_search.errors import UsageError


@click.command()
@click.argument("name")
@click.argument("trial")
@click.option("--dir", "root", default="runs", show_default=True, help="Of all runs.")
@device_option()
@format_options
def reproduce(name: str, trial: str, root: str, device: str, fmt: str) -> None:
    """Train a trial of the run NAME again: the same configuration, seed and epochs.

    TRIAL is its number, or "base". The accuracy after every epoch is compared with the record, and differing
    versions are named. Exit 1 if a curve differs on a CPU; on a GPU sums are taken in varying order, and a small
    difference is only shown. Nothing of the run is changed. Needs the 'search' extra.
    """
    from pathlib import Path

    from elastic_search.cli.extras import require
    from elastic_search.report.emit import emit
    from elastic_search.report.searches import curves_report

    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.evaluator import PROXY_EVALUATOR, Epoch, Monitor, Named, Verdict
    from elastic_search.search.store.folder import RunFolder
    from elastic_search.search.store.ranking import network_of
    from elastic_search.train.device import choose_device, describe, torch_version

    folder = RunFolder(Path(root), name)
    about, plan = folder.description(), folder.plan()
    if trial != "base" and not (trial.isascii() and trial.isdecimal() and len(trial) < 10):
        raise UsageError(f"TRIAL {trial!r} is neither a number nor 'base'")
    record = folder.result(None if trial == "base" else int(trial))
    if record is None or record.accuracy is None:
        why = f"failed: {record.reason}" if record else "is not recorded"
        raise UsageError(
            f"trial {trial} {why}", f"recorded: base, {', '.join(map(str, folder.trials())) or 'no trial'}"
        )
    spec = network_of(plan, record)
    chosen, expected = choose_device(device), list(record.curve)
    now = {"device": describe(chosen), "torch": torch_version(), "version": __version__}
    before = about.get("first_start", {})
    differing = [f"{key}: {before[key]} then, {now[key]} now" for key in now if before.get(key, now[key]) != now[key]]
    for line in differing:
        click.echo(line, err=True)

    class AsFar(Monitor):
        """Ends the training where the recorded one ended."""

        def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
            return Verdict.PRUNE if result.number >= len(expected) else Verdict.GO_ON

    evaluate = Named(PROXY_EVALUATOR, {"recipe": plan.recipe, "device": device}).make()
    score = evaluate(spec, about["seed"] if record.seed is None else record.seed, AsFar())
    same = score.curve == expected
    emit(curves_report(name, trial, expected, score.curve, differing), fmt)
    if not same and chosen.type == "cpu":
        raise SystemExit(1)
