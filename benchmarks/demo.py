"""How the recipe of the demo space was chosen: settings compared on the validation scenes, the chosen one on the test.

    python benchmarks/demo.py                                # seven minutes of one core
    python benchmarks/demo.py --settings "muon 0.1" --networks 1 --seeds 1

Every setting trains the base and an Elastic network of the band (or more) with three seeds, in one thread. A setting
is chosen by its mean accuracy on the validation scenes; only then is its accuracy on the test scenes printed. Exits
with 1 if a training of the chosen setting ends below five times chance.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import replace
from typing import Any

from elastic_search import elastic, parse_split
from elastic_search.arch.spec import Spec
from elastic_search.files import SearchSpace, load_space

SETTINGS: dict[str, dict[str, Any]] = {
    "muon 0.1": {},
    "muon 0.05": {"learning_rate": 0.05},
    "adamw 0.02": {"optimizer": "adamw", "learning_rate": 0.02},
}
"""What differs from the space's own recipe."""

DEPTHS = ((2, 3, 3, 2), (3, 3, 2, 2))
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""Student's t for intervals of 95 %, by the number of seeds."""


def networks(plan: SearchSpace) -> dict[str, Spec]:
    """The base, and Elastic networks of the band."""
    base = plan.space.base
    split = parse_split("1/2,1/2")
    found = {"-".join(map(str, depths)): elastic(base.with_depths(depths), split) for depths in DEPTHS}
    for name, spec in found.items():
        assert not plan.why_not(spec), name
    return {"base": base, **found}


def interval(values: list[float]) -> str:
    """Mean over seeds with its 95 % interval, in per cent."""
    mean = f"{100 * statistics.mean(values):.1f}"
    if len(values) not in STUDENT:
        return mean
    return f"{mean} ± {100 * STUDENT[len(values)] * statistics.stdev(values) / len(values) ** 0.5:.1f}"


def main() -> None:
    import torch

    from elastic_search.proxy.evaluator import ProxyEvaluator
    from elastic_search.search.evaluator import Monitor, Score

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--networks", type=int, default=2, help="the base and the first Elastic ones")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = load_space("demo")
    chosen = dict(list(networks(plan).items())[: args.networks])
    found: dict[str, dict[str, list[Score]]] = {}
    for setting in args.settings:
        training = replace(plan.training, **SETTINGS[setting])
        evaluate = ProxyEvaluator(plan.proxy, training, torch.device("cpu"))
        found[setting] = {name: [] for name in chosen}
        for seed in range(args.seeds):
            for name, spec in chosen.items():
                started = time.process_time()
                score = evaluate(spec, seed, Monitor())
                found[setting][name].append(score)
                spent = time.process_time() - started
                print(f"{setting}, {name}, seed {seed}: {score.accuracy:.1%} on val, {spent:.1f} CPU-s", flush=True)

    def on_val(setting: str) -> list[float]:
        """For each seed, the mean over the networks."""
        return [
            statistics.mean(score.accuracy for score in of_seed)
            for of_seed in zip(*found[setting].values(), strict=True)
        ]

    best = max(found, key=lambda setting: statistics.mean(on_val(setting)))
    print(f"\nmean of {len(chosen)} networks on {plan.training.val_images:,} val scenes; ± is 95 % over the seeds")
    for setting in found:
        behind = [ours - theirs for ours, theirs in zip(on_val(best), on_val(setting), strict=True)]
        than = f"; {best} is better by {interval(behind)} points, paired by seed" * (setting != best)
        print(f"{setting:12} {interval(on_val(setting))}{than}")
    print(f"\n{best}, each network on {plan.training.test_images:,} test scenes; ± is 95 % over the seeds")
    lowest = 1.0
    for name, scores in found[best].items():
        tests = [score.test_accuracy or 0.0 for score in scores]
        lowest = min(lowest, *tests)
        print(f"{name:12} {interval(tests)}")
    print(f"lowest: {lowest:.1%}")
    sys.exit(lowest < 0.5)


if __name__ == "__main__":
    main()
