"""Replay searches on a recorded table, and print how far from its best network they end.

    python benchmarks/regret.py                     # benchmarks/recorded, 500 replays, 60 trials
    python benchmarks/regret.py --more              # other settings of the strategies too
    python benchmarks/regret.py --half even --trials 30      # on every second network only

A replay is one search whose trainings are looked up. As in a search, all its trainings have one seed, here one of
those recorded. Regret is the best network's accuracy minus that of the best-scored one so far, both as means over
all seeds, in points. "any-time" is its mean over the trials, "final" its value after the last. Replay number n of
every strategy has the same seed and the same uniform draws to choose from, so ratios to uniform are paired; their
intervals are bootstraps over the replays. With halving, poor trainings are stopped early for the same number of
epochs in all. "seen once" is what is left when every network has been trained once: the
share of the regret that noise alone makes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastic_search.files import SearchSpace, load_space
from elastic_search.search.propose.density import Density
from elastic_search.search.propose.gaussian_process import GaussianProcess
from elastic_search.search.propose.strategies import START, STRATEGIES, Judged, Strategy
from elastic_search.search.trials.halving import Halving
from elastic_search.space.choice import Choice, Value
from elastic_search.space.match import Candidate, Matcher

HERE = Path(__file__).parent
RESAMPLES = 2000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Networks and how they did.

    Attributes:
        choices: what varies.
        values: of each network, by choice name.
        curves: accuracy [networks, seeds, epochs].
        seconds: of each training, of one CPU thread.
    """

    choices: tuple[Choice, ...]
    values: list[dict[str, Value]]
    curves: Floats
    seconds: list[float]

    @property
    def accuracy(self) -> Floats:
        """After the last epoch: [networks, seeds]."""
        last: Floats = self.curves[:, :, -1]
        return last

    @property
    def truth(self) -> Floats:
        """Mean accuracy over the seeds: what regret is measured on."""
        mean: Floats = self.accuracy.mean(1)
        return mean

    def part(self, networks: Sequence[int] | slice) -> Table:
        """The same table with some of its networks."""
        numbers = np.arange(len(self.values))[networks]
        return Table(self.choices, [self.values[i] for i in numbers], self.curves[numbers], self.seconds)


def load(folder: Path, choices: tuple[Choice, ...], seeds: int = 3) -> Table:
    """The networks of a folder's part files that are recorded with all seeds; a torn last line is left out."""
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for part in sorted(folder.glob("part*.jsonl")):
        for text in part.read_bytes().split(b"\n")[1:-1]:
            line = json.loads(text)
            if line["network"] is not None:
                found.setdefault(line["network"], {})[line["seed"]] = line
    whole = [found[n] for n in sorted(found) if set(range(seeds)) <= set(found[n])]
    return Table(
        choices,
        [lines[0]["values"] for lines in whole],
        np.array([[lines[seed]["curve"] for seed in range(seeds)] for lines in whole]),
        [lines[seed]["cpu_seconds"] for lines in whole for seed in range(seeds)],
    )


Proposer = Callable[[list[int], list[int], list[float], np.random.Generator], int]
"""Which network to train next: (not trained ones in random order, trained ones, their accuracies, randomness)."""


def networks(table: Table, plan: SearchSpace) -> list[Candidate]:
    """The table's networks as draws of the search."""
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    names = [choice.name for choice in table.choices]
    wanted = {tuple(values[name] for name in names): i for i, values in enumerate(table.values)}
    found: dict[int, Candidate] = {}
    for candidate in matcher.inside(plan.band):
        number = wanted.get(tuple(candidate.values[name] for name in names))
        if number is not None:
            found[number] = candidate
    return [found[number] for number in range(len(wanted))]


def of_the_search(strategy: Strategy, table: Table, draws: list[Candidate]) -> Proposer:
    """A strategy of ``elastic-search search``, as it stands there, whose draws are the table's networks."""
    numbers = {id(draw): i for i, draw in enumerate(draws)}

    def propose(candidates: list[int], tried: list[int], seen: list[float], rng: np.random.Generator) -> int:
        finished = [(table.values[i], accuracy) for i, accuracy in zip(tried, seen, strict=True)]
        return numbers[id(strategy.choose(table.choices, [draws[i] for i in candidates], finished, rng))]

    return propose


