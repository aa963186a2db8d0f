"""The feasible set against brute force, on spaces small enough to list."""

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic_search.arch.edit import elastic
from elastic_search.arch.families.densenet import DenseNet, densenet
from elastic_search.arch.families.dla import dla
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import image
from elastic_search.arch.split import TYPES, parse_split
from elastic_search.arch.written import parse_percent
from elastic_search.arch.zoo import published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE, MACS
from elastic_search.errors import NothingFitsError
from elastic_search.space.band import Band
from elastic_search.space.choice import Space
from elastic_search.space.depths import all_depths
from elastic_search.space.match import Matcher

INPUT = image(33, 47)
SPLITS = tuple(parse_split(text) for text in ("1", "1/2,1/2", "1/4,3/4", "1/2@1,1/4@1/2,1/4@1/4"))


def small_space(per="stage", depths=((1, 2), (1, 3), (1, 2)), splits=SPLITS, resampling=TYPES):
    base = resnext((2, 2, 2), path_width=1, cardinality=4)
    return Space(base, depths, splits, resampling, per)


def brute_force(space, convention):
    """Every distinct network with its cost, by decoding every combination of values."""
    names = [choice.name for choice in space.choices]
    combinations = itertools.product(*(choice.values for choice in space.choices))
    specs = {space.decode(dict(zip(names, values, strict=True))) for values in combinations}
    return {spec: tally(spec.graph(), INPUT, convention).total for spec in specs}


@pytest.mark.parametrize("per", ("stage", "network"))
def test_size_counts_every_distinct_network_once(per):
    space = small_space(per)
    networks = brute_force(space, FVCORE)
    assert len(networks) < space.combinations
    assert Matcher(space, FVCORE, INPUT).size == len(networks)


@settings(max_examples=40, deadline=None)
@given(
    per=st.sampled_from(("stage", "network")),
    depths=st.tuples(*[st.sets(st.integers(1, 3), min_size=1).map(lambda s: tuple(sorted(s)))] * 3),
    splits=st.sets(st.sampled_from(SPLITS), min_size=1).map(tuple),
    resampling=st.sets(st.sampled_from(TYPES), min_size=1).map(tuple),
    convention=st.sampled_from(list(CONVENTIONS.values())),
    at=st.integers(0, 10**6),
    tolerance=st.sampled_from((Fraction(0), Fraction(1, 100), Fraction(1, 10))),
)
def test_inside_is_what_brute_force_finds(per, depths, splits, resampling, convention, at, tolerance):
    space = small_space(per, depths, splits, resampling)
    networks = brute_force(space, convention)
    costs = sorted(networks.values())
    band = Band(costs[at % len(costs)], tolerance, convention, INPUT)
    matcher = Matcher(space, convention, INPUT)
    found = matcher.inside(band)
    expected = {spec: cost for spec, cost in networks.items() if band.low <= cost <= band.high}
    assert {candidate.spec: candidate.cost for candidate in found} == expected
    assert len(found) == len(expected) == matcher.count(band.low, band.high)
    assert all(candidate.params == candidate.spec.graph().params for candidate in found)
    distances = [abs(candidate.cost - band.target) for candidate in found]
    assert distances == sorted(distances)
    assert matcher.bounds == (costs[0], costs[-1])
    below, above = matcher.around(band)
    assert below == max((cost for cost in costs if cost < band.low), default=None)
    assert above == min((cost for cost in costs if cost > band.high), default=None)
    for candidate in found:
        assert space.decode(candidate.values) == candidate.spec
        assert space.values_of(candidate.spec) == candidate.values


