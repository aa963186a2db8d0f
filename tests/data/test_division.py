"""Which image is in which split, and that nothing but content decides it."""

import hashlib
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from elastic_search.data.division import divided, subset_of
from elastic_search.data.source import Entry
from elastic_search.errors import DataError
from elastic_search.recipes import Data

CLASSES = ("ant", "bee", "cow")
ONE_TREE, TWO, THREE = {"": "images"}, {"train": "train/", "final": "val/"}, {"train": "a", "rank": "b", "final": "c"}
LAYOUTS = (ONE_TREE, TWO, THREE, {"train": "a", "rank": "b"})

TREE_NAMES, TWO_NAMES = ("72% of images", "8% of images", "20% of images"), ("90% of train/", "10% of train/", "val/")
NINE = {"train": 9, "rank": 4, "final": 3}


def content(number):
    return hashlib.sha256(str(number).encode()).digest()


def split(parts, images, **how):
    """Contents of each split, of (part, label, number of the content) of each image."""
    entries = [Entry(part, label, str(at)) for at, (part, label, _) in enumerate(images)]
    contents = [None if number is None else content(number) for _, _, number in images]
    done = divided("set", CLASSES, parts, entries, contents, Data("set", **how))
    return {name: [(contents[row], entries[row].label) for row in rows] for name, rows in done.rows.items()}, done


