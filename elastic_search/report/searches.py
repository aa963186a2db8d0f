"""What ``search`` and ``reproduce`` report: the plan, the result, and a repeated training."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from elastic_search.arch.zoo import to_dict
from elastic_search.report.accuracies import (
    LONG,
    accuracy_fields,
    accuracy_notes,
    accuracy_title,
    images_note,
    standard_error,
)
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.spaces import band_columns, band_head
from elastic_search.report.text import clock, edits_text

if TYPE_CHECKING:
    from elastic_search.files.space import SearchSpace
    from elastic_search.recipes import Split
    from elastic_search.search.plan import Forecast
    from elastic_search.search.run import Run
    from elastic_search.search.store.ranking import Row
    from elastic_search.search.store.result import Result

SPARE = ("proxy_macs", "seconds", "epochs", "seeds", "params", "trial", "difference")
"""Columns that a narrow terminal can do without, the first ones first."""

SHORT = "the time left is too short even for the base network"
STAR = "*"
OFF = f"base{STAR}: not in the band"
FRONT = "front: no other row is at least as good in both cost and accuracy and better in one"


def search_report(run: Run, why: str) -> Report:
    """The base network, then all finished trials, best first.

    Args:
        run: a run that ended.
        why: the reason why it ended, in words.
    """
    rows, space = run.rows(), run.space
    fields = [Field("place", "#"), Field("trial", "trial", "number"), *_network_fields(space)]
    fields += [Field("proxy_macs", "proxy macs", "count"), Field("epochs", "epochs", "number")]
    fields += accuracy_fields(space.images, space.training.metric)
    fields += [Field("seeds", "seeds", "number")] * any(row.result.seeds > 1 for row in rows)
    fields.append(Field("seconds", "s", "seconds"))
    shown = [_shown(row, space) for row in rows]
    notes = [
        proxy_text(space),
        *_base_notes(rows, space),
        *accuracy_notes(shown, space.images, space.training.metric),
        f"inside: {space.band}",
    ]
    notes += [TRAINED] * any(row.spec.trained_filters for row in rows)
    report = Report(f"Run {run.folder.name}: {why}", fields, shown, notes, lambda: _document(run), "search")
    return report.without(*SPARE)


def _network_fields(space: SearchSpace) -> list[Field]:
    fields = [Field("depths", "depths", "depths"), Field("splits", "splits", "long")]
    fields += [Field("count", space.band.convention.name, "count"), Field("difference", "change", "change")]
    return [*fields, Field("params", "params", "count")]


def _shown(row: Row, space: SearchSpace) -> Record:
    off = row.rank == "base" and row.result.cost not in space.band
    return {**row_dict(row, space), "place": f"{row.rank}{STAR * off}", **band_columns(space.band)}


def _base_notes(rows: list[Row], space: SearchSpace) -> list[str]:
    """What the rows of a base that is not in the band are."""
    ranks = [row.rank for row in rows]
    if "base" not in ranks or rows[ranks.index("base")].result.cost in space.band:
        return []
    if "scaled" not in ranks:
        return [OFF]
    again = rows[ranks.index("scaled")]
    reached = "" if again.result.cost in space.band else "; none near it is in the band"
    return [f"{OFF}; scaled: the base with other depths, plain blocks; change: from its cost{reached}"]


def _errors(row: Row, space: SearchSpace) -> tuple[float | None, float | None]:
    """Standard errors of the accuracy that ranks, and of the one that is shown."""
    images, own = space.images.images, row.result.standard_error
    if own is not None:
        # The images that are shown have the same classes in about the same shares, so the error goes by their number.
        shown = own * (images["rank"] / images["final"]) ** 0.5 if "final" in images else own
        return own, shown if row.result.test_accuracy is not None or "final" not in images else None

    def error(accuracy: float | None, split: Split) -> float | None:
        return None if accuracy is None else standard_error(accuracy, images[split])

    ranked = error(row.result.accuracy, "rank")
    return ranked, error(row.result.test_accuracy, "final") if "final" in images else ranked


def _by_class(result: Result, space: SearchSpace) -> dict[str, float | None] | None:
    """Accuracies by the name of the class; None where the record is older than they are."""
    names = space.images.classes
    if len(result.accuracy_by_class) != len(names):
        return None
    return dict(zip(names, result.accuracy_by_class, strict=True))


def row_dict(row: Row, space: SearchSpace) -> Record:
    """A row as plain values, with None where there is no value."""
    result, trained = row.result, row.result.accuracy is not None
    ranked = row.rank.isdecimal()
    ranked_error, shown_error = _errors(row, space)
    return {
        "rank": int(row.rank) if ranked else None,
        "state": "finished" if ranked else row.rank,
        "trial": None if row.rank in ("base", "scaled") else result.number,
        "in_band": result.cost in space.band,
        "depths": list(row.spec.depths),
        "splits": edits_text(row.spec, space.space.base),
        "count": result.cost,
        "difference": row.difference,
        "epochs": result.epochs,
        **{key: getattr(result, key) for key in ("id", "params", "proxy_macs", "proxy_params", "accuracy")},
        "test_accuracy": result.test_accuracy,
        "standard_error": shown_error,
        "ranked_error": ranked_error,
        "accuracy_by_size": result.accuracy_by_size if trained else None,
        "accuracy_by_class": _by_class(result, space) if trained else None,
        "curve": result.curve if trained else None,
        "seeds": result.seeds,
        "accuracies": result.accuracies or None,
        "seconds": result.seconds if trained else None,
        "reason": result.reason or None,
        "spec": to_dict(row.spec),
    }


def _document(run: Run) -> Record:
    head: Record = {"run": run.folder.name, "space": run.space.name, "base": run.space.base_name}
    head |= {"seed": run.settings.seed, "ended": run.ended}
    head |= {"band": {**band_head(run.space.band), "inside": run.inside}, "proxy": run.space.recipe}
    return {**head, "networks": [row_dict(row, run.space) for row in run.rows()]}


def sweep_report(name: str, runs: list[Run], best: list[Row]) -> Report:
    """Accuracy against cost: the base and the best network of each band, from ``search.store.ranking.curve``."""
    spaces = [run.space for run in runs]
    first, shown, networks = spaces[0], list[Record](), list[Record]()
    fields = [Field("target", f"band {first.band.convention.name}", "count"), Field("trial", "trial", "number")]
    fields += [*_network_fields(first), *accuracy_fields(first.images, first.training.metric), Field("on", "front")]
    for row in best:
        costs = [space.band for space in spaces] if row.band is None else [spaces[row.band].band]
        of_sweep = {
            "in_band": any(row.result.cost in band for band in costs),
            "target": None if row.band is None else spaces[row.band].band.target,
            "front": bool(row.front),
        }
        networks.append({**row_dict(row, first), **of_sweep})
        shown.append({**_shown(row, first), **of_sweep, "on": "yes" if row.front else "no"})
    tolerance = f"bands: {float(100 * first.band.tolerance):g}% around each cost; the row without a band is the base"
    head = {"sweep": name, "networks": networks, "bands": [_document(run) for run in runs]}
    title = f"Sweep {name}: the best of {len(runs)} bands"
    notes = [proxy_text(first), images_note(first.images, first.training.metric), FRONT, tolerance]
    if any(row.rank == "scaled" for row in best):
        notes.append("without a trial: the base scaled to a band that it is not in; plain blocks, other depths")
    return Report(title, fields, shown, notes, head, "search --targets").without(*SPARE)


GPU_TOLERANCE = 0.03
"""Most by which a training on a GPU may end with another accuracy than it is recorded with, and count as reproduced."""


def curves_report(
    name: str, trial: str, recorded: list[float], again: list[float], differing: list[str], tolerance: float = 0.0
) -> Report:
    """What ``reproduce`` reports: the accuracy after every epoch, as recorded and when repeated.

    Args:
        name: name of the run.
        trial: number of the trial, or "base".
        recorded: the recorded curve.
        again: the curve of the repeated training.
        differing: versions that have changed since.
        tolerance: see ``reproduced``.
    """
    pairs, same = zip(recorded, again, strict=True), recorded == again
    rows = [
        {"epoch": i, "accuracy_recorded": a, "accuracy_again": b, "equal": a == b} for i, (a, b) in enumerate(pairs, 1)
    ]
    fields = [Field("epoch", "epoch", "number"), Field("accuracy_recorded", "recorded", "percent")]
    fields += [Field("accuracy_again", "again", "percent"), Field("equal", "equal", "check")]
    number = None if trial in ("base", "scaled") else int(trial)
    head = {"run": name, "trial": number, "equal": same, "recorded": recorded, "again": again, "differing": differing}
    within = f"reproduced within {100 * tolerance:g} points" if reproduced(recorded, again, tolerance) else "differs"
    title = f"Trial {trial} of run {name}: {'reproduced' if same else within}"
    notes = []
    if tolerance:
        apart = f"{100 * tolerance:g} points apart"
        notes = [f"on a GPU the order of sums varies: accuracies after the last epoch may be {apart}"]
    return Report(title, fields, rows, head=head, notes=notes, form="reproduce")


def reproduced(recorded: list[float], again: list[float], tolerance: float) -> bool:
    """Whether two curves count as of the same training: equal, or with last accuracies that are nearly so.

    Args:
        recorded: accuracy after every epoch.
        again: the same, when repeated.
        tolerance: between the last accuracies; 0 asks for equal curves.
    """
    return recorded == again or (tolerance > 0 and abs(recorded[-1] - again[-1]) <= tolerance)


def plan_report(run: Run, fits: Forecast) -> Report:
    """The plan of a search: rows of name and text."""
    pace, rungs = run.pace, ", ".join(map(str, run.halving.rungs))
    low, base, high = (f"{seconds:.3g}" for seconds in (pace.cheapest, pace.base, pace.dearest))
    trials = f"{fits.trials:,} trial{'' if fits.trials == 1 else 's'}"
    images, workers = run.space.images.images, run.settings.workers
    steps = max(1, images["train"] // run.space.training.batch)
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
    band = run.space.band
    about: Record = {"strategy": run.settings.strategy, "inside": run.inside, "size": run.space.matcher.size}
    planned: Record = {"rungs": run.halving.rungs, **vars(fits), "spent_seconds": run.folder.spent_seconds}
    planned["end"] = end.isoformat(timespec="seconds")
    seconds = {f"seconds_{key}": value for key, value in vars(pace).items()}
    record = {**about, **band_columns(band), **seconds, **planned}
    head = {**about, "band": band_head(band), "seconds_an_epoch": vars(pace), **planned}
    rows = [{"name": name, "text": text} for name, text in lines.items()]
    fields = [Field("name", "plan"), Field("text", "what fits", "long")]
    notes = [SHORT] if fits.short else []
    return Report(run.title, fields, rows, notes, head, "search --dry-run", [record])


def plans_report(plans: list[Report]) -> Report:
    """The plans of several bands as one report."""
    first, *others = plans
    head = {"bands": [plan.head for plan in plans]}
    records = [record for plan in plans for record in plan.records]
    return first._replace(head=head, form="search --targets --dry-run", records=records, below=others)


def proxy_text(plan: SearchSpace) -> str:
    """The meaning of a search's accuracies, in one line."""
    about, training = plan.images, plan.training
    metric = training.metric
    images = about.images
    what, shown = accuracy_title(about, "rank", metric), images["rank"]
    if "final" in images:
        what += f", which ranks, and {accuracy_title(about, 'final', metric)}: {LONG[metric]} on {images['rank']:,} and"
        shown = images["final"]
    else:
        what += f": {LONG[metric]} on"
    where = about.name
    if about.sealed:
        parts = " and ".join(about.splits[split] for split in ("rank", "final") if split in images)
        where = f"images of {about.name} ({parts})"
    return (
        f"{what} {shown:,} {where} of {plan.proxy.input} px after "
        f"{training.epochs} epochs at {plan.proxy.width} of the width (whole paths kept); a proxy, not "
        f"{'a full training' if about.sealed else 'an ImageNet result'}"
    )
