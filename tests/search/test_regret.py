"""The replays of benchmarks/regret.py on tables whose answers are known, and the recorded table itself."""

import hashlib
import json
import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest

from elastic_search.cost.tally import tally
from elastic_search.files import load_space, parse_space
from elastic_search.search.propose.density import Density
from elastic_search.search.propose.strategies import START, STRATEGIES
from tests.search.staging import TEXT

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import record  # noqa: E402
import regret  # noqa: E402

SPACE = load_space(str(BENCHMARKS / "recorded.toml"))
SMALL = parse_space(TEXT + '[band]\ntolerance = "2%"', "small", "small.toml")
CHOICES = SMALL.space.choices
DRAWS = SMALL.matcher.inside(SMALL.band)[:20]
VALUES = [draw.values for draw in DRAWS]


def table(noise=0.0, seeds=3):
    """Twenty networks; those with a deep first stage and the second split are the best."""
    rng = np.random.default_rng(0)
    good = [0.05 * v["layer1.depth"] + 0.1 * (v["layer1.split"] == CHOICES[4].values[1]) for v in VALUES]
    last = (np.array(good) + 0.001 * rng.random(20))[:, None] + noise * rng.standard_normal((20, seeds))
    return regret.Table(CHOICES, VALUES, np.stack([last / 2, last], 2), [1.0] * 20 * seeds)


def strategy(name, known):
    return regret.of_the_search(STRATEGIES[name], known, DRAWS)


def uniform(known):
    return strategy("uniform", known)


def test_uniform_has_the_regret_of_the_closed_form():
    known, trials = table(), 8
    sorted_truth = np.sort(known.truth)
    # The best of t draws without replacement is the k-th smallest in C(k, t - 1) of C(20, t) cases.
    expected = [
        sum(comb(k, t - 1) / comb(20, t) * (sorted_truth[-1] - sorted_truth[k]) for k in range(20))
        for t in range(1, trials + 1)
    ]
    found = regret.replays(known, uniform(known), trials, 3000)
    error = found.std(0) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) - expected) < 4 * error).all()


def test_strategy_that_knows_the_answer_has_no_regret():
    known = table()
    regrets = regret.replays(known, lambda left, *_: max(left, key=lambda i: known.truth[i]), 5, 10)
    assert not regrets.any()


def test_regret_ends_at_zero_when_everything_was_seen_without_noise():
    known = table()
    regrets = regret.replays(known, uniform(known), 20, 10)
    assert (np.diff(regrets) <= 0).all()
    assert not regrets[:, -1].any()


def test_noise_alone_leaves_the_regret_of_seeing_everything_once():
    noisy = table(noise=0.2)
    regrets = regret.replays(noisy, uniform(noisy), 20, 300)
    error = regrets[:, -1].std() / np.sqrt(300)
    assert regrets[:, -1].mean() == pytest.approx(regret.seen_once(noisy), abs=4 * error)
    assert regret.seen_once(noisy) > 0


def test_strategies_start_with_the_same_draws_and_never_repeat_one():
    known = table()
    orders = {}
    for name in STRATEGIES:
        propose = strategy(name, known)
        order = orders[name] = []

        def recorded(left, tried, seen, rng, propose=propose, order=order):
            order.append(propose(left, tried, seen, rng))
            return order[-1]

        regret.replay(known, recorded, 20, 7)
        assert sorted(order) == list(range(20))
    assert len({tuple(order[:START]) for order in orders.values()}) == 1


@pytest.mark.parametrize("name", ("feasible-tpe", "feasible-gp"))
def test_strategies_that_learn_are_better_than_uniform_where_there_is_something_to_learn(name):
    known = table()
    own = regret.replays(known, strategy(name, known), 10, 100)[:, -1]
    measure = regret.replays(known, uniform(known), 10, 100)[:, -1]
    assert regret.ratio(own, measure).high < 0.7


