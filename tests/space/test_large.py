"""Spaces of millions of networks against counting them one by one, and shipped spaces against an independent tool."""

import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.files import load_space
from elastic_search.space.band import Band
from elastic_search.space.choice import Space
from elastic_search.space.match import Matcher

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cost_table import CostTable

INPUT = image(96, 96)
SPLITS = tuple(parse_split(text) for text in ("1", "3/4,1/4", "1/2,1/2", "1/4,3/4", "1/2,1/4,1/4"))


def upto(*deepest):
    return tuple(tuple(range(1, depth + 1)) for depth in deepest)


SPACES = {
    "resnext": Space(published("resnext50"), upto(20, 20, 20, 10), SPLITS),  # 8.6 million
    "densenet": Space(published("densenet201"), upto(12, 16, 20, 24), SPLITS[:3]),  # 2.5 million, coupled
    "widths": Space(
        published("resnext50"), upto(6, 6, 6, 2), SPLITS[:4], widths=((64, 128), (256, 512), (512,), (512, 1024))
    ),
    "dla": Space(published("dla_x60"), upto(3, 4, 5, 3), SPLITS),
}  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_counts_of_millions_equal_counting_them_one_by_one(name):
    space = SPACES[name]
    table = CostTable(space, 0, FVCORE, INPUT)
    grid = np.indices(table.sizes).reshape(len(table.sizes), -1)
    costs = table.costs(list(grid))
    matcher = Matcher(space, FVCORE, INPUT)
    assert matcher.size == len(costs) == math.prod(table.sizes) > 10_000
    assert matcher.bounds == (costs.min(), costs.max())
    rng = np.random.default_rng(0)
    for target in rng.choice(costs, 20).tolist():
        for tolerance in (Fraction(0), Fraction(1, 1000), Fraction(1, 20)):
            band = Band(target, tolerance, FVCORE, INPUT)
            inside = (costs >= band.low) & (costs <= band.high)
            assert matcher.count(band.low, band.high) == inside.sum()
        drawn = matcher.sample(band, 200, rng)
        assert all(candidate.cost in band for candidate in drawn)
        assert all(c.cost == tally(c.spec.graph(), INPUT, FVCORE).total for c in drawn[:2])


@pytest.mark.slow
@pytest.mark.parametrize("name", ("resnext50", "resnext50_cpu", "resnext50_blocks", "dla_x60", "densenet201", "demo"))
def test_draws_of_shipped_spaces_are_in_the_band_by_fvcore(name):
    import torch

    from elastic_search.nn.tools import fvcore_counts
    from elastic_search.nn.verify import empty_net

    plan = load_space(name)
    if not plan.count():
        pytest.fail("the shipped band is empty")
    for measure in ("uniform", "prior"):
        drawn = plan.sample(60, 0, measure)
        assert all(tally(c.spec.graph(), plan.band.input, plan.band.convention).total == c.cost for c in drawn)
        assert all(c.cost in plan.band for c in drawn)
        counted, _ = fvcore_counts(empty_net(drawn[0].spec.graph()), torch.zeros(1, *plan.band.input))
        assert sum(counted.values()) == drawn[0].cost
