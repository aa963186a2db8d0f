"""thop: it hooks modules by their exact class, and hears no function."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elastic_search.nn.trace.heard.modules import (
    ADAPTIVE_AVERAGE,
    ADAPTIVE_MAX,
    AVERAGE_POOLS,
    BATCH_NORMS,
    CONVOLUTIONS,
    INSTANCE_NORMS,
    MAX_POOLS,
    ModuleRule,
    free,
    of_input,
    of_output,
)
from elastic_search.nn.trace.recurrent import cell_costs


def _convolution(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    return int(result.numel() * (args[0].shape[1] // int(module.groups)) * prod(module.weight.shape[2:]))


def _norm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return int(args[0].numel() * (4 if affine else 2))


def _softmax(module: nn.Softmax, args: tuple[Any, ...], result: Any) -> int:
    size = args[0].shape[module.dim]
    return int(args[0].numel() // size * (3 * size - 1))


def _adaptive(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    window = prod(x / y for x, y in zip(args[0].shape[2:], result.shape[2:], strict=False))
    return int((window + 1) * result.numel())


_MODES = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}


def _upsample(module: nn.Upsample, args: tuple[Any, ...], result: Tensor) -> int:
    return _MODES.get(module.mode, 0) * result.numel()


def _recurrent(module: Any, args: tuple[Any, ...], result: Any) -> int:
    directions, layers = 2 if module.bidirectional else 1, module.num_layers
    widths = [module.input_size] + [directions * module.hidden_size] * (layers - 1)
    x = args[0]
    # It takes the sequences of a packed batch to be as long as the longest.
    steps = len(x.batch_sizes) * int(x.batch_sizes.max()) if isinstance(x, PackedSequence) else prod(x.shape[:2])
    return int(directions * sum(_step(module, width) for width in widths) * steps)


def _step(module: Any, width: int) -> int:
    gates, more = cell_costs(module).gates, cell_costs(module).thop
    of_gate = (width + module.hidden_size) * module.hidden_size + module.hidden_size
    return int(gates * (of_gate + (2 * module.hidden_size if module.bias else 0)) + more * module.hidden_size)


RULES: dict[type, ModuleRule] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys((*BATCH_NORMS, *INSTANCE_NORMS, nn.LayerNorm, nn.SyncBatchNorm), _norm),
    nn.PReLU: of_input,
    nn.Softmax: _softmax,
    **dict.fromkeys(AVERAGE_POOLS, of_output),
    **dict.fromkeys(ADAPTIVE_AVERAGE, _adaptive),
    nn.Linear: lambda module, args, result: int(module.in_features) * result.numel(),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _upsample),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _recurrent),
    **dict.fromkeys(
        (nn.RNNCell, nn.GRUCell, nn.LSTMCell),
        lambda module, args, result: _step(module, module.input_size) * args[0].shape[0],
    ),
    **dict.fromkeys(
        (
            nn.ZeroPad2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, *MAX_POOLS, *ADAPTIVE_MAX, nn.Dropout, nn.PixelShuffle,
        ),
        free,
    ),
}  # fmt: skip
