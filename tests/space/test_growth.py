"""Spaces that grow: sums on a lattice, counts beyond 64 bits, and spaces that are too large."""

import itertools
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from elastic_search.arch.ops import image
from elastic_search.arch.split import TYPES, parse_split
from elastic_search.arch.zoo import published
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import SpaceTooLargeError
from elastic_search.files import load_space
from elastic_search.files.space import parse_space
from elastic_search.space.band import Band, Limit
from elastic_search.space.chain import Chain
from elastic_search.space.choice import Space
from elastic_search.space.distribution import atom, block_sums, extents, product
from elastic_search.space.draw import BLOCK, Draws
from elastic_search.space.join import Join
from elastic_search.space.lattice import SAFE, effort, lattice, united
from elastic_search.space.marginals import _pull
from elastic_search.space.match import Matcher
from elastic_search.space.narrow import narrowings
from elastic_search.space.parts import Quantity
from elastic_search.space.work import MAX_ROWS, Work

INPUT = image(32, 32)
COST = Quantity(FVCORE, INPUT)
SPLITS = tuple(parse_split(text) for text in ("1", "3/4,1/4", "1/2,1/2", "1/4,3/4"))
WIDTHS = """schema = 1
inherit = "resnext50_blocks"
[widths]
layer1 = [96, 128, 160{0}]
layer2 = [192, 256, 320{1}]
layer3 = [384, 512, 640{2}]
layer4 = [768, 1024]
"""
THREE, FOUR = WIDTHS.format("", "", ""), WIDTHS.format(", 192", ", 384", ", 768")


def ways(rng, name, number, step, most=4):
    """An atom of distinct sums that are ``step`` apart."""
    sums = 7 + step * rng.choice(4 * number, number, replace=False)
    weights = rng.integers(1, most, number, endpoint=True)
    return atom([((int(s),), int(w), (name, i)) for i, (s, w) in enumerate(zip(sums, weights, strict=True))])


def sources(rng, most=4):
    """Two pairs whose sums lie on one lattice, dense enough for cells."""
    return [
        (ways(rng, "a", 90, 12, most), ways(rng, "b", 120, 18, most)),
        (ways(rng, "c", 3, 6, most), ways(rng, "d", 200, 30, most)),
    ]


def brute_force(pairs):
    found = Counter()
    for left, right in pairs:
        for (a, m), (b, n) in itertools.product(rows(left), rows(right)):
            found[a + b] += m * n
    return dict(sorted(found.items()))


def rows(distribution):
    return list(zip(distribution.sums[:, 0].tolist(), map(int, distribution.counts), strict=True))


@pytest.mark.parametrize("most", [4, 1 << 40], ids=["64 bits", "more"])
def test_sums_on_a_lattice_equal_brute_force(most):
    pairs = sources(np.random.default_rng(0), most)
    cells = lattice(extents(pairs))
    assert cells is not None
    assert cells.step == 6
    made = product(pairs, merge=True)
    assert dict(rows(made)) == brute_force(pairs)
    assert (made.total >= SAFE) == (most > 4)
    assert made.extent == united(extents(pairs))._replace(rows=len(made))


def test_sums_without_a_common_divisor_are_sorted():
    rng = np.random.default_rng(0)
    pairs = [(ways(rng, "a", 90, 10**9 + 7, 4), ways(rng, "b", 90, 10**9 + 9, 4))]
    assert lattice(extents(pairs)) is None
    assert effort(extents(pairs)) > 90 * 90
    assert dict(rows(product(pairs, merge=True))) == brute_force(pairs)


def test_extent_bounds_what_a_product_has():
    pairs = sources(np.random.default_rng(1))
    made, known = product(pairs, merge=True), united(extents(pairs))
    assert len(made) <= known.rows
    assert (known.low, known.high) == ((made.sums.min(),), (made.sums.max(),))
    assert not np.any(np.diff(made.sums[:, 0]) % known.step[0])
    assert known.total == made.total


@pytest.mark.parametrize("bound", [1 << 40, 1 << 90], ids=["64 bits", "more"])
def test_weights_pulled_through_a_lattice_equal_brute_force(bound):
    rng = np.random.default_rng(2)
    pairs = sources(rng)
    made = product(pairs, merge=True)
    weights = rng.integers(0, 1 << (20 if bound < SAFE else 58), len(made))
    by_sum = dict(zip(made.sums[:, 0].tolist(), weights.tolist(), strict=True))
    expected = Counter()
    for left, right in pairs:
        for (i, (a, m)), (j, (b, n)) in itertools.product(enumerate(rows(left)), enumerate(rows(right))):
            expected[left.payloads[i]] += m * n * by_sum[a + b]
            expected[right.payloads[j]] += m * n * by_sum[a + b]
    told = []
    pulled = list(_pull([(made, weights)], bound, told.append))
    found = {way: int(weight) for of, added in pulled for way, weight in zip(of.payloads, added, strict=True)}
    assert found == dict(expected)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.parametrize("bits", [20, 60])
