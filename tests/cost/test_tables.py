"""Every table by op type has a row for every op: what is missing is an error, not a guess."""

import pytest

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Builder
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost import storages, traits
from elastic_search.cost.memory import memory
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.nn import layers

EVERY = {op for room in (ops, traced_ops) for op in vars(room).values() if isinstance(op, type) and issubclass(op, Op)}
EVERY -= {Op}
FAMILIES = {op for op in EVERY if op.__module__ == ops.__name__}


def test_every_op_has_a_row_in_every_table():
    tables = {name: convention.rules for name, convention in CONVENTIONS.items()}
    tables |= {"autograd": storages.AUTOGRAD, "reads": traits._READS}
    assert {name: EVERY ^ table.keys() for name, table in tables.items()} == {name: set() for name in tables}


def test_every_op_of_the_families_can_be_built():
    assert layers._MODULES.keys() | layers._FUNCTIONS.keys() == FAMILIES


class Strange(Op):
    """An op that no table has."""


@pytest.mark.parametrize(
    "reader", (tally, memory, lambda graph, input: traits.receptive_field(traits.flatten(graph, input)))
)
def test_an_op_without_a_row_is_an_error(reader):
    b = Builder("strange")
    with pytest.raises((NotImplementedError, KeyError), match="Strange"):
        reader(b.done(b.add("strange", Strange(), "x")), Shape(3, 8, 8))
