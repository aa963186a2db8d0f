"""The benchmark that chose the recipes: it loses nothing, and the shipped spaces have what it found."""

import json
import sys
from pathlib import Path

import pytest

from elastic_search.arch.zoo import published
from elastic_search.files import load_space
from elastic_search.recipes import recipe_dict

sys.path.insert(0, str(BENCHMARKS := Path(__file__).parents[2] / "benchmarks"))

import recipes

CHOSEN = {"cpu": "resnext50_cpu", "long": "resnext50", "dla_x60": "dla_x60"}
"""Studies that decided a space's recipe."""

STEPS = (
    *("optimizer", "learning_rate", "adamw_lr", "weight_decay", "schedule", "momentum", "pct_start"),
    *("zero_init_last", "label_smoothing", "shift", "ema"),
)


def line(seed, accuracy=0.5):
    found = {"id": "a", "recipe": {"epochs": 3}, "seed": seed, "accuracy": accuracy}
    return found | {"setting": "x", "network": "base", "cpu_seconds": 1.0, "curve": [accuracy]}


def test_results_survive_a_kill_within_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(recipes, "spec_id", lambda spec: spec)
    path = tmp_path / "results.jsonl"
    for seed in range(2):
        recipes.Results(path).add(line(seed))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "a", "see')
    found = recipes.Results(path)
    assert [found.get({"epochs": 3}, "a", seed) for seed in range(3)] == [line(0), line(1), None]
    assert found.get({"epochs": 4}, "a", 0) is None
    assert path.read_bytes() == whole


@pytest.mark.parametrize("study", CHOSEN)
def test_shipped_recipe_is_the_best_of_three_seeds(study, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["recipes.py", study, "--seeds", "0"])
    recipes.main()
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("|")]
    first = rows[2]
    setting, *_, seeds = (cell.strip() for cell in first.strip("|").split("|"))
    assert int(seeds) >= 3
    plan, of = load_space(CHOSEN[study]), recipes.STUDIES[study]
    proxy, training = of.recipe(setting)
    of_family = {
        key for key in STEPS if key != "zero_init_last" or "resnext" in of.space
    }  # only ResNeXt has such norms
    assert all(getattr(plan.training, key) == getattr(training, key) for key in of_family)
    if study == "cpu":  # the others were made smaller than what they decide
        assert plan.proxy == proxy
        assert (plan.training.batch, plan.training.smallest_object) == (training.batch, training.smallest_object)


def test_recorded_trainings_are_of_the_studies_as_they_are():
    """Another recipe or network under the same name would not be found again."""
    recorded = [json.loads(text) for text in BENCHMARKS.joinpath("recipes.jsonl").read_text().splitlines()]
    ids = {name: {k: recipes.spec_id(v) for k, v in of.networks().items()} for name, of in recipes.STUDIES.items()}
    known = {
        (ids[name][network], json.dumps(recipe_dict(*of.recipe(setting)), sort_keys=True))
        for name, of in recipes.STUDIES.items()
        for setting in of.settings
        for network in ids[name]
    }
    assert recorded
    assert all((one["id"], json.dumps(one["recipe"], sort_keys=True)) in known for one in recorded)
    assert ids["cpu"]["base"] == recipes.spec_id(published("resnext50"))
