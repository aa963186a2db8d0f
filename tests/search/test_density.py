import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.search.density import log_ratios
from elastic_search.space.choice import Choice

CHOICES = (Choice("depth", (1, 2, 3, 4, 5), True), Choice("split", ("a", "b", "c"), False))
VALUES = [{"depth": depth, "split": split} for depth in (1, 2, 3, 4, 5) for split in ("a", "b", "c")]


def test_values_of_good_trials_are_preferred():
    finished = [(values, values["depth"] / 10 + (values["split"] == "b")) for values in VALUES]
    best = VALUES[int(np.argmax(log_ratios(CHOICES, finished, VALUES)))]
    assert best["split"] == "b"
    assert best["depth"] >= 4


def test_ordered_choices_spread_to_their_neighbours():
    finished = [({"depth": depth, "split": "a"}, score) for depth, score in ((1, 0.0), (2, 0.1), (4, 1.0))]
    ratios = log_ratios(CHOICES, finished, [{"depth": depth, "split": "a"} for depth in (1, 3, 5)])
    assert ratios[2] > ratios[1] > ratios[0]


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.floats(0, 1)), min_size=2, max_size=30))
def test_ratios_are_finite_whatever_was_seen(finished):
    assert np.isfinite(log_ratios(CHOICES, finished, VALUES)).all()
