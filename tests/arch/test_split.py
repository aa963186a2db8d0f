"""How splits are written, compared and retyped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic_search.arch.split import PLAIN, TYPES, parse_split, typed
from elastic_search.errors import SplitError
from tests.strategies import splits


@given(splits(12))
def test_text_of_a_split_is_read_back_equal(split):
    assert parse_split(str(split), split.down, split.up) == split
    assert parse_split(split.short, split.down, split.up) == split


@pytest.mark.parametrize(
    ("kind", "text", "pair"),
    (
        ("avgpool+bilinear", "1/2@1,1/4@1/2,1/4@1/4", ("avgpool", "bilinear")),
        ("avgpool+nearest", "1/2@1,1/4@1/2,1/4@1/4", ("avgpool", "nearest")),
        ("trained+trained", "1/2@1,1/4@1/2,1/4@1/4", ("trained", "trained")),
        ("dilated", "1/2@1,1/4@1~2,1/4@1~4", ("avgpool", "bilinear")),
        ("dilated+avgpool", "1/2@1,1/4@1~2ap,1/4@1~4ap", ("avgpool", "bilinear")),
    ),
)
def test_each_type_of_table_6_makes_the_low_branches_so(kind, text, pair):
    made = typed(parse_split("1/2,1/4,1/4"), kind)
    assert str(made) == text
    assert (made.down, made.up) == pair


@given(st.sampled_from(TYPES))
def test_a_plain_block_is_plain_under_every_type(kind):
    assert typed(PLAIN, kind) == PLAIN


@pytest.mark.parametrize(
    "text",
    ("1/2,1/2~ap", "1/2@1,1/2@1~1ap", "1@1~2pa", "1@1ap", "1/2", "1/2,1/2@1~0", "1/2,1/2@1~2ap~2"),
)
def test_malformed_split_is_refused(text):
    with pytest.raises(SplitError):
        parse_split(text)


@pytest.mark.parametrize("pair", (("avgpool", "trained"), ("trained", "bilinear"), ("trained", "nearest")))
def test_illegal_resampling_is_refused(pair):
    with pytest.raises(SplitError, match="cannot be combined"):
        parse_split("1/2,1/2", *pair)
