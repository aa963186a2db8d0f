"""Calls of torch modules and functions as ops: a table from torch's name to a converter.

A converter gets the call and the shapes that enter and leave it, and returns an op, or None if there is none. The op is
used only if its output shape is the one that torch returned.
"""

from __future__ import annotations

from torch import nn

from elastic_search.arch import traced_ops
from elastic_search.nn.trace import layers, operations, recurrent
from elastic_search.nn.trace.call import ARITHMETIC, Call, Converter
from elastic_search.nn.trace.operations import ACTIVATIONS

MODULES: dict[type[nn.Module], Converter] = {**layers.MODULES, **operations.MODULES, **recurrent.MODULES}
"""By exact class, as the tools look modules up."""
FUNCTIONS: dict[str, Converter] = {**layers.FUNCTIONS, **operations.FUNCTIONS, **recurrent.FUNCTIONS}

_HOMES = {"torch", "torchvision", "aten", "_operator", "builtins", "math"}
"""First parts of the labels of functions that are in the tables."""


VIEWS = (traced_ops.VIEWS | {"contiguous"}) - {"depends", "detach"}
"""Functions whose result may share memory with their input, so that writing to one writes to the other."""

FREE_FUNCTIONS = VIEWS.union(
    """
    _assert_tensor_metadata _to_copy _weight_norm abs alias amax amin and_ arange argmax argmin bitwise_and bitwise_not
    bitwise_or bool cat ceil channel_shuffle clamp clamp_max clamp_min clip clone concat concatenate
    constant_pad_nd copy cos cumsum detach dim empty empty_like eq exp expm1 eye fill finfo flip float floor
    floor_divide floordiv fold full full_like gather ge getattr getitem gt half index_select int invert
    is_floating_point item le len lift_fresh_copy linspace log log1p logical_and logical_not logical_or lshift
    lt masked_fill max maximum mean min minimum mod ndimension ne neg nelement new_empty new_full new_ones
    new_zeros norm normalize not_ numel ones ones_like or_ pad pixel_shuffle pixel_unshuffle pos pow prod
    reciprocal reflection_pad2d remainder repeat repeat_interleave replication_pad2d roll round rshift rsqrt
    rsub setitem sign sin size sqrt square stack std stride sum sym_size tile to to_copy tril triu type
    type_as unfold var var_mean where xor zero zeros zeros_like
    """.split()  # noqa: SIM905
)
"""Functions that are free under every tool."""

OF_WEIGHTS = FREE_FUNCTIONS | {*ARITHMETIC, *ACTIVATIONS, "relu", "sigmoid", "softmax"}
"""Functions that are not nodes if they only read weights: the reader of their result has the weights."""


def known(call: Call) -> str:
    """A function's name in these tables; "" if it is not torch's, whatever its name."""
    home = call.label.partition(".")[0]
    return call.name if home in _HOMES else call.label if call.label in FUNCTIONS else ""
