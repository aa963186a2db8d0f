"""``match``: all depths at which a split costs what a target says."""

from fractions import Fraction

import pytest

from elastic_search import FVCORE, MACS, Shape, elastic, match, parse_split, published, tally
from elastic_search.errors import NothingFitsError
from elastic_search.space.depths import all_depths
from elastic_search.space.match import Matcher

BASE, SPLIT, INPUT = published("resnext50"), parse_split("1/2,1/2"), Shape(3, 224, 224)


def test_match_finds_the_depths_of_the_paper_at_the_base_s_cost():
    found = match(BASE, SPLIT, tolerance=Fraction(1, 200))
    own = tally(BASE.graph(), INPUT, FVCORE).total
    assert found.band.target == own
    assert found.found == len(found.networks)
    assert elastic(BASE.with_depths((6, 8, 5, 3)), SPLIT) in [one.spec for one in found.networks]
    for one in found.networks[:5]:
        assert one.cost == tally(one.spec.graph(), INPUT, FVCORE).total
        assert one.cost in found.band


def test_match_keeps_to_a_target_and_a_convention():
    found = match(BASE, SPLIT, target=2_000_000_000, convention=MACS, input=Shape(3, 160, 160), limit=3)
    assert len(found.networks) == 3 < found.found
    for one in found.networks:
        assert abs(tally(one.spec.graph(), Shape(3, 160, 160), MACS).total - 2_000_000_000) <= 20_000_000


def test_match_lists_the_nearest_that_keep_the_parameters():
    whole = match(BASE, SPLIT, params_tolerance=Fraction(1, 10))
    params = BASE.graph().params
    assert 0 < whole.found == len(whole.networks) < match(BASE, SPLIT).found
    assert all(abs(one.spec.graph().params - params) <= params / 10 for one in whole.networks)
    few = match(BASE, SPLIT, params_tolerance=Fraction(1, 10), limit=7)
    assert few.found == whole.found
    assert [one.spec for one in few.networks] == [one.spec for one in whole.networks[:7]]


@pytest.mark.parametrize("tolerances", ({"tolerance": Fraction(0)}, {"params_tolerance": Fraction(0)}))
def test_match_says_what_is_nearest_where_nothing_fits(tolerances):
    with pytest.raises(NothingFitsError, match=r"nearest cost|parameters"):
        match(BASE, SPLIT, **tolerances)


def test_match_of_a_tree_is_its_space_of_depths():
    base = published("dla_x60")
    found = match(base, SPLIT, tolerance=Fraction(1, 5))
    space = all_depths(base, SPLIT, found.band.high, FVCORE, INPUT)
    assert {one.spec for one in found.networks} == {
        one.spec for one in Matcher(space, FVCORE, INPUT).inside(found.band)
    }
