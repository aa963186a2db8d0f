"""``elastic-search reproduce``: a recorded training repeated and compared epoch by epoch."""

from __future__ import annotations

import click

from elastic_search import __version__
from elastic_search.cli.images import with_images
from elastic_search.cli.options import device_option, dir_option, format_options, require, runs_complete
from elastic_search.errors import UsageError


@click.command()
@click.argument("name", shell_complete=runs_complete)
@click.argument("trial")
@dir_option
@device_option()
@click.option("--cache", metavar="DIR", help="Folder of decoded images, where the search was given one.")
@format_options
def reproduce(name: str, trial: str, root: str, device: str, cache: str | None, fmt: str) -> None:
    """Repeat the training of a trial of the run NAME, with the same configuration, seed and epochs.

    TRIAL is the number of the trial, "base", or "scaled" for the base scaled to the band. The accuracy after every
    epoch is compared with the record, and versions that have changed since are listed. Exits with 1 if the curves
    differ; on a GPU, where the order of sums varies, if the accuracies after the last epoch are over 3 points apart.
    The run itself is not changed. Needs the 'search' extra.
    """
    from pathlib import Path

    from elastic_search.report.emit import emit
    from elastic_search.report.searches import GPU_TOLERANCE, curves_report, reproduced

    require("torch", "optuna", "sqlalchemy", "filelock")
    from elastic_search.search.evaluator import PROXY_EVALUATOR, Epoch, Monitor, Named, Verdict
    from elastic_search.search.store.folder import RunFolder
    from elastic_search.search.store.ranking import network_of
    from elastic_search.search.store.result import OF_BASE
    from elastic_search.train.device import choose_device, describe, one_thread, torch_version

    folder = RunFolder(Path(root), name)
    about = folder.description()
    plan, job = with_images(folder.plan(), cache=cache)
    bases = {name: number for number, name in OF_BASE.items()}
    if trial not in bases and not (trial.isascii() and trial.isdecimal() and len(trial) < 10):
        raise UsageError(f"{trial!r} is not a trial", "give a number, base or scaled")
    record = folder.result(bases[trial] if trial in bases else int(trial))
    if record is None or record.accuracy is None:
        why = f"failed: {record.reason}" if record else "is not recorded"
        known = ", ".join(map(str, folder.trials())) or "no trial"
        raise UsageError(f"trial {trial} {why}", f"recorded: base, {known}")
    spec = network_of(plan, record)
    chosen, expected = choose_device(device), list(record.curve)
    with one_thread(chosen):
        now = {"device": describe(chosen), "torch": torch_version(), "version": __version__}
    before = about.get("first_start", {})
    differing = [f"{key}: {before[key]} then, {now[key]} now" for key in now if before.get(key, now[key]) != now[key]]
    for line in differing:
        click.echo(line, err=True)

    class AsFar(Monitor):
        """Stops the training where the recorded one stopped."""

        def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
            return Verdict.PRUNE if result.number >= len(expected) else Verdict.GO_ON

    evaluate = Named(PROXY_EVALUATOR, {"recipe": plan.recipe, "device": device, **folder.chosen(), **job}).make()
    score = evaluate(spec, about["seed"] if record.seed is None else record.seed, AsFar())
    tolerance = 0.0 if chosen.type == "cpu" else GPU_TOLERANCE
    emit(curves_report(name, trial, expected, score.curve, differing, tolerance), fmt)
    if not reproduced(expected, score.curve, tolerance):
        raise SystemExit(1)