def replay(table: Table, propose: Proposer, trials: int, number: int, halving: bool = False) -> Floats:
    """Regret of one replay after as many epochs as 1, 2, … ``trials`` whole trainings have.

    With ``halving``, poor trainings are stopped early, as the search does, and their epochs pay for further ones.
    """
    truth, (_, seeds, epochs) = table.truth, table.curves.shape
    curves = table.curves[:, int(np.random.default_rng([number, 0]).integers(seeds))]
    rungs, ended = Halving(epochs, halving), list[list[float]]()
    left, tried, seen, regrets, spent = set(range(len(truth))), list[int](), list[float](), np.empty(trials), 0
    while left and spent < trials * epochs:
        rng = np.random.default_rng([number, 1, len(tried)])
        chosen = propose([int(i) for i in rng.permutation(sorted(left))], tried, seen, rng)
        curve = curves[chosen].tolist()
        done = next((n for n in rungs.rungs if rungs.stops(n, curve[n - 1], ended)), epochs)
        left.remove(chosen)
        tried.append(chosen)
        ended.append(curve[:done])
        # Stopped trainings rank below all that went further.
        seen.append(curve[done - 1] + done - epochs)
        spent += done
        regrets[math.ceil(spent / epochs) - 1 :] = truth.max() - truth[tried[int(np.argmax(seen))]]
    return regrets


def replays(table: Table, propose: Proposer, trials: int, number: int, halving: bool = False) -> Floats:
    """Regret of many replays: [replays, trials]."""
    return np.array([replay(table, propose, trials, n, halving) for n in range(number)])


@dataclass(frozen=True)
class Reading:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def ratio(own: Floats, other: Floats) -> Reading:
    """Ratio of the means of paired replays."""
    picks = np.random.default_rng(0).integers(len(own), size=(RESAMPLES, len(own)))
    low, high = np.quantile(own[picks].mean(1) / other[picks].mean(1), (0.025, 0.975))
    return Reading(float(own.mean() / other.mean()), float(low), float(high))


def points(regrets: Floats) -> Reading:
    """Mean regret in points of accuracy."""
    picks = np.random.default_rng(0).integers(len(regrets), size=(RESAMPLES, len(regrets)))
    low, high = np.quantile(100 * regrets[picks].mean(1), (0.025, 0.975))
    return Reading(float(100 * regrets.mean()), float(low), float(high))


def seen_once(table: Table) -> float:
    """Mean regret of the best-scored network when all have been trained with one seed."""
    return float(table.truth.max() - table.truth[table.accuracy.argmax(0)].mean())


