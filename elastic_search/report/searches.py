"""What ``search`` reports: its plan, and its result."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from elastic_search.arch.zoo import to_dict
from elastic_search.report.emit import SCHEMA, Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.spaces import band_head
from elastic_search.report.text import clock, edits_text

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec
    from elastic_search.files import SearchSpace
    from elastic_search.train.recipe import Recipe

FRONT = "front: no other row costs less and is as accurate, or costs as much and is more accurate"


def search_report(rows: list[Record], plan: SearchSpace, title: str, head: Record) -> Report:
    """The base network, then all finished trials, best first.

    Args:
        rows: of ``search.ranking``.
        plan: what was searched.
        title: of the table.
        head: of the run, from ``search_head``.
    """
    name = plan.band.convention.name
    fields = [Field("rank", "#"), Field("trial", "trial", "number"), *_network_fields(name)]
    fields += [Field("proxy_macs", "proxy macs", "count"), Field("epochs", "epochs", "number")]
    fields.append(Field("accuracy", "proxy acc", "percent"))
    fields += [Field("seeds", "seeds", "number")] * any((row["seeds"] or 1) > 1 for row in rows)
    notes = [proxy_text(plan.recipe), f"inside: {plan.band}"]
    notes += [TRAINED] * any(row["spec"].trained_filters for row in rows)
    shown = [_shown(row, plan.space.base) for row in rows]
    return Report(title, [*fields, Field("seconds", "s", "seconds")], shown, notes, head)


def _network_fields(convention: str) -> list[Field]:
    fields = [Field("depths", "depths", "depths"), Field("splits", "splits", "long")]
    fields += [Field("cost", convention, "count"), Field("difference", "change", "change")]
    return [*fields, Field("params", "params", "count")]


def _shown(row: Record, base: Spec) -> Record:
    return {**row, "depths": row["spec"].depths, "splits": edits_text(row["spec"], base)}


def search_head(rows: list[Record], plan: SearchSpace, name: str, seed: int, inside: int, ended: str) -> Record:
    """The machine form of a search's result."""
    head: Record = {"run": name, "space": plan.name, "base": plan.base_name, "seed": seed, "ended": ended}
    head["band"] = {**band_head(plan.band), "networks": inside}
    head["proxy"] = {key: str(value) if key == "width" else value for key, value in vars(plan.recipe).items()}
    return {**head, "networks": [_data(row) for row in rows]}


def _data(row: Record) -> Record:
    return {**row, "spec": to_dict(row["spec"])}


def pareto_front(points: list[tuple[int, float]]) -> list[bool]:
    """Which of (cost, accuracy) no other beats: by more accuracy at no more cost, or as much at less."""
    return [
        not any((c <= cost and a > accuracy) or (c < cost and a >= accuracy) for c, a in points)
        for cost, accuracy in points
    ]


def sweep_rows(of_bands: list[list[Record]]) -> list[Record]:
    """The base and each band's best network, cheapest first.

    Beside what ``search.ranking`` says: ``band``, its number (not of the base), and ``front``, whether it is on the
    curve of the best.
    """
    found = [row for row in of_bands[0] if row["rank"] == "base"]
    found += [{**row, "band": i} for i, rows in enumerate(of_bands) for row in rows if row["rank"] == "1"]
    rows = sorted(found, key=lambda row: row["cost"])
    points = [(row["cost"], row["accuracy"]) for row in rows]
    base = next((row["cost"] for row in rows if row["rank"] == "base"), 0)
    return [
        {**row, "difference": row["cost"] / base - 1 if base else 0.0, "front": front}
        for row, front in zip(rows, pareto_front(points), strict=True)
    ]


def sweep_report(name: str, of_bands: list[list[Record]], plans: list[SearchSpace], heads: list[Record]) -> Report:
    """Accuracy against cost: the best network of each band beside the base.

    Args:
        name: of the sweep.
        of_bands: rows of ``search.ranking`` of each band.
        plans: what was searched.
        heads: of each band's run, from ``search_head``.
    """
    rows, base, convention = sweep_rows(of_bands), plans[0].space.base, plans[0].band.convention.name
    fields = [Field("target", f"band {convention}", "count"), Field("trial", "trial", "number")]
    fields += [*_network_fields(convention), Field("accuracy", "proxy acc", "percent"), Field("front", "front")]
    shown = []
    for row in rows:
        target = plans[row["band"]].band.target if "band" in row else None
        shown.append({**_shown(row, base), "target": target, "front": "yes" if row["front"] else "no"})
    tolerance = f"bands: {float(100 * plans[0].band.tolerance):g}% around each cost; the row without one is the base"
    notes = [proxy_text(plans[0].recipe), FRONT, tolerance]
    head = {"sweep": name, "networks": [_data(row) for row in rows], "bands": [{"schema": SCHEMA, **h} for h in heads]}
    return Report(f"Sweep {name}: the best of {len(plans)} bands", fields, shown, notes, head)


def curves_report(name: str, trial: str, recorded: list[float], again: list[float], differing: list[str]) -> Report:
    """What ``reproduce`` reports: the accuracy after every epoch, as recorded and of the same training again.

    Args:
        name: of the run.
        trial: its number, or "base".
        recorded: a curve.
        again: another.
        differing: versions that are others now.
    """
    pairs, same = zip(recorded, again, strict=True), recorded == again
    rows = [{"epoch": i, "recorded": a, "again": b, "equal": a == b} for i, (a, b) in enumerate(pairs, 1)]
    fields = [Field("epoch", "epoch", "number"), Field("recorded", "recorded", "percent")]
    fields += [Field("again", "again", "percent"), Field("equal", "equal", "check")]
    head = {"run": name, "trial": trial, "equal": same, "recorded": recorded, "again": again, "differing": differing}
    title = f"Trial {trial} of run {name}: {'the same again' if same else 'differs'}"
    return Report(title, fields, rows, head=head)


def plan_report(plan: Record, title: str, band: str) -> Report:
    """What a budget buys: rows of name and text; ``band`` in words."""
    seconds = plan["seconds_an_epoch"]
    low, base, high = (f"{seconds[key]:.3g}" for key in ("cheapest", "base", "dearest"))
    trials = f"{plan['trials']:,} trial{'' if plan['trials'] == 1 else 's'}"
    lines = {
        "inside": f"{plan['inside']:,} of {plan['networks']:,} networks: {band}",
        "an epoch": f"{low} to {high} s in the band, {base} s for the base",
        "rungs": f"{', '.join(map(str, plan['rungs']))} epochs; {plan['strategy']}",
        "fits": f"{trials}, about {plan['full']:,} to the last epoch; {plan['epochs']:,} epochs",
        "time": f"{clock(plan['budget_seconds'], ' left')}, {clock(plan['spent_seconds'])} used before",
        "ends": f"{datetime.fromisoformat(plan['end']):%Y-%m-%d %H:%M} local time",
    }
    notes = ["the time left is too short for the base network alone"] if plan["short"] else []
    fields = [Field("name", "plan"), Field("text", "what fits")]
    return Report(title, fields, [{"name": name, "text": text} for name, text in lines.items()], notes, plan)


def proxy_text(recipe: Recipe) -> str:
    """What the accuracies of a search are, in one line."""
    return (
        f"proxy acc: top-1 on {recipe.test_images:,} Fashion-MNIST scenes of {recipe.input} px after {recipe.epochs} "
        f"epochs at {recipe.width} of the width (whole paths kept); a proxy, not an ImageNet result"
    )