def test_block_sums_are_exact(bits):
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 1 << bits, (2, 1000))
    products = [int(a) * int(b) for a, b in zip(left, right, strict=True)]
    found = block_sums(left, right, sum(products), 64)
    assert found.tolist() == [sum(products[i : i + 64]) for i in range(0, 1000, 64)]


def test_every_rank_of_a_band_is_one_way_through_it():
    rng = np.random.default_rng(3)
    left, right = ways(rng, "a", 3 * BLOCK + 5, 12), ways(rng, "b", 40, 18)
    join, low, high = Join(0, left, right), 5000, 5400
    draws = Draws([join], low, high)
    found = Counter((place.left, place.right) for place in map(draws._at, range(draws.total)))
    pairs = itertools.product(enumerate(rows(left)), enumerate(rows(right)))
    assert found == {(i, j): m * n for (i, (a, m)), (j, (b, n)) in pairs if low <= a + b <= high}
    assert max(i for i, _ in found) > BLOCK


def by_block(**changes):
    base = Space(published("resnext50"), ((1, 2, 3),) * 4, SPLITS, TYPES[:2], "block")
    return replace(base, **changes)


def test_work_is_planned_before_it_is_done():
    with pytest.raises(SpaceTooLargeError, match="too many networks"):
        Chain(by_block(), COST, work=Work(most=10)).planned()
    told = []
    work = Work(watch=lambda doing, share: told.append((doing, share)))
    Chain(by_block(), COST, work=work).joins()
    assert told[-1] == ("counting networks", 1)
    assert work.planned > 0
    smaller = Work()
    Chain(by_block(splits=SPLITS[:2]), COST, work=smaller).planned()
    assert smaller.planned < work.planned
    assert smaller.rows < work.rows


def test_a_count_keeps_no_more_than_it_may():
    needed = Work()
    Chain(by_block(), COST, work=needed).planned()
    matcher = Matcher(by_block(), FVCORE, INPUT, most_rows=needed.rows - 1)
    with pytest.raises(SpaceTooLargeError, match="times the work or memory that is allowed") as caught:
        matcher.some(Band(10**9, Fraction(1, 100), FVCORE, INPUT))
    assert '[splits] per = "stage"' in str(caught.value.hint)


def test_what_to_narrow_names_each_choice_that_suffices():
    widths = ((64, 128, 256), (256,), (512,), (1024,))
    hint = narrowings(by_block(widths=widths, cardinality=(16, 32)), COST, (), "uniform", MAX_ROWS)
    assert '[splits] per = "stage"; or [widths] at most 2 widths a stage; or [splits] at most 3 choices' in hint
    assert "[cardinality] one choice; or [resampling] one choice; or [depths] the 2 smallest of each stage" in hint
    limit = Limit(0, 10**9, None, INPUT)
    assert narrowings(by_block(), COST, (limit,), "uniform", MAX_ROWS).endswith("[band] without params and inputs")


ASKED = {
    "bounds": lambda plan: plan.matcher.bounds,
    "count": lambda plan: plan.matcher.some(plan.band),
    "sample": lambda plan: plan.sample(1),
    "nearest": lambda plan: plan.matcher.below(10**9),
}


@pytest.mark.parametrize("ask", ["bounds", *(pytest.param(a, marks=pytest.mark.slow) for a in list(ASKED)[1:])])
def test_space_that_is_too_large_is_refused_with_what_to_narrow(ask):
    plan = parse_space(FOUR, "four", "four.toml")
    with pytest.raises(SpaceTooLargeError, match=r"times the work or memory") as refused:
        ASKED[ask](plan)
    assert "[widths] at most 2 widths a stage" in refused.value.hint


def test_shares_of_a_space_of_blocks_add_up():
    space = by_block(depths=((3, 4, 5),) * 4)
    matcher = Matcher(space, FVCORE, INPUT)
    low, high = matcher.bounds
    band = load_space("demo").band
    band = replace(band, target=(low + high) // 2, input=INPUT)
    inside = matcher.some(band)
    counts = matcher.marginals(band)
    assert all(sum(of.values()) == inside for name, of in counts.items() if name.endswith(("depth", "resampling")))
    assert all(sum(of.values()) <= inside for of in counts.values())


@pytest.mark.slow
def test_three_widths_a_stage_are_counted_exactly():
    plan = parse_space(THREE, "three", "three.toml")
    assert plan.matcher.size == 5_395_683_325_058_096_023_427_081_106_800_160
    inside = plan.matcher.some(plan.band)
    assert inside == 183_667_947_822_777_978_398_320_348_751
    counts = plan.matcher.marginals(plan.band)
    whole = ("depth", "width", "resampling", ".0.split", ".1.split", ".2.split")
    assert all(sum(of.values()) == inside for name, of in counts.items() if name.endswith(whole))
    assert all(candidate.cost in plan.band for candidate in plan.sample(20))
