import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elastic_search.arch.families.densenet import densenet
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.space.choice import Space
from elastic_search.space.distribution import sorted_rows

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from cost_table import CostTable


@pytest.mark.parametrize("base", (densenet((1, 1, 1), growth=4), resnext((1, 1, 1), path_width=1, cardinality=4)))
def test_costs_of_many_configurations_are_those_of_the_tally(base):
    space = Space(base, ((1, 2, 3),) * 3, (parse_split("1"), parse_split("1/2,1/2")))
    table = CostTable(space, 0, FVCORE, image(33, 47))
    rng = np.random.default_rng(0)
    options = [rng.integers(0, size, 50) for size in table.sizes]
    for cost, *numbers in zip(table.costs(options), *options, strict=True):
        stages = tuple(of[n].stage for of, n in zip(space.arms[0].stages, numbers, strict=True))
        assert cost == tally(replace(space.arms[0].base, stages=stages).graph(), image(33, 47), FVCORE).total
    with pytest.raises(IndexError, match="numbered from 0"):
        table.costs([numbers + 100 for numbers in options])


@pytest.mark.parametrize("scale", (1, 1 << 20, 1 << 55))
def test_rows_are_sorted_as_a_stable_sort_does(scale):
    rng = np.random.default_rng(0)
    sums = rng.integers(-50, 50, (2000, 1)) * scale
    assert (sorted_rows(sums) == np.argsort(sums[:, 0], kind="stable")).all()
    assert not len(sorted_rows(sums[:0]))
