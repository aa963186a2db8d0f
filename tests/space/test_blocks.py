"""Spaces in which blocks, widths and cardinality choose, and bands on several quantities, against brute force."""

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from elastic_search.arch.families.densenet import densenet
from elastic_search.arch.families.dla import dla
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import image
from elastic_search.arch.split import TYPES, parse_split
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.space.band import Band, Limit
from elastic_search.space.choice import Space
from elastic_search.space.match import Matcher

INPUT, SMALL = image(33, 47), image(32, 32)
SPLITS = tuple(parse_split(text) for text in ("1", "1/2,1/2", "1/4,3/4"))
RESNEXT = resnext((1, 1, 1), path_width=1, cardinality=4)
SPACES = {
    "resnext": Space(RESNEXT, ((1, 2), (1, 3), (1, 2)), SPLITS, TYPES[:3], "block"),
    "densenet": Space(densenet((1, 1, 1), growth=4), ((1, 2), (1, 2, 3), (2, 3)), SPLITS[:2], TYPES[:2], "block"),
    "dla": Space(dla((1, 1, 1)), ((1, 2), (1, 2), (1,)), SPLITS, TYPES[:2], "block"),
    "widths": Space(RESNEXT, ((1, 2),) * 3, SPLITS[:2], TYPES[:2], "block", ((4, 8), (8,), (16, 24)), (2, 4)),
    "stage widths": Space(RESNEXT, ((1, 2),) * 3, SPLITS[:2], TYPES[:2], "stage", ((4, 8), (8,), (16, 24)), (2, 4)),
}


def combinations(space):
    names = [choice.name for choice in space.choices]
    for values in itertools.product(*(choice.values for choice in space.choices)):
        yield space.decode(dict(zip(names, values, strict=True)))


@pytest.fixture(scope="module", params=SPACES)
def case(request):
    """A space, and every distinct network with its cost and the number of combinations that give it."""
    space = SPACES[request.param]
    times = Counter(combinations(space))
    return space, {spec: tally(spec.graph(), INPUT, FVCORE).total for spec in times}, times


def test_counts_bounds_and_nearest_equal_brute_force(case):
    space, costs, _ = case
    matcher, ordered = Matcher(space, FVCORE, INPUT), sorted(costs.values())
    assert matcher.size == len(costs)
    assert matcher.bounds == (ordered[0], ordered[-1])
    band = Band(ordered[len(ordered) // 3], Fraction(1, 20), FVCORE, INPUT)
    inside = matcher.inside(band)
    assert {c.spec: c.cost for c in inside} == {spec: cost for spec, cost in costs.items() if cost in band}
    assert len(inside) == matcher.count(band.low, band.high)
    assert all(c.params == c.spec.graph().params and space.values_of(c.spec) == c.values for c in inside)
    assert all(space.decode(c.values) == c.spec for c in inside)
    assert all(matcher.cost(c, MACS) == tally(c.spec.graph(), INPUT, MACS).total for c in inside[:10])
    for cost in (ordered[0] - 1, ordered[7] + 1, ordered[-1] + 1):
        below, above = matcher.below(cost), matcher.above(cost)
        assert (below and below.cost) == max((c for c in ordered if c <= cost), default=None)
        assert (above and above.cost) == min((c for c in ordered if c >= cost), default=None)


def test_marginals_equal_brute_force(case):
    space, costs, _ = case
    band = Band(sorted(costs.values())[len(costs) // 2], Fraction(1, 10), FVCORE, INPUT)
    marginals = Matcher(space, FVCORE, INPUT).marginals(band)
    expected = {choice.name: dict.fromkeys(choice.values, 0) for choice in space.choices}
    for spec in (spec for spec, cost in costs.items() if cost in band):
        for name, value in space.values_of(spec).items():
            stage, _, block = name.removesuffix(".split").partition(".")
            if block.isdecimal() and int(block) >= len(spec.stages[space.stage_names.index(stage)].splits):
                continue
            expected[name][value] += 1
    assert marginals == expected


def test_two_more_quantities_are_bounded_exactly(case):
    space, costs, _ = case
    ordered = sorted(costs.values())
    band = Band(ordered[len(ordered) // 2], Fraction(1, 10), FVCORE, INPUT)
    middle = next(spec for spec, cost in costs.items() if cost == band.target)
    params, small = middle.graph().params, tally(middle.graph(), SMALL, FVCORE).total
    limits = (
        Limit(int(params * 0.95), int(params * 1.05), None, INPUT),
        Limit(int(small * 0.9), int(small * 1.1), FVCORE, SMALL),
    )
    fits = {
        spec
        for spec in costs
        if limits[0].low <= spec.graph().params <= limits[0].high
        and limits[1].low <= tally(spec.graph(), SMALL, FVCORE).total <= limits[1].high
    }
    matcher = Matcher(space, FVCORE, INPUT, limits)
    expected = {spec for spec in fits if costs[spec] in band}
    assert {c.spec for c in matcher.inside(band)} == expected
    assert len(expected) == matcher.count(band.low, band.high) > 0
    assert {c.spec for c in matcher.sample(band, 100, np.random.default_rng(0))} <= expected
    below, above = matcher.around(band)
    assert below == max((costs[s] for s in fits if costs[s] < band.low), default=None)
    assert above == min((costs[s] for s in fits if costs[s] > band.high), default=None)


@pytest.mark.parametrize("measure", ("uniform", "prior"))
def test_draws_follow_their_measure(measure):
    space = SPACES["resnext"]
    times, costs = Counter(), {}
    for values in itertools.product(*(choice.values for choice in space.choices)):
        spec = space.decode(dict(zip((c.name for c in space.choices), values, strict=True)))
        times[spec] += 1
        costs[spec] = costs.get(spec) or tally(spec.graph(), INPUT, FVCORE).total
    matcher = Matcher(space, FVCORE, INPUT)
    band = Band(sorted(costs.values())[len(costs) // 2], Fraction(1, 200), FVCORE, INPUT)
    inside = {spec.stages: times[spec] if measure == "prior" else 1 for spec in costs if costs[spec] in band}
    total, draws = sum(inside.values()), 20 * len(inside)
    seen = Counter(c.stages for c in matcher.sample(band, draws, np.random.default_rng(1), measure))
    assert set(seen) <= set(inside)
    statistic = sum((seen[s] - draws * w / total) ** 2 / (draws * w / total) for s, w in inside.items())
    freedom = len(inside) - 1
    assert freedom > 10
    assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5
