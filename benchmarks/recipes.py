"""How the recipes of the shipped spaces were chosen: settings compared on the validation scenes, three seeds each.

    python benchmarks/recipes.py cpu                    # some 25 minutes of one core; after a kill it goes on
    python benchmarks/recipes.py densenet201 --settings before "muon 0.1"
    python benchmarks/recipes.py cpu --seeds 0          # prints what there is

Every setting trains the base and an Elastic network of the same cost, in one thread. With the first seed all settings
are trained, with the others the best of them (--keep): the last column says which were left out after one, and those
are no evidence. Accuracies are those of the validation scenes; those of the test scenes are not kept. Every training is
a line of --results, from which it is taken the next time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from demo import interval

from elastic_search import parse_split
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.files import load_space
from elastic_search.recipes import Proxy, Training, recipe_dict

BEFORE = {
    "optimizer": "adamw",
    "learning_rate": 0.005,
    "zero_init_last": True,
    "pct_start": 0.4,
    "smallest_object": 12,
}
"""The recipe that the spaces for a GPU had before they were compared."""

SGD = {"optimizer": "sgd", "weight_decay": 0.0005}
"""SGD's weight decay is a part of the gradient, and as large as AdamW's it would be the larger part."""


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        space: whose base is trained, and an Elastic network of its band.
        depths: of the Elastic network.
        splits: of its stages, or one for all of them.
        common: the training's keys, for all settings.
        settings: what each of them changes.
        width: of the proxy.
        edge: of its images, in px.
        trained: which networks are trained.
    """

    space: str
    depths: tuple[int, ...]
    splits: tuple[str, ...]
    common: dict[str, Any]
    settings: dict[str, dict[str, Any]]
    width: Fraction = Fraction(1, 8)
    edge: int = 32
    trained: tuple[str, ...] = ("base", "elastic")

    def networks(self) -> dict[str, Spec]:
        """The networks that are trained, by name: the base, and an Elastic network."""
        plan = load_space(self.space)
        base = plan.space.base
        names = [base.stage_name(i) for i in range(len(base.stages))]
        values: dict[str, Any] = {f"{name}.depth": depth for name, depth in zip(names, self.depths, strict=True)}
        of = ["split"] if len(self.splits) == 1 else [f"{name}.split" for name in names]
        values |= {key: str(parse_split(split)) for key, split in zip(of, self.splits, strict=False)}
        found = plan.space.decode(values | {"resampling": "avgpool+bilinear"})
        assert not plan.why_not(found), plan.why_not(found)
        return {name: spec for name, spec in {"base": base, "elastic": found}.items() if name in self.trained}

    def recipe(self, setting: str) -> tuple[Proxy, Training]:
        """Proxy and training of a setting."""
        return Proxy(self.width, "small", self.edge), replace(Training(), **self.common | self.settings[setting])


_SHORT = {"batch": 64, "val_images": 1000, "test_images": 1000, "zero_init_last": False, "pct_start": 0.3}
_MUON = {"optimizer": "muon", "learning_rate": 0.1}

STUDIES = {
    "cpu": Study(
        "resnext50",
        (5, 7, 7, 3),
        ("1/2,1/2",) * 3,
        _SHORT | {"train_images": 3000, "epochs": 4, "smallest_object": 16},
        {
            "muon 0.1": _MUON,
            "muon 0.05": _MUON | {"learning_rate": 0.05},
            "adamw 0.02": {"optimizer": "adamw", "learning_rate": 0.02},
            "sgd 0.2": SGD | {"learning_rate": 0.2},
            "muon 0.1, zero_init_last": _MUON | {"zero_init_last": True},
            "adamw 0.02, zero_init_last": {"optimizer": "adamw", "learning_rate": 0.02, "zero_init_last": True},
            "muon 0.1, cosine": _MUON | {"schedule": "cosine"},
            "before": BEFORE,
        },
    ),
    # Three times as long: what a recipe gains in few steps it may lose in many.
    "long": Study(
        "resnext50",
        (5, 7, 7, 3),
        ("1/2,1/2",) * 3,
        _SHORT | {"train_images": 3000, "epochs": 10, "smallest_object": 12},
        {"before": BEFORE, "muon 0.1, zero_init_last": _MUON | {"zero_init_last": True}},
        trained=("base",),
    ),
    "dla_x60": Study(
        "dla_x60",
        (3, 1, 3, 1),
        ("1/2,1/2", "1/4,3/4", "1/4,3/4"),
        _SHORT | {"train_images": 3000, "epochs": 8, "smallest_object": 12},
        {"before": BEFORE, "muon 0.1": _MUON},
    ),
    "densenet201": Study(
        "densenet201",
        (10, 20, 40, 30),
        ("1/2,1/2",),
        _SHORT | {"train_images": 1500, "epochs": 3, "batch": 32, "smallest_object": 12},
        {"before": BEFORE, "muon 0.1": _MUON},
    ),
}


