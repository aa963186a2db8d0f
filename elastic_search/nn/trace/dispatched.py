"""What an operation of torch runs: the aten operators below it, and what the tools that listen there count."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from elastic_search.nn.trace.hollow import Hollow

aten = torch.ops.aten


class Ran(NamedTuple):
    """Some operators that ran.

    Attributes:
        flops: what torch's FlopCounterMode counts.
        outputs: elements that come out of the operators that it counts.
        aten: multiply-adds as ptflops' back end aten counts them.
        unknown: names of operators that may multiply, of which no tool says how much.
    """

    flops: int = 0
    outputs: int = 0
    aten: int = 0
    unknown: tuple[str, ...] = ()


class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the aten operators of everything that runs inside."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to say so to torch's compiler would import it

    def __init__(self, hollow: Hollow | None = None) -> None:
        """``hollow`` runs the operators on shapes; without it they run."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.hollow = hollow
        self.flops = self.outputs = self.aten = 0
        self.unknown: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():  # what is done here is not the module's code
            return self._run(func, args, kwargs or {})

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        packet = func._overloadpacket
        if packet not in flop_registry and func is not torch.ops.prim.device.default:
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = self.hollow.run(func, args, kwargs) if self.hollow else func(*args, **kwargs)
        formula = flop_registry.get(packet)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=result))
            self.outputs += result.numel() if isinstance(result, Tensor) else 0
        formula = _PTFLOPS.get(packet)
        if formula is not None:
            self.aten += formula(args, result)
        elif packet not in flop_registry and (
            func.namespace not in ("aten", "prim", "prims", "profiler", "_c10d_functional") or packet in _MULTIPLY
        ):
            self.unknown.append(f"{func.namespace}.{func._opname}")
        return result

    def take(self) -> Ran:
        """What ran since the last time."""
        ran = Ran(self.flops, self.outputs, self.aten, tuple(self.unknown))
        self.flops = self.outputs = self.aten = 0
        self.unknown.clear()
        return ran


_MULTIPLY = frozenset(
    getattr(aten, name)
    for name in (
        "_cdist_forward", "_fft_c2c", "_fft_c2r", "_fft_r2c", "_int_mm", "_linalg_eigh",
        "_linalg_solve_ex", "_linalg_svd", "_native_multi_head_attention", "_thnn_fused_gru_cell",
        "_thnn_fused_lstm_cell", "_transformer_encoder_layer_fwd", "_trilinear", "addbmm", "addmv", "addr", "dot",
        "linalg_inv_ex", "linalg_lu_factor_ex", "linalg_qr", "mkldnn_rnn_layer", "mv", "vdot",
    )
    if hasattr(aten, name)
)  # fmt: skip
"""Operators that multiply matrices, of which FlopCounterMode knows nothing."""


def _product(args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * args[1].shape[-1])


def _addmm(args: tuple[Any, ...], result: Tensor) -> int:
    return int(args[1].numel() * args[2].shape[1] + (result.numel() if args[0] is not None else 0))


def _convolution(args: tuple[Any, ...], result: Tensor) -> int:
    x, weight, bias, transposed = args[0], args[1], args[2], args[6]
    positions = prod((x if transposed else result).shape[2:])
    return int(x.shape[0] * weight.numel() * positions + (result.numel() if bias is not None else 0))


_PTFLOPS = {
    aten.mm: _product, aten.matmul: _product, aten.bmm: _product, aten.addmm: _addmm, aten.convolution: _convolution,
    aten._convolution: _convolution,
}  # fmt: skip