def test_other_settings_are_other_values_and_change_none():
    def judged(by):
        return by.judge(CHOICES, [(v, i) for i, v in enumerate(VALUES)], VALUES).tolist()

    before = judged(Density())
    assert judged(Density(stays=0.9)) != before
    assert judged(Density()) == before
    rows = list(regret.strategies(more=True))
    assert rows[0][:2] == ("uniform", STRATEGIES["uniform"])
    assert len({(strategy, halving) for _, strategy, halving in rows}) == len(rows) == 17


def test_halving_sees_more_networks_for_the_same_epochs():
    known = table()
    tried = []

    def counted(left, before, seen, rng):
        tried.append(left[0])
        return left[0]

    whole = regret.replay(known, counted, 6, 0)
    assert len(tried) == len(whole) == 6
    tried.clear()
    halved = regret.replay(known, counted, 6, 0, halving=True)
    assert len(tried) > 6
    assert halved[-1] <= whole[-1]


def test_ratio_of_a_strategy_to_itself_is_one():
    regrets = np.random.default_rng(0).random(50)
    assert regret.ratio(regrets, regrets) == regret.Reading(1.0, 1.0, 1.0)


def test_facts_find_the_spread_and_the_noise_that_were_put_in():
    rng = np.random.default_rng(0)
    last = 0.02 * rng.standard_normal((2000, 1)) + 0.03 * rng.standard_normal((2000, 3)) + [0.3, 0.4, 0.2]
    found = regret.facts(regret.Table(CHOICES, [VALUES[0]] * 2000, last[:, :, None], [1.0]))
    assert found["spread"] == pytest.approx(2, rel=0.1)
    assert found["noise"] == pytest.approx(3, rel=0.1)
    assert found["ceilings"][0] == pytest.approx(2 / 13**0.5, rel=0.1)


def test_recorder_goes_on_after_a_torn_line(tmp_path):
    part, head = tmp_path / "part0.jsonl", {"schema": 1, "space": "a", "recipe": {}, "draw_seed": 0}
    assert record.open_part(part, head) == set()
    whole = part.read_text() + '{"network":0,"seed":1}\n'
    part.write_text(whole + '{"network":0,"se')
    assert list(record.lines(part)) == [head, {"network": 0, "seed": 1}]
    assert record.open_part(part, head) == {(0, 1)}
    assert part.read_text() == whole
    with pytest.raises(SystemExit, match="another recipe"):
        record.open_part(part, {**head, "recipe": {"epochs": 1}})


def test_draws_are_distinct_and_more_of_them_begin_with_the_fewer():
    drawn = record.networks(SPACE, 100)
    assert len({tuple(values.values()) for values in drawn}) == 100
    assert record.networks(SPACE, 20) == drawn[:20]


def test_recorded_networks_are_inside_the_band_by_exact_counting():
    drawn = record.networks(SPACE, 128)
    found = set()
    for part in sorted((BENCHMARKS / "recorded").glob("part*.jsonl")):
        head, *trainings = record.lines(part)
        assert head["space"] == hashlib.sha256(SPACE.text.encode()).hexdigest()
        for line in trainings:
            if line["network"] is None:
                continue
            assert (line["network"], line["seed"]) not in found
            found.add((line["network"], line["seed"]))
            assert line["values"] == drawn[line["network"]]
            graph = SPACE.space.decode(line["values"]).graph()
            cost = tally(graph, SPACE.band.input, SPACE.band.convention).total
            assert cost == line["cost"]
            assert cost in SPACE.band
            assert graph.params == line["params"]
    assert found


def test_recorded_table_has_three_seeds_and_every_epoch():
    recorded = regret.load(BENCHMARKS / "recorded", SPACE.space.choices)
    assert recorded.curves.shape[1:] == (3, SPACE.training.epochs)
    assert len(recorded.values) == len({json.dumps(values) for values in recorded.values}) >= 32
    assert ((recorded.curves > 0) & (recorded.curves < 1)).all()
