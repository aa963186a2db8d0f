"""What ``search`` and ``reproduce`` report: the plan, the result, and a repeated training."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from elastic_search.arch.zoo import to_dict
from elastic_search.report.accuracies import accuracy_fields, accuracy_notes, images_note, standard_error
from elastic_search.report.emit import SCHEMA, Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.spaces import band_head
from elastic_search.report.text import clock, edits_text

if TYPE_CHECKING:
    from elastic_search.files.space import SearchSpace
    from elastic_search.search.plan import Forecast
    from elastic_search.search.run import Run
    from elastic_search.search.store.ranking import Row

SHORT = "the time left is too short even for the base network"
FRONT = "front: no other row is at least as good in both cost and accuracy and better in one"


def search_report(run: Run, why: str) -> Report:
    """The base network, then all finished trials, best first.

    Args:
        run: a run that ended.
        why: the reason why it ended, in words.
    """
    rows, space = run.rows(), run.space
    fields = [Field("rank", "#"), Field("trial", "trial", "number"), *_network_fields(space)]
    fields += [Field("proxy_macs", "proxy macs", "count"), Field("epochs", "epochs", "number")]
    fields += accuracy_fields(space.training)
    fields += [Field("seeds", "seeds", "number")] * any(row.result.seeds > 1 for row in rows)
    fields.append(Field("seconds", "s", "seconds"))
    shown = [_shown(row, space) for row in rows]
    notes = [proxy_text(space), *accuracy_notes(shown, space.training), f"inside: {space.band}"]
    notes += [TRAINED] * any(row.spec.trained_filters for row in rows)
    return Report(f"Run {run.folder.name}: {why}", fields, shown, notes, lambda: _document(run))


def _network_fields(space: SearchSpace) -> list[Field]:
    fields = [Field("depths", "depths", "depths"), Field("splits", "splits", "long")]
    fields += [Field("cost", space.band.convention.name, "count"), Field("difference", "change", "change")]
    return [*fields, Field("params", "params", "count")]


def _shown(row: Row, space: SearchSpace) -> Record:
    known = {"depths": row.spec.depths, "splits": edits_text(row.spec, space.space.base)}
    return {**row_dict(row), **known, "standard_error": _error(row, space)}


def _error(row: Row, space: SearchSpace) -> float | None:
    """Standard error of the accuracy that is shown."""
    shown = row.result.test_accuracy if space.training.val_images else row.result.accuracy
    return None if shown is None else standard_error(shown, space.training.test_images)


def row_dict(row: Row) -> Record:
    """A row as plain values, with None where there is no value."""
    result, trained = row.result, row.result.accuracy is not None
    said = {
        "rank": row.rank,
        "trial": result.number,
        "spec": to_dict(row.spec),
        "difference": row.difference,
        "epochs": result.epochs,
        **{key: getattr(result, key) for key in ("id", "cost", "params", "proxy_macs", "proxy_params", "accuracy")},
        "accuracy_by_size": result.accuracy_by_size if trained else None,
        "curve": result.curve if trained else None,
        "seeds": result.seeds,
        "accuracies": result.accuracies or None,
        "seconds": result.seconds if trained else None,
        "reason": result.reason or None,
    }
    where_known = {"test_accuracy": result.test_accuracy, "band": row.band, "front": row.front}
    return said | {key: value for key, value in where_known.items() if value is not None}


def _document(run: Run) -> Record:
    head: Record = {"run": run.folder.name, "space": run.space.name, "base": run.space.base_name}
    head |= {"seed": run.settings.seed, "ended": run.ended}
    head |= {"band": {**band_head(run.space.band), "networks": run.inside}, "proxy": run.space.recipe}
    tested = run.space.training.val_images > 0
    errors = [{"standard_error": _error(row, run.space)} if tested else {} for row in run.rows()]
    return {**head, "networks": [row_dict(row) | error for row, error in zip(run.rows(), errors, strict=True)]}


def sweep_report(name: str, runs: list[Run], best: list[Row]) -> Report:
    """Accuracy against cost: the base and the best network of each band, from ``search.store.ranking.curve``."""
    spaces = [run.space for run in runs]
    first, shown = spaces[0], list[Record]()
    fields = [Field("target", f"band {first.band.convention.name}", "count"), Field("trial", "trial", "number")]
    fields += [*_network_fields(first), *accuracy_fields(first.training), Field("front", "front")]
    for row in best:
        target = None if row.band is None else spaces[row.band].band.target
        shown.append({**_shown(row, first), "target": target, "front": "yes" if row.front else "no"})
    tolerance = f"bands: {float(100 * first.band.tolerance):g}% around each cost; the row without a band is the base"
    head = {"sweep": name, "networks": [row_dict(row) for row in best]}
    head["bands"] = [{"schema": SCHEMA, **_document(run)} for run in runs]
    title = f"Sweep {name}: the best of {len(runs)} bands"
    return Report(title, fields, shown, [proxy_text(first), images_note(first.training), FRONT, tolerance], head)


def curves_report(name: str, trial: str, recorded: list[float], again: list[float], differing: list[str]) -> Report:
    """What ``reproduce`` reports: the accuracy after every epoch, as recorded and when repeated.

    Args:
        name: name of the run.
        trial: number of the trial, or "base".
        recorded: the recorded curve.
        again: the curve of the repeated training.
        differing: versions that have changed since.
    """
    pairs, same = zip(recorded, again, strict=True), recorded == again
    rows = [{"epoch": i, "recorded": a, "again": b, "equal": a == b} for i, (a, b) in enumerate(pairs, 1)]
    fields = [Field("epoch", "epoch", "number"), Field("recorded", "recorded", "percent")]
    fields += [Field("again", "again", "percent"), Field("equal", "equal", "check")]
    head = {"run": name, "trial": trial, "equal": same, "recorded": recorded, "again": again, "differing": differing}
    title = f"Trial {trial} of run {name}: {'reproduced' if same else 'differs'}"
    return Report(title, fields, rows, head=head)


def plan_report(run: Run, fits: Forecast) -> Report:
    """The plan of a search: rows of name and text."""
    pace, rungs = run.pace, ", ".join(map(str, run.halving.rungs))
    low, base, high = (f"{seconds:.3g}" for seconds in (pace.cheapest, pace.base, pace.dearest))
    trials = f"{fits.trials:,} trial{'' if fits.trials == 1 else 's'}"
    training, workers = run.space.training, run.settings.workers
    steps = max(1, training.train_images // training.batch)
    speed = f"{steps / pace.typical:.3g} steps/s" + (f" in each of {workers} workers" if workers > 1 else "")
    end = datetime.now().astimezone() + timedelta(seconds=fits.seconds)
    lines = {
        "inside": f"{run.inside:,} of {run.space.matcher.size:,} networks: {run.space.band}",
        "an epoch": f"{low} to {high} s in the band, {base} s for the base; {speed}",
        "rungs": f"{rungs} epochs; {run.settings.strategy}",
        "fits": f"{trials}, about {fits.full:,} of them to the last epoch; {fits.epochs:,} epochs",
        "time": f"{clock(fits.budget_seconds, ' left')}, {clock(run.folder.spent_seconds)} already used",
        "ends": f"in about {clock(fits.seconds)}, at {end:%Y-%m-%d %H:%M} local time",
    }
    head: Record = {"strategy": run.settings.strategy, "inside": run.inside, "networks": run.space.matcher.size}
    head |= {
        "band": band_head(run.space.band),
        "seconds_an_epoch": vars(pace),
        "rungs": run.halving.rungs,
        **vars(fits),
    }
    head |= {"spent_seconds": run.folder.spent_seconds, "end": end.isoformat(timespec="seconds")}
    rows = [{"name": name, "text": text} for name, text in lines.items()]
    fields = [Field("name", "plan"), Field("text", "what fits")]
    return Report(run.title, fields, rows, [SHORT] if fits.short else [], head)


def proxy_text(plan: SearchSpace) -> str:
    """The meaning of a search's accuracies, in one line."""
    training = plan.training
    what = "proxy acc: top-1 on"
    if training.val_images:
        what = f"val acc, which ranks, and test acc: top-1 on {training.val_images:,} and"
    return (
        f"{what} {training.test_images:,} Fashion-MNIST scenes of {plan.proxy.input} px after "
        f"{training.epochs} epochs at {plan.proxy.width} of the width (whole paths kept); a proxy, not an "
        "ImageNet result"
    )
