"""Lists that the command line states anew, so that a help text loads nothing heavy."""

from elastic_search.cli import options
from elastic_search.cost.memory import DTYPES


def test_dtypes_are_those_that_are_counted():
    assert list(DTYPES) == options.DTYPES
