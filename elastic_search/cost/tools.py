"""The counting conventions: what each tool counts, as a table from op type to rule.

A rule is the tool's own formula for one image, including its mistakes: the totals are what the tool prints for the
built module. ``cost.convention`` defines rules.
"""

from __future__ import annotations

from math import prod

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op
from elastic_search.cost.convention import (
    CONV,
    CONV_TRANSPOSE,
    CUSTOM,
    FREE,
    LINEAR,
    PER_INPUT,
    PRODUCT,
    WEIGHTS,
    Call,
    Convention,
    Namer,
    Rule,
    affine,
    by_kind,
    by_mode,
    by_spelling,
    global_pool,
    module,
    of_kind,
    per_output,
    twice,
    with_bias,
)
from elastic_search.errors import UnknownNameError

_ALL = (
    ops.Conv, ops.ConvTranspose, ops.Linear, ops.BatchNorm, ops.Relu, ops.Sigmoid, ops.Pool, ops.GlobalPool, ops.Pad,
    ops.Upsample, ops.Crop, ops.Add, ops.Gate, ops.Concat, ops.Flatten, traced_ops.Norm, traced_ops.Activation,
    traced_ops.Softmax, traced_ops.AdaptivePool, traced_ops.Elementwise, traced_ops.Fixed, traced_ops.FixedElementwise,
    traced_ops.Product, traced_ops.Custom, traced_ops.Opaque, traced_ops.Unused,
)  # fmt: skip
_KINDS: dict[type[Op], Namer] = dict.fromkeys(
    (
        traced_ops.Activation, traced_ops.Elementwise, traced_ops.Fixed, traced_ops.FixedElementwise, traced_ops.Custom,
        traced_ops.Opaque,
    ),
    lambda op: str(op.kind),
)  # fmt: skip
_CLASSES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "Conv2d",
    ops.ConvTranspose: "ConvTranspose2d",
    ops.BatchNorm: "BatchNorm2d",
    ops.Relu: "ReLU",
    ops.Pool: lambda op: f"{op.kind.title()}Pool2d",
    ops.GlobalPool: lambda op: "AdaptiveAvgPool2d" if op.kind == "adaptive" else "AvgPool2d",
    traced_ops.AdaptivePool: lambda op: f"Adaptive{op.kind.title()}Pool2d",
    traced_ops.Norm: lambda op: {"group": "GroupNorm", "layer": "LayerNorm"}.get(op.kind, "InstanceNorm2d"),
}
"""Names of torch's module classes, where they differ from the op's."""

_FVCORE_NAMES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "conv",
    ops.ConvTranspose: "conv",
    ops.Linear: "linear",
    ops.BatchNorm: "batch_norm",
    ops.GlobalPool: "adaptive_avg_pool2d",
    traced_ops.AdaptivePool: lambda op: f"adaptive_{op.kind}_pool2d",
    traced_ops.Norm: lambda op: f"{op.kind}_norm",
    ops.Upsample: lambda op: f"upsample_{op.mode}2d",
    traced_ops.Product: lambda op: str(op.kind),
}
_ATEN_NAMES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "convolution",
    ops.ConvTranspose: "convolution",
    ops.Linear: lambda op: "addmm" if op.bias else "mm",
    traced_ops.Product: lambda op: "bmm" if op.kind == "bmm" else "mm",
}
_MULTIPLY_ADDS: dict[type[Op], Rule] = {
    ops.Conv: CONV,
    ops.ConvTranspose: CONV_TRANSPOSE,
    ops.Linear: LINEAR,
    traced_ops.Product: PRODUCT,
    traced_ops.Custom: CUSTOM,
}


def _convention(
    name: str,
    unit: str,
    meaning: str,
    counted: dict[type[Op], Rule],
    names: dict[type[Op], Namer],
    counts_dead: bool = True,
) -> Convention:
    rules: dict[type[Op], tuple[Namer, Rule]] = {op: (names.get(op, op.__name__), counted.get(op, FREE)) for op in _ALL}
    return Convention(name, unit, meaning, rules, counts_dead)