@pytest.mark.parametrize("base", (dla((1, 1, 1)), densenet((2, 2, 2), growth=4)), ids=("dla", "densenet"))
def test_inside_is_what_brute_force_finds_where_channels_couple(base):
    depths = ((1, 2, 3),) * 3 if isinstance(base, DenseNet) else ((1, 2), (1, 2), (1,))
    space = Space(base, depths, SPLITS, TYPES[:2], "stage")
    networks = brute_force(space, FVCORE)
    costs = sorted(networks.values())
    band = Band(costs[len(costs) // 2], Fraction(1, 20), FVCORE, INPUT)
    matcher = Matcher(space, FVCORE, INPUT)
    found = matcher.inside(band)
    assert matcher.size == len(networks)
    assert {c.spec: c.cost for c in found} == {s: c for s, c in networks.items() if c in band}
    assert all(matcher.cost(c, MACS) == tally(c.spec.graph(), INPUT, MACS).total for c in found[:20])
    assert all(c.params == c.spec.graph().params for c in found)


@pytest.mark.parametrize("per", ("stage", "network"))
def test_samples_are_uniform_over_distinct_networks(per):
    space = small_space(per)
    matcher = Matcher(space, FVCORE, INPUT)
    middle = sum(matcher.bounds) // 2
    band = Band(middle, Fraction(1, 4), FVCORE, INPUT)
    networks = [candidate.spec for candidate in matcher.inside(band)]
    assert len(networks) > 20
    draws = 60 * len(networks)
    seen = Counter(c.spec for c in matcher.sample(band, draws, np.random.default_rng(0)))
    assert set(seen) <= set(networks)
    statistic = sum((seen[spec] - 60) ** 2 / 60 for spec in networks)
    freedom = len(networks) - 1
    assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5


def test_empty_band_names_the_nearest():
    matcher = Matcher(small_space(), FVCORE, INPUT)
    low, high = matcher.bounds
    with pytest.raises(NothingFitsError, match=f"{high:,}") as error:
        matcher.sample(Band(2 * high, Fraction(1, 100), FVCORE, INPUT), 1, np.random.default_rng(0))
    assert f"{low:,} to {high:,}" in error.value.hint


@pytest.mark.parametrize(
    ("name", "depths", "macs_difference", "fvcore_difference"),
    (("resnext50", (6, 8, 5, 3), -1.27, -0.26), ("resnext101", (12, 14, 20, 3), -1.02, 0.28)),
)
def test_paper_depths_are_found_by_arithmetic(name, depths, macs_difference, fvcore_difference):
    base, size = published(name), image(224, 224)
    target = tally(base.graph(), size, FVCORE).total
    band = Band(target, Fraction(1, 200), FVCORE, size)
    space = all_depths(base, parse_split("1/2,1/2"), band.high, FVCORE, size)
    (found,) = [c for c in Matcher(space, FVCORE, size).inside(band) if c.spec.depths == depths]
    assert round(100 * (found.cost / target - 1), 2) == fvcore_difference
    macs = [tally(spec.graph(), size, MACS).total for spec in (base, found.spec)]
    assert round(100 * (macs[1] / macs[0] - 1), 2) == macs_difference


def test_all_depths_leaves_nothing_out():
    base, split = replace(resnext((1, 1, 1), path_width=1, cardinality=4), stem_width=2), parse_split("1/2,1/2")

    def cost(depths):
        return tally(elastic(base.with_depths(depths), split).graph(), INPUT, FVCORE).total

    most = cost((3, 2, 2))
    space = all_depths(base, split, most, FVCORE, INPUT)
    deepest = max(max(depths) for depths in space.depths) + 2
    assert deepest < 40
    expected = {d for d in itertools.product(range(1, deepest + 1), repeat=3) if cost(d) <= most}
    found = Matcher(space, FVCORE, INPUT).inside(Band(most, Fraction(1), FVCORE, INPUT))
    assert {c.spec.depths for c in found if c.cost <= most} == expected


def test_limit_gives_the_head_of_the_whole_list():
    matcher = Matcher(small_space(), FVCORE, INPUT)
    band = Band(sum(matcher.bounds) // 2, Fraction(1, 2), FVCORE, INPUT)
    whole = [abs(c.cost - band.target) for c in matcher.inside(band)]
    for limit in (1, 7, len(whole), len(whole) + 5):
        assert [abs(c.cost - band.target) for c in matcher.inside(band, limit=limit)] == whole[:limit]


@given(st.integers(1, 10**12), st.fractions(0, 1))
def test_band_holds_exactly_the_costs_within_its_tolerance(target, tolerance):
    band = Band(target, tolerance, FVCORE, INPUT)
    for cost in (band.low - 1, band.low, band.high, band.high + 1):
        assert (cost in band) == (abs(Fraction(cost - target, target)) <= tolerance)


@pytest.mark.parametrize(
    ("text", "share"), (("1%", "1/100"), ("0.5 %", "1/200"), ("0.01", "1/100"), ("100%", "1"), ("0", "0"))
)
def test_percent_is_read_exactly(text, share):
    assert parse_percent(text) == Fraction(share)


@pytest.mark.parametrize("text", ("", "%", "1.5", "-1%", "x", "1e-2", "101%", "nan", "1 % 2"))
def test_percent_refuses(text):
    with pytest.raises(ValueError, match="write 1%"):
        parse_percent(text)
