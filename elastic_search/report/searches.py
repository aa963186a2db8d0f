"""The result of a search: its table and JSON."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import to_dict
from elastic_search.files import SearchSpace
from elastic_search.report.matches import TRAINED
from elastic_search.report.table import Column, Table
from elastic_search.space.band import Band

if TYPE_CHECKING:
    from elastic_search.search.plan import Forecast
    from elastic_search.search.run import Run
    from elastic_search.search.store.ranking import Row

SCHEMA = 1
SHORT = "the time left is too short for the base network alone"
FRONT = "front: no other row costs less and is as accurate, or costs as much and is more accurate"


def split_text(spec: Spec) -> str:
    """Splits per stage in short form, stages that cannot be elastic left out: ``1/2,1/2 | 1 | 3/4,1/4``."""
    texts = []
    for i, stage in enumerate(spec.stages[:-1]):
        splits = dict.fromkeys(split.short for j, split in enumerate(stage.splits) if spec.may_scale(i, j))
        texts.append(" ".join(splits) or "-")
    return texts[0] if len(set(texts)) == 1 else " | ".join(texts)


def edits_text(spec: Spec, base: Spec) -> str:
    """What an edit of ``base`` changes beside depths: splits by stage, their types, widths, cardinality."""
    types = {f"{s.down}+{s.up}" for stage in spec.stages for s in stage.splits if s.scales_down}
    parts = [split_text(spec), *sorted(types if types != {"avgpool+bilinear"} else ())]
    widths = [[stage.width for stage in of.stages] for of in (spec, base)]
    if widths[0] != widths[1]:
        parts.append(f"widths {'-'.join(map(str, widths[0]))}")
    paths = getattr(spec, "cardinality", None)
    if paths != getattr(base, "cardinality", None):
        parts.append(f"cardinality {paths}")
    return "; ".join(parts)


def search_table(rows: list[Row], plan: SearchSpace, title: str) -> Table:
    """The base network, then all finished trials, best first."""
    columns = [
        Column("rank", "#", "text"),
        Column("trial", "trial", "number"),
        Column("depths", "depths"),
        Column("splits", "splits", "long"),
        Column("cost", plan.band.convention.name, "count"),
        Column("difference", "change", "change"),
        Column("params", "params", "count"),
        Column("proxy_macs", "proxy macs", "count"),
        Column("epochs", "epochs", "number"),
        Column("accuracy", "proxy acc", "percent"),
        Column("seconds", "s", "seconds"),
    ]
    if any(row.result.seeds > 1 for row in rows):
        columns.insert(-1, Column("seeds", "seeds", "number"))
    shown = [{**row_dict(row), **_edits(row.spec, plan)} for row in rows]
    trained = (TRAINED,) if any(row.spec.trained_filters for row in rows) else ()
    return Table(title, tuple(columns), shown, (proxy_text(plan), f"inside: {plan.band}", *trained))


def row_dict(row: Row) -> dict[str, Any]:
    """A row as plain values, all of them also where there are none."""
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
    if row.band is not None:
        said["band"] = row.band
    return said if row.front is None else {**said, "front": row.front}


def _edits(spec: Spec, plan: SearchSpace) -> dict[str, str]:
    return {"depths": "-".join(map(str, spec.depths)), "splits": edits_text(spec, plan.space.base)}


def sweep_table(rows: list[Row], plans: list[SearchSpace], title: str) -> Table:
    """Accuracy against cost: the best network of each band beside the base, from ``search.store.ranking.curve``."""
    convention = plans[0].band.convention.name
    columns = (
        Column("target", f"band {convention}", "count"),
        Column("trial", "trial", "number"),
        Column("depths", "depths"),
        Column("splits", "splits", "long"),
        Column("cost", convention, "count"),
        Column("difference", "change", "change"),
        Column("params", "params", "count"),
        Column("accuracy", "proxy acc", "percent"),
        Column("front", "front"),
    )
    shown = []
    for row in rows:
        target = None if row.band is None else plans[row.band].band.target
        more = {"target": target, "front": "yes" if row.front else "no"}
        shown.append({**row_dict(row), **_edits(row.spec, plans[0]), **more})
    tolerance = f"bands: {float(100 * plans[0].band.tolerance):g}% around each cost; the row without one is the base"
    return Table(title, columns, shown, (proxy_text(plans[0]), FRONT, tolerance))


def sweep_json(name: str, rows: list[Row], found: list[dict[str, Any]]) -> dict[str, Any]:
    """The machine form of a sweep: the curve, and every band's result."""
    return {"schema": SCHEMA, "sweep": name, "networks": [row_dict(row) for row in rows], "bands": found}