class Results:
    """Trainings that were made, as lines of a file.

    Args:
        path: of the file; made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        # A line that a kill cut short is made again.
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        if len(whole) < len(lines):
            path.write_text("".join(lines[: len(whole)]))
        self._found = {self._key(line["recipe"], line["id"], line["seed"]): line for line in whole}

    def get(self, recipe: dict[str, Any], spec: Spec, seed: int) -> dict[str, Any] | None:
        """The line of a training, if it was made."""
        return self._found.get(self._key(recipe, spec_id(spec), seed))

    def add(self, line: dict[str, Any]) -> None:
        """Keep a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._found[self._key(line["recipe"], line["id"], line["seed"])] = line

    @staticmethod
    def _key(recipe: dict[str, Any], network: str, seed: int) -> str:
        return json.dumps([recipe, network, seed], sort_keys=True)


def train(study: Study, setting: str, network: str, spec: Spec, seed: int) -> dict[str, Any]:
    """The line of one training."""
    import torch

    from elastic_search.proxy.evaluator import ProxyEvaluator
    from elastic_search.search.evaluator import Monitor

    torch.set_num_threads(1)
    proxy, training = study.recipe(setting)
    evaluate = ProxyEvaluator(proxy, training, torch.device("cpu"))
    started = time.process_time()
    score = evaluate(spec, seed, Monitor())
    return {
        "setting": setting,
        "network": network,
        "seed": seed,
        "accuracy": score.accuracy,
        "cpu_seconds": round(time.process_time() - started, 1),
        "curve": score.curve,
        "id": spec_id(spec),
        "recipe": recipe_dict(proxy, training),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("--settings", nargs="+", help="of the study; all by default")
    parser.add_argument("--seeds", type=int, default=3, help="0 trains nothing")
    parser.add_argument("--keep", type=int, default=3, help="settings that are trained with more than one seed")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_suffix(".jsonl"))
    args = parser.parse_args()
    study, results = STUDIES[args.study], Results(args.results)
    settings: list[str] = args.settings or list(study.settings)
    if unknown := [setting for setting in settings if setting not in study.settings]:
        parser.error(f"{args.study} has no {unknown[0]!r}; it has {', '.join(study.settings)}")
    networks = study.networks()

    def found(setting: str, network: str) -> list[dict[str, Any]]:
        recipe = recipe_dict(*study.recipe(setting))
        lines = (results.get(recipe, networks[network], seed) for seed in range(max(3, args.seeds)))
        return [line for line in lines if line]

    def mean(setting: str) -> float:
        accuracies = [float(line["accuracy"]) for network in networks for line in found(setting, network)[:1]]
        return statistics.mean(accuracies)

    going = settings
    for seed in range(args.seeds):
        for setting in going:
            recipe = recipe_dict(*study.recipe(setting))
            for network, spec in networks.items():
                if results.get(recipe, spec, seed) is None:
                    results.add(line := train(study, setting, network, spec, seed))
                    said = f"{line['accuracy']:.1%} on val, {line['cpu_seconds']:.0f} CPU-s"
                    print(f"{setting}, {network}, seed {seed}: {said}", flush=True)
        going = sorted(going, key=mean, reverse=True)[: args.keep] if seed == 0 else going
    report(settings, list(networks), found)


def report(settings: list[str], networks: list[str], found: Any) -> None:
    """Print means over seeds with their intervals, the best setting first."""
    lines = {setting: [found(setting, network) for network in networks] for setting in settings}
    lines = {setting: each for setting, each in lines.items() if all(each)}

    def over(setting: str) -> list[float]:
        """For each seed, the mean over the networks."""
        return [statistics.mean(line["accuracy"] for line in of_seed) for of_seed in zip(*lines[setting], strict=False)]

    order = sorted(lines, key=lambda setting: (len(over(setting)) > 1, statistics.mean(over(setting))), reverse=True)
    print("\naccuracy on the validation scenes in %: mean ± 95 % interval over the seeds (Student's t)\n")
    print(f"| setting | {' | '.join(networks)} | mean | behind the first (paired) | CPU-s each | seeds |")
    print("| :-- |" + " --: |" * (len(networks) + 4))
    for setting in order:
        ours, seeds = over(setting), len(over(setting))
        each = [interval([line["accuracy"] for line in of_network[:seeds]]) for of_network in lines[setting]]
        behind = [first - mine for first, mine in zip(over(order[0]), ours, strict=False)]
        seconds = statistics.mean(line["cpu_seconds"] for of_network in lines[setting] for line in of_network)
        cells = [setting, *each, interval(ours), interval(behind), f"{seconds:.0f}", str(seeds)]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
