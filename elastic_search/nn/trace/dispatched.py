"""What an operation of torch runs: the aten operators below it, and what the tools that listen there count."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
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
        more: multiply-adds of the operators that it does not know.
        aten: multiply-adds as ptflops' back end aten counts them.
        unknown: names of operators that may multiply, of which no tool says how much.
    """

    flops: int = 0
    outputs: int = 0
    more: int = 0
    aten: int = 0
    unknown: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.flops // 2 + self.more


class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the aten operators of everything that runs inside."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to say so to torch's compiler would import it

    def __init__(self, hollow: Hollow | None = None) -> None:
        """``hollow`` runs the operators on shapes; without it they run."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.hollow = hollow
        self.flops = self.outputs = self.more = self.aten = 0
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
        formula, counted = _PTFLOPS.get(packet), _MORE[packet](args, result) if packet in _MORE else None
        if formula is not None:
            self.aten += formula(args, result)
        elif counted is not None:
            self.more += counted
        elif packet not in flop_registry and (
            func.namespace not in ("aten", "prim", "prims", "profiler", "_c10d_functional") or packet in _MULTIPLY
        ):
            self.unknown.append(f"{func.namespace}.{func._opname}")
        return result

    def take(self) -> Ran:
        """What ran since the last time."""
        ran = Ran(self.flops, self.outputs, self.more, self.aten, tuple(self.unknown))
        self.flops = self.outputs = self.more = self.aten = 0
        self.unknown.clear()
        return ran


_MULTIPLY = frozenset(
    getattr(aten, name)
    for name in (
        "_cdist_forward", "_cholesky_solve_helper", "_fft_c2c", "_fft_c2r", "_fft_r2c", "_int_mm", "_linalg_det",
        "_linalg_eigh", "_linalg_slogdet", "_linalg_solve_ex", "_linalg_svd", "_native_multi_head_attention",
        "_pdist_forward", "_sparse_addmm", "_sparse_sparse_matmul", "_thnn_fused_gru_cell", "_thnn_fused_lstm_cell",
        "_transformer_encoder_layer_fwd", "cholesky_inverse", "geqrf", "linalg_cholesky_ex", "linalg_eig",
        "linalg_householder_product", "linalg_inv_ex", "linalg_ldl_factor_ex", "linalg_lstsq", "linalg_lu",
        "linalg_lu_factor_ex", "linalg_lu_solve", "linalg_matrix_exp", "linalg_qr", "linalg_solve_triangular",
        "mkldnn_rnn_layer", "ormqr", "triangular_solve",
    )
    if hasattr(aten, name)
)  # fmt: skip
"""Operators that multiply, of which nobody says how much."""


def _distances(args: tuple[Any, ...], result: Tensor) -> int | None:
    """Under the Euclidean norm a square and a sum for each element of each difference; under two others neither."""
    x, p = args[0], float(next(value for value in (*args[1:], 2.0) if isinstance(value, (int, float))))
    return int(result.numel() * x.shape[-1]) if p == 2 else 0 if p in (1, inf) else None


def _of_two(args: tuple[Any, ...], result: Tensor) -> int:
    """A form of two vectors: the first meets the weights of every output, and what comes out the second."""
    first, _, second = args[:3]
    return int(result.numel() * second.shape[-1] * (first.shape[-1] + 1))


_MORE: dict[Any, Callable[[tuple[Any, ...], Any], int | None]] = {
    **dict.fromkeys((aten.mv, aten.dot, aten.vdot), lambda args, result: int(args[0].numel())),
    aten.addmv: lambda args, result: int(args[1].numel()),
    aten.addbmm: lambda args, result: int(args[1].numel() * args[2].shape[-1]),
    aten.addr: lambda args, result: int(result.numel()),
    **dict.fromkeys((aten._cdist_forward, aten._euclidean_dist, aten._pdist_forward), _distances),
    aten._trilinear: _of_two,
    aten.conv_tbc: lambda args, result: int(result.numel() * prod(args[1].shape[:2])),
}
"""Multiply-adds of operators that FlopCounterMode does not know; None where there are others."""


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
