"""Recurrent layers: their multiply-adds, and the constants by which two tools count them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elastic_search.arch import traced_ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.nn.trace.call import Call, Converter


class Cell(NamedTuple):
    """A kind of recurrent cell.

    Attributes:
        gates: products of the input and the state with a matrix, each.
        ptflops: what ptflops adds for each element of the state.
        thop: what thop adds for each element of the state beside the gates.
    """

    gates: int
    ptflops: int
    thop: int


RECURRENT: dict[type[nn.Module], Cell] = {
    **dict.fromkeys((nn.RNN, nn.RNNCell), Cell(1, 1, 0)),
    **dict.fromkeys((nn.GRU, nn.GRUCell), Cell(3, 7, 4)),
    **dict.fromkeys((nn.LSTM, nn.LSTMCell), Cell(4, 10, 4)),
}


def cell_costs(module: nn.Module) -> Cell:
    """The constants of a recurrent layer or cell."""
    return RECURRENT[type(module)]


def _recurrent(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    """Each step of each sequence meets every matrix once."""
    x = call.get(0, "input")
    if isinstance(x, PackedSequence):
        x = x.data
    if call.module is not None:
        weights: Any = list(call.module.parameters())
        kind = type(call.module).__name__.lower()
    else:
        weights, kind = call.args[2:], call.name
    matrices = sum(weight.numel() for weight in _tensors(weights) if weight.ndim == 2)
    return traced_ops.Product(kind, inputs, output, macs=int(matrices * (x.numel() // x.shape[-1])))


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)


MODULES: dict[type[nn.Module], Converter] = dict.fromkeys(RECURRENT, _recurrent)
FUNCTIONS: dict[str, Converter] = dict.fromkeys(
    ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _recurrent
)