MACS = _convention(
    "macs", "MACs", "multiply-adds of convolutions, linear layers and products", _MULTIPLY_ADDS, _FVCORE_NAMES
)

FVCORE = _convention(
    "fvcore",
    "MACs",
    "fvcore's FlopCountAnalysis in eval mode",
    {
        **_MULTIPLY_ADDS,
        # The tool's table lacks the traced name of a convolution whose padding is a word.
        ops.Conv: Rule(
            f'{CONV.formula}; padding "same" or "valid" 0',
            lambda call: 0 if isinstance(call.op.padding, str) else CONV.count(call),
        ),
        ops.BatchNorm: Rule(
            "2·E_out; without weights E_out; by the batch's own statistics 3·E_out more",
            lambda call: (1 + call.op.affine + (0 if call.op.tracked else 3)) * call.output.numel,
        ),
        traced_ops.Norm: affine(5, 4),
        ops.GlobalPool: global_pool(PER_INPUT, FREE, FREE),
        traced_ops.AdaptivePool: of_kind(max=FREE, avg=PER_INPUT),
        ops.Upsample: by_mode(bilinear=4, nearest=1),
    },
    _FVCORE_NAMES,
    counts_dead=False,
)

TORCH = _convention(
    "torch",
    "FLOPs",
    "torch's FlopCounterMode, 2 FLOPs per multiply-add",
    {op: twice(rule) for op, rule in _MULTIPLY_ADDS.items()},
    _ATEN_NAMES,
)

AUTHORS = _convention(
    "authors",
    "FLOPs",
    "the counter of the paper's DLA rows",
    {
        ops.Conv: module(with_bias(CONV)),
        ops.Linear: module(Rule("in·out", lambda call: call.op.in_features * call.op.out_features)),
        ops.BatchNorm: module(affine(2, 1)),
        ops.Relu: module(per_output(1)),
        ops.Pool: module(PER_INPUT),
        ops.GlobalPool: global_pool(FREE, PER_INPUT, FREE),
        ops.Upsample: module(per_output(8)),
    },
    _CLASSES,
)


def _interpolate(call: Call) -> int:
    """ptflops multiplies the input by the scale factor as given, but truncates each of a pair of factors."""
    called, scale = call.output.numel, call.op.scale
    if isinstance(scale, tuple):
        called = call.inputs[0].numel * prod(map(int, scale))
    elif scale is not None:
        called = int(call.inputs[0].numel * scale**2)
    return called + call.output.numel if call.spelling == "module" else called


def _called(call: Call) -> int:
    return call.output.numel if call.spelling == "method" and call.op.kind in ("add", "mul") else 0


def _adaptive(call: Call) -> int:
    """In floating point, as in thop: where sizes do not divide, one may be lost."""
    (x, *_), output = call.inputs, call.output
    window = x.height / output.height * (x.width / output.width)
    return int((window + 1) * output.numel)


def _softmax(call: Call) -> int:
    size = call.output[call.op.axis]
    return call.output.numel // size * (3 * size - 1)


_TWICE_INPUT = twice(PER_INPUT)

