"""How sure an accuracy is, and which rows of a search it tells apart."""

from dataclasses import replace
from math import sqrt

import pytest

from elastic_search.files import parse_space
from elastic_search.recipes import About, Training
from elastic_search.recipes.scenes import scenes_about
from elastic_search.report.accuracies import (
    accuracy_fields,
    accuracy_notes,
    accuracy_title,
    spread_note,
    standard_error,
)
from elastic_search.report.searches import row_dict
from elastic_search.search.store.ranking import Row
from elastic_search.search.store.result import Result
from tests.staging import SPACE

RANKED_ON_VAL = scenes_about(Training(val_images=500, test_images=1000), 64)
RANKED_ON_TEST = scenes_about(Training(test_images=1000), 64)


def row(rank, test, val=0.5):
    error = None if test is None else standard_error(test, 1000)
    return {
        "place": rank,
        "accuracy": val,
        "test_accuracy": test,
        "standard_error": error,
        "ranked_error": standard_error(val, 500),
    }


@pytest.mark.parametrize(("accuracy", "images"), ((0.6, 1000), (0.1, 400), (0.95, 2000)))
def test_standard_error_is_the_binomial_one_of_many_images(accuracy, images):
    assert standard_error(accuracy, images) == pytest.approx(sqrt(accuracy * (1 - accuracy) / images), rel=0.02)


@pytest.mark.parametrize("accuracy", (0.0, 1.0))
def test_standard_error_of_all_or_none_right_is_not_nothing(accuracy):
    assert standard_error(accuracy, 10) == pytest.approx(1 / 22)


def test_error_stands_beside_the_accuracy_that_is_shown():
    assert [field.title for field in accuracy_fields(RANKED_ON_VAL)] == ["val acc", "test acc", "±"]
    assert [field.title for field in accuracy_fields(RANKED_ON_TEST)] == ["proxy acc", "±"]


def test_note_names_the_rows_that_differ_by_more_than_chance():
    rows = [row("base", 0.60), row("1", 0.62, 0.6), row("2", 0.50), row("3", 0.641), row("stopped", None)]
    images, apart = accuracy_notes(rows, RANKED_ON_VAL)
    assert "of 1,000 images" in images
    assert "of test acc" in images
    assert "unpaired (at most 4.4%); from the base: 2; from 1: 2" in apart


def test_note_counts_the_rows_where_they_are_many():
    rows = [row("base", 0.6), *(row(str(i), 0.3, 0.4) for i in range(1, 9))]
    assert accuracy_notes(rows, RANKED_ON_VAL)[-1].endswith("from the base: 8 rows; from 1: base")


def test_note_of_one_row_compares_nothing():
    assert len(accuracy_notes([row("base", 0.6)], RANKED_ON_VAL)) == 1


def test_ranking_on_the_test_scenes_is_called_optimistic():
    rows = [row("base", None, 0.6), row("1", None, 0.7)]
    rows = [{**each, "standard_error": standard_error(each["accuracy"], 1000)} for each in rows]
    optimistic, images, apart = accuracy_notes(rows, RANKED_ON_TEST)
    assert "optimistic" in optimistic
    assert "of proxy acc" in images
    assert apart.endswith("from the base: 1; from 1: base")


def test_ranking_on_too_few_images_is_called_chance():
    """One standard error of half of 500 images is 2.2 points."""
    close = [row("base", 0.6, 0.51), row("1", 0.6, 0.53), row("2", 0.6, 0.49), row("stopped", None, 0.1)]
    (warning,) = spread_note(close, RANKED_ON_VAL)
    assert warning.startswith("warning: the ranking is chance: one standard error of val acc (2.2%, of 500 images)")
    assert "the 3 networks (2.0%, one standard deviation)" in warning
    assert warning in accuracy_notes(close, RANKED_ON_VAL)
    assert spread_note([*close[:2], row("2", 0.6, 0.45)], RANKED_ON_VAL) == []


def test_two_networks_have_no_spread():
    assert spread_note([row("base", 0.6), row("1", 0.6)], RANKED_ON_VAL) == []


def test_title_and_notes_name_the_metric_that_ranks():
    assert [field.title for field in accuracy_fields(RANKED_ON_VAL, "f1")] == ["val F1", "test F1", "±"]
    rows = [row("base", 0.6), row("1", 0.6), row("2", 0.6)]
    images, warning, _ = accuracy_notes(rows, RANKED_ON_VAL, "balanced_accuracy")
    assert "of test bal acc (resampled, of 1,000 images)" in images
    assert "of val bal acc (2.2%" in warning


@pytest.mark.parametrize(("shown", "expected"), ((0.5, 0.04 * sqrt(250 / 1000)), (None, None)))
def test_error_of_another_metric_is_the_recorded_one_scaled_to_the_images_shown(shown, expected):
    text = SPACE + '[proxy]\nval_images = 250\ntest_images = 1000\nmetric = "f1"\n'
    space = parse_space(text, "small", "small.toml")
    base = space.space.base
    result = Result(None, None, "a", 10, 20, 0, 0.5, {}, 1.0, test_accuracy=shown, standard_error=0.04)
    record = row_dict(Row("base", result, base, 0.0), space)
    assert record["ranked_error"] == 0.04
    assert record["standard_error"] == (None if expected is None else pytest.approx(expected))
    plain = row_dict(Row("base", replace(result, standard_error=None), base, 0.0), space)
    assert plain["ranked_error"] == standard_error(0.5, 250)


def test_columns_of_a_set_that_was_cut_in_three_have_different_names():
    splits = {"train": "72% of images", "rank": "8% of images", "final": "20% of images"}
    about = About("set", "key", ("a", "b"), {"train": 72, "rank": 8, "final": 20}, splits)
    assert accuracy_title(about, "rank") == "held-out acc"
    assert accuracy_title(about, "final") == "final acc"
    assert accuracy_title(replace(about, splits={**splits, "final": "val/"}), "final") == "val acc"