def plan_table(run: Run, fits: Forecast) -> Table:
    """What a budget buys: rows of name and text."""
    pace, rungs = run.pace, ", ".join(map(str, run.halving.rungs))
    low, base, high = (f"{seconds:.3g}" for seconds in (pace.cheapest, pace.base, pace.dearest))
    trials = f"{fits.trials:,} trial{'' if fits.trials == 1 else 's'}"
    lines = [
        ("inside", f"{run.inside:,} of {run.space.matcher.size:,} networks: {run.space.band}"),
        ("an epoch", f"{low} to {high} s in the band, {base} s for the base"),
        ("rungs", f"{rungs} epochs; {run.settings.strategy}"),
        ("fits", f"{trials}, about {fits.full:,} to the last epoch; {fits.epochs:,} epochs"),
        ("time", f"{clock(fits.budget_seconds, ' left')}, {clock(run.folder.spent_seconds)} used before"),
        ("ends", f"{_end(fits):%Y-%m-%d %H:%M} local time"),
    ]
    notes = (SHORT,) if fits.short else ()
    columns = (Column("name", "plan"), Column("text", "what fits"))
    return Table(run.title, columns, [{"name": name, "text": text} for name, text in lines], notes)


def plan_json(run: Run, fits: Forecast) -> dict[str, Any]:
    """The machine form of a plan."""
    return {
        "strategy": run.settings.strategy,
        "inside": run.inside,
        "networks": run.space.matcher.size,
        "band": band_json(run.space.band),
        "seconds_an_epoch": vars(run.pace),
        "rungs": run.halving.rungs,
        **vars(fits),
        "spent_seconds": run.folder.spent_seconds,
        "end": _end(fits).isoformat(timespec="seconds"),
    }


def _end(fits: Forecast) -> datetime:
    return datetime.now().astimezone() + timedelta(seconds=fits.seconds)


def clock(seconds: float | None, after: str = "") -> str:
    """Seconds as H:MM:SS."""
    if seconds is None:
        return "no limit"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}{after}"


def proxy_text(plan: SearchSpace) -> str:
    """What the accuracies of a search are, in one line."""
    return (
        f"proxy acc: top-1 on {plan.training.test_images:,} Fashion-MNIST scenes of {plan.proxy.input} px after "
        f"{plan.training.epochs} epochs at {plan.proxy.width} of the width (whole paths kept); a proxy, not an "
        "ImageNet result"
    )


def band_json(band: Band) -> dict[str, Any]:
    """A band as whole numbers."""
    return {
        "convention": band.convention.name,
        "input": list(band.input),
        "target": band.target,
        "low": band.low,
        "high": band.high,
    }


def search_json(run: Run) -> dict[str, Any]:
    """The machine form of a search's result."""
    space = run.space
    return {
        "schema": SCHEMA,
        "run": run.folder.name,
        "space": space.name,
        "base": space.base_name,
        "seed": run.settings.seed,
        "ended": run.ended,
        "band": {**band_json(space.band), "networks": run.inside},
        "proxy": space.recipe,
        "networks": [row_dict(row) for row in run.rows()],
    }