def counts(parts, sizes, **how):
    images, number = [], 0
    for part, count in sizes.items():
        for label in range(len(CLASSES)):
            images += [(part, label, number + at) for at in range(count)]
            number += count
    rows, done = split(parts, images, **how)
    return {name: len(some) // len(CLASSES) for name, some in rows.items()}, dict(done.splits)


@pytest.mark.parametrize(
    ("parts", "sizes", "how", "expected", "called"),
    (
        (ONE_TREE, {"": 20}, {}, {"train": 14, "rank": 2, "final": 4}, TREE_NAMES),
        (ONE_TREE, {"": 20}, {"rank_on": "val"}, {"train": 16, "rank": 4}, ("80% of images", "20% of images", None)),
        (ONE_TREE, {"": 3}, {}, {"train": 1, "rank": 1, "final": 1}, TREE_NAMES),
        (TWO, {"train": 20, "final": 5}, {}, {"train": 18, "rank": 2, "final": 5}, TWO_NAMES),
        (TWO, {"train": 20, "final": 5}, {"rank_on": "val"}, {"train": 20, "rank": 5}, ("train/", "val/", None)),
        (TWO, {"train": 2, "final": 1}, {}, {"train": 1, "rank": 1, "final": 1}, TWO_NAMES),
        (TWO, {"train": 8, "final": 5}, {"held_out": Fraction(1, 4)}, {"train": 6, "rank": 2, "final": 5},
         ("75% of train/", "25% of train/", "val/")),
        (THREE, NINE, {}, NINE, ("a", "b", "c")),
        (THREE, NINE, {"rank_on": "val"}, NINE, ("a", "b", "c")),
        (LAYOUTS[3], {"train": 9, "rank": 4}, {}, {"train": 9, "rank": 4}, ("a", "b", None)),
    ),
)  # fmt: skip
def test_each_class_is_split_as_stated(parts, sizes, how, expected, called):
    found, names = counts(parts, sizes, **how)
    assert found == expected
    assert (names["train"], names["rank"], names.get("final")) == called


@st.composite
def sources(draw):
    parts = draw(st.sampled_from(LAYOUTS))
    image = st.tuples(st.sampled_from(list(parts)), st.integers(0, 2), st.none() | st.integers(0, 40))
    whole = [
        (part, label, 1000 + 100 * place + 10 * label + at)
        for place, part in enumerate(parts)
        for label in range(3)
        for at in range(4)
    ]
    return parts, [*whole, *draw(st.lists(image, max_size=40))], draw(st.sampled_from(("held-out", "val")))


@settings(max_examples=150, deadline=None)
@given(sources(), st.randoms())
def test_split_is_a_matter_of_content_alone(source, random):
    parts, images, rank_on = source
    rows, _ = split(parts, images, rank_on=rank_on)
    shuffled = random.sample(images, len(images))
    again, _ = split(parts, shuffled, rank_on=rank_on)
    assert again == rows


@settings(max_examples=150, deadline=None)
@given(sources())
def test_no_image_is_twice_or_in_two_classes_and_none_is_lost(source):
    parts, images, rank_on = source
    rows, _ = split(parts, images, rank_on=rank_on)
    used = [one for some in rows.values() for one, _ in some]
    assert len(used) == len(set(used))
    labels = {}
    for _, label, number in images:
        if number is not None:
            labels.setdefault(content(number), set()).add(label)
    assert set(used) == {one for one, some in labels.items() if len(some) == 1}
    assert {"train", "rank"} <= set(rows)
    for some in rows.values():
        assert {label for _, label in some} == {0, 1, 2}


@settings(max_examples=100, deadline=None)
@given(sources(), st.integers(100, 200))
def test_one_more_image_moves_few_others(source, number):
    """A split that hung on order, or on numbers of images, would shuffle everything."""
    parts, images, _ = source
    assume("" in parts)
    before, _ = split(parts, images)
    after, _ = split(parts, [*images, ("", 0, number)])
    moved = {one for name in before for one, _ in before[name]} - {
        one for name in before for one, _ in set(before[name]) & set(after[name])
    }
    assert len(moved) <= 2  # one over each border


def test_doubles_stay_where_they_are_published():
    images = [("train", label, 10 * label + at) for label in range(3) for at in range(5)]
    images += [("final", label, 10 * label + at) for label in range(3) for at in (0, 7)]
    rows, done = split(TWO, images)
    assert (content(0), 0) in rows["final"]
    assert (content(0), 0) not in rows["train"] + rows["rank"]
    assert done.notes == ("doubles of other images are left out (3)",)


def test_image_in_two_classes_is_named_and_in_neither():
    images = [("", label, 10 * label + at) for label in range(3) for at in range(5)]
    rows, done = split(ONE_TREE, [*images, ("", 1, 0)])
    assert all(one != content(0) for some in rows.values() for one, _ in some)
    assert done.notes == ("the same image is in two classes and is left out: 0 and 15",)


@pytest.mark.parametrize(
    ("parts", "images", "message"),
    (
        (ONE_TREE, [("", 0, 1), ("", 0, 2)], r"ant \(2 of at least 3\), bee \(0 of at least 3\)"),
        (TWO, [("train", 0, 1), ("final", 0, 2)], r"train/ant \(1 of at least 2\), val/bee \(0 of at least 1\)"),
        (ONE_TREE, [("", 0, 1), ("", 0, 1), ("", 0, None)], r"ant \(1 of at least 3\)"),
    ),
)
def test_class_without_an_image_for_each_split_is_named(parts, images, message):
    rest = [(part, label, 50 + 10 * label + at) for part in parts for label in (2,) for at in range(3)]
    with pytest.raises(DataError, match=message.split(",")[0]) as caught:
        split(parts, [*images, *rest])
    for name in message.split(", ")[1:]:
        assert name.replace("\\", "") in str(caught.value)


def test_subset_is_a_share_of_each_class_by_name():
    entries = [Entry("", label, f"{label}/{at}") for label, count in enumerate((100, 40, 2)) for at in range(count)]
    chosen = subset_of(entries, Fraction(1, 10))
    assert [sum(entry.label == label for entry in chosen) for label in range(3)] == [10, 4, 2]
    assert set(chosen) < set(subset_of(entries, Fraction(1, 5))) < set(entries)
    assert sorted(subset_of(entries[::-1], Fraction(1, 10))) == sorted(chosen)
    assert subset_of(entries, Fraction(1)) is entries