PTFLOPS = _convention(
    "ptflops",
    "MACs",
    "backend pytorch; modules of ReLU, pooling and up-sampling count twice",
    {
        ops.Conv: module(with_bias(CONV)),
        ops.ConvTranspose: module(with_bias(CONV_TRANSPOSE)),
        ops.Linear: module(with_bias(LINEAR)),
        ops.BatchNorm: module(affine(2, 1)),
        # It looks for the attribute "affine", which a layer norm does not have.
        traced_ops.Norm: module(of_kind(layer=per_output(1), group=affine(2, 1), instance=affine(2, 1))),
        # A module's own forward calls the function, which is counted too.
        ops.Relu: module(per_output(2), function=1),
        traced_ops.Activation: by_spelling(
            module=by_kind({"relu": 2, "elu": 2, "gelu": 2, "prelu": 2, "silu": 1, "relu6": 1, "leaky_relu": 1}),
            function=by_kind(dict.fromkeys(("relu", "elu", "gelu", "prelu", "silu", "relu6"), 1)),
        ),
        traced_ops.Softmax: by_spelling(module=per_output(1), function=per_output(1)),
        ops.Pool: module(_TWICE_INPUT, function=1),
        ops.GlobalPool: global_pool(_TWICE_INPUT, _TWICE_INPUT, PER_INPUT),
        traced_ops.AdaptivePool: module(_TWICE_INPUT, function=1),
        ops.Upsample: Rule("2·E_out; a function E_out", _interpolate),
        **dict.fromkeys(
            (traced_ops.Elementwise, traced_ops.FixedElementwise),
            Rule("torch.add and torch.mul E_out; an operator 0", _called),
        ),
        traced_ops.Product: Rule(
            "torch.matmul n·m·p; an operator 0",
            lambda call: PRODUCT.count(call) if call.spelling in ("function", "method") else 0,
        ),
        traced_ops.Custom: CUSTOM,
    },
    _CLASSES,
)

PTFLOPS_ATEN = _convention(
    "ptflops-aten",
    "MACs",
    "backend aten; multiply-adds with the bias",
    {
        **_MULTIPLY_ADDS,
        ops.Conv: with_bias(CONV),
        ops.ConvTranspose: with_bias(CONV_TRANSPOSE),
        ops.Linear: with_bias(LINEAR),
    },
    _ATEN_NAMES,
)

THOP = _convention(
    "thop",
    "MACs",
    "batch norm 4 per element, bilinear modules 11",
    {
        ops.Conv: module(CONV),
        ops.ConvTranspose: module(CONV),
        ops.Linear: module(LINEAR),
        ops.BatchNorm: module(affine(4, 2)),
        traced_ops.Norm: module(of_kind(layer=affine(4, 2), instance=affine(4, 2), group=FREE)),
        traced_ops.Activation: by_spelling(module=by_kind({"prelu": 1}), function=FREE),
        traced_ops.Softmax: by_spelling(module=Rule("E_out/C·(3·C - 1)", _softmax), function=FREE),
        ops.Pool: module(of_kind(max=FREE, avg=per_output(1))),
        traced_ops.AdaptivePool: module(of_kind(max=FREE, avg=Rule("E_in + E_out", _adaptive))),
        traced_ops.Custom: CUSTOM,
        ops.GlobalPool: global_pool(
            Rule("E_in + E_out", lambda call: call.inputs[0].numel + call.output.numel), per_output(1), FREE
        ),
        ops.Upsample: module(by_mode(bilinear=11, nearest=1, bicubic=259)),
    },
    _CLASSES,
)

TORCHINFO = _convention(
    "torchinfo",
    "MACs",
    "mult-adds with the bias, batch norm without its spatial size",
    {
        ops.Conv: module(with_bias(CONV)),
        ops.ConvTranspose: module(with_bias(CONV)),
        ops.Linear: module(Rule("in·out + bias·out", WEIGHTS.count)),
        ops.BatchNorm: module(Rule("2·C", WEIGHTS.count)),
        traced_ops.Norm: module(WEIGHTS),
        traced_ops.Activation: by_spelling(module=WEIGHTS, function=FREE),
        traced_ops.Custom: CUSTOM,
    },
    _CLASSES,
)

CONVENTIONS: dict[str, Convention] = {
    c.name: c for c in (MACS, FVCORE, TORCH, PTFLOPS, PTFLOPS_ATEN, THOP, TORCHINFO, AUTHORS)
}


def convention(name: str | Convention) -> Convention:
    """A convention by name; a convention itself is returned as it is.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if isinstance(name, Convention):
        return name
    if name not in CONVENTIONS:
        raise UnknownNameError("convention", name, list(CONVENTIONS))
    return CONVENTIONS[name]