def ranks(values: Floats) -> Floats:
    """Ranks, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return found


def spearman(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def facts(table: Table) -> dict[str, Any]:
    """Spread of the networks, noise of the seeds, and what they let a ranking reach.

    A seed's own level is taken out: a search trains all networks with one seed. A network's deviation is free of
    the noise's share. ``ceilings``: correlation of the scores of one seed, and of the mean of all, with an endless
    mean. ``epochs``: Spearman of one seed after each epoch with the other seeds' last ones.
    """
    accuracy, truth = table.accuracy, table.truth
    count, seeds = accuracy.shape
    rest = accuracy - accuracy.mean(0) - truth[:, None] + truth.mean()
    noise = float((rest**2).sum() / ((count - 1) * (seeds - 1)))
    spread = max(0.0, float(truth.var(ddof=1)) - noise / seeds)
    pairs = [(a, b) for a in range(seeds) for b in range(a)]
    others = [np.delete(accuracy, seed, 1).mean(1) for seed in range(seeds)]
    return {
        "networks": count,
        "seeds": seeds,
        "epochs": table.curves.shape[2],
        "seconds": [float(q) for q in np.quantile(table.seconds, (0, 0.5, 1))],
        "accuracy": [float(100 * q) for q in (truth.min(), np.median(truth), truth.max())],
        "seed_levels": [float(100 * level) for level in accuracy.mean(0)],
        "spread": 100 * math.sqrt(spread),
        "noise": 100 * math.sqrt(noise),
        "between_seeds": float(np.mean([spearman(accuracy[:, a], accuracy[:, b]) for a, b in pairs])),
        "ceilings": [math.sqrt(spread / (spread + noise / n)) if spread else 0.0 for n in (1, seeds)],
        "by_epoch": [
            float(np.mean([spearman(table.curves[:, seed, epoch], others[seed]) for seed in range(seeds)]))
            for epoch in range(table.curves.shape[2])
        ],
        "seen_once": 100 * seen_once(table),
    }


Row = tuple[str, Strategy, bool]
"""What is replayed: name, strategy, and whether poor trainings are stopped early."""


OTHERS: dict[str, Strategy] = {
    "feasible-tpe, joint_up_to 0": Judged(Density(joint_up_to=0)),
    "feasible-tpe, good_share 0.2": Judged(Density(good_share=0.2)),
    "feasible-tpe, good_share 0.4": Judged(Density(good_share=0.4)),
    "feasible-tpe, width 0.15": Judged(Density(width=0.15)),
    "feasible-tpe, width 0.3": Judged(Density(width=0.3)),
    "feasible-tpe, stays 0.5": Judged(Density(stays=0.5)),
    "feasible-tpe, start 10": Judged(Density(), start=10),
    "feasible-gp, noise 0.3": Judged(GaussianProcess(noise=0.3)),
    "feasible-gp, unlike 0.6": Judged(GaussianProcess(unlike=0.6)),
    "feasible-gp, start 10": Judged(GaussianProcess(), start=10),
}
"""Strategies with other settings."""


def strategies(more: bool) -> Iterator[Row]:
    """What is replayed. Uniform, the measure, is first."""
    for name in sorted(STRATEGIES, key=lambda name: name != "uniform"):
        yield name, STRATEGIES[name], False
    for name in ("uniform", "feasible-tpe", "feasible-gp"):
        yield f"{name}, halving", STRATEGIES[name], True
    if not more:
        return
    for name, strategy in OTHERS.items():
        yield name, strategy, False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default=str(HERE / "recorded.toml"))
    parser.add_argument("--table", type=Path, default=HERE / "recorded")
    parser.add_argument("--replays", type=int, default=500)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--half", choices=("even", "odd"), help="every second recorded network only")
    parser.add_argument("--more", action="store_true", help="other settings of the strategies too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    plan = load_space(args.space)
    table = load(args.table, plan.space.choices)
    if args.half:
        table = table.part(slice(args.half == "odd", None, 2))
    trials, draws = min(args.trials, len(table.values)), networks(table, plan)
    about = facts(table)
    rows, measure = [], None
    for name, strategy, halving in strategies(args.more):
        regrets = replays(table, of_the_search(strategy, table, draws), trials, args.replays, halving)
        any_time, final = regrets.mean(1), regrets[:, -1]
        measure = measure or (any_time, final)
        rows.append((name, points(any_time), ratio(any_time, measure[0]), points(final), ratio(final, measure[1])))
    if args.json:
        keys = ("any_time", "any_time_ratio", "final", "final_ratio")
        found = [{"strategy": row[0], **{key: vars(r) for key, r in zip(keys, row[1:], strict=True)}} for row in rows]
        settings = {"replays": args.replays, "trials": trials, "good_share": Density().good_share, "start": START}
        print(json.dumps({"schema": 1, **settings, "table": about, "strategies": found}, indent=2))
        return
    for line in told(about):
        print(line)
    print(f"\nregret in points, mean of {args.replays} replays of {trials} trials (95 % interval)\n")
    print("| strategy | any-time | ÷ uniform | final | ÷ uniform |\n|---|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")


def told(about: dict[str, Any]) -> list[str]:
    """The facts of a table as lines."""
    by_epoch = " ".join(f"{value:.2f}" for value in about["by_epoch"])
    return [
        f"{about['networks']} networks × {about['seeds']} seeds × {about['epochs']} epochs; CPU seconds a training "
        "{:.1f}, median {:.1f}, at most {:.1f}".format(*about["seconds"]),
        "accuracy of the networks {:.1f} %, median {:.1f} %, at most {:.1f} %; ".format(*about["accuracy"])
        + "of the seeds " + ", ".join(f"{level:.1f} %" for level in about["seed_levels"]),
        f"spread of the networks {about['spread']:.2f} points, noise of a seed {about['noise']:.2f}; "
        f"Spearman between two seeds {about['between_seeds']:.2f}",
        "ceiling of a correlation with the truth: one seed {:.2f}, mean of the seeds {:.2f}".format(*about["ceilings"]),
        f"Spearman of one seed after each epoch with the others' end: {by_epoch}",
        f"regret when every network was seen once: {about['seen_once']:.2f} points",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
