"""What the strategies that learn think of candidates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.search.propose.density import Density, thinned
from elastic_search.search.propose.gaussian_process import GaussianProcess, normal_scores
from elastic_search.space.choice import Choice

CHOICES = (Choice("depth", (1, 2, 3, 4, 5), True), Choice("split", ("a", "b", "c"), False), Choice("one", (1,), True))
VALUES = [{"depth": depth, "split": split, "one": 1} for depth in (1, 2, 3, 4, 5) for split in ("a", "b", "c")]


JUDGES = {"joint": Density(), "by choice": Density(joint_up_to=0), "process": GaussianProcess()}


@pytest.fixture(params=JUDGES)
def judge(request):
    """Judges candidates: a ratio of joint densities, of products of densities, or the process."""
    return JUDGES[request.param].judge


def test_values_of_good_trials_are_preferred(judge):
    finished = [(values, values["depth"] / 10 + 0.25 * (values["split"] == "b")) for values in VALUES]
    best = VALUES[int(np.argmax(judge(CHOICES, finished, VALUES)))]
    assert best["split"] == "b"
    assert best["depth"] >= 4


def test_ordered_choices_spread_to_their_neighbours(judge):
    finished = [({"depth": depth, "split": "a", "one": 1}, score) for depth, score in ((1, 0.0), (2, 0.1), (4, 1.0))]
    ratios = judge(CHOICES, finished, [{"depth": depth, "split": "a", "one": 1} for depth in (1, 3, 5)])
    assert ratios[2] > ratios[1] > ratios[0]


SCORES = st.one_of(st.floats(0, 1), st.just(-math.inf), st.floats(-1e6, -999_990))


@given(st.lists(st.tuples(st.sampled_from(VALUES), SCORES), min_size=2, max_size=30))
def test_judgements_are_finite_whatever_was_seen(finished):
    assert np.isfinite(Density().judge(CHOICES, finished, VALUES)).all()
    assert np.isfinite(GaussianProcess().judge(CHOICES, finished, VALUES)).all()


def test_densities_are_those_of_their_formula():
    """One good trial and one other: (prior + kernel) / 2 over (prior + kernel) / 2, worked out by hand."""
    finished = [({"split": "a"}, 1.0), ({"split": "b"}, 0.0)]
    stays = Density().stays + (1 - Density().stays) / 3
    leaves = (1 - Density().stays) / 3
    expected = [
        math.log((1 / 3 + here) / (1 / 3 + there)) for here, there in ((stays, leaves), (leaves, stays), (1, 1))
    ]
    found = Density().judge(CHOICES[1:2], finished, [{"split": split} for split in "abc"])
    assert found == pytest.approx(expected)
    expected = [math.log((1 / 3 + here) / (1 / 3 + there)) for here, there in ((1, 0), (0, 1), (0, 0))]
    found = Density(joint_up_to=0).judge(CHOICES[1:2], finished, [{"split": split} for split in "abc"])
    assert found == pytest.approx(expected)


def test_process_is_unsure_of_what_it_has_not_seen():
    finished = [({"depth": 1, "split": "a", "one": 1}, 0.5), ({"depth": 1, "split": "b", "one": 1}, 0.5)] * 4
    near, far = GaussianProcess().judge(CHOICES, finished, [VALUES[0], VALUES[-1]])
    assert far > near


def test_normal_scores_are_ranks_whatever_the_scale():
    scores = normal_scores([0.3, -math.inf, 0.1, 0.3, -999_999.5])
    assert scores[1] < scores[4] < scores[2] < scores[0] == scores[3]
    assert np.isfinite(scores).all()
    assert normal_scores([1, 2, 3]) == pytest.approx(normal_scores([-5, 0, 1e9]))


def test_ten_thousand_trials_are_thinned_and_the_best_stay():
    rng = np.random.default_rng(0)
    finished = [
        (VALUES[i], float(score)) for i, score in zip(rng.integers(15, size=10_000), rng.random(10_000), strict=True)
    ]
    finished += [(VALUES[13], 2.0)] * 50
    assert len(thinned(np.arange(10_000), 1000)) == 1000
    for judge in (Density().judge, GaussianProcess().judge):
        assert VALUES[int(np.argmax(judge(CHOICES, finished, VALUES)))] == VALUES[13]
