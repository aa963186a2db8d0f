"""A user's CNN made Elastic in place: every convolution of stride 1 that gains by it becomes an ``ElasticConv2d``.

The paper's claim that any CNN can be made so: Wang et al. 2019, section 3.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape, image
from elastic_search.arch.split import Split
from elastic_search.cost.conventions import Convention
from elastic_search.cost.conventions import convention as named_convention
from elastic_search.errors import ShapeError, SpecError
from elastic_search.nn.elastic_conv import ElasticConv2d, obstacle, reach, read_split, shares
from elastic_search.nn.net import Net

REASONS = {
    "1x1": "a kernel of 1 x 1 sees one position",
    "stride": "a stride above 1 changes the resolution itself",
    "size": "its padding does not keep height and width, so that branches at other scales do not line up",
    "depthwise": "one input channel per group cannot be divided",
    "indivisible": "a share of the input channels is not whole",
    "too small": "a branch would work on a map smaller than its scale or its kernel",
    "saves nothing": "resampling costs at least what the convolution saves",
    "not reached": "no forward pass in eval mode calls it",
    "unbatched": "it is called with something other than one batch of maps",
    "shared": "another module holds the same weight or bias",
    "altered": "hooks, a parametrization or additions of its own would be lost",
    "subclass": "a subclass may compute something else",
    "held elsewhere": "the model also calls it by a reference that is no submodule",
    "elastic": "Elastic already",
    "described": "part of a network with a description: edit that by elastic(spec, split)",
    "not chosen": "left out by ``where``",
}
"""Why a convolution is left as it is."""


def _alteration(conv: nn.Conv2d) -> str | None:
    """What a convolution has beyond the plain class, and would lose."""
    state = vars(conv)
    if is_parametrized(conv):
        return "a parametrization"
    if any(value for name, value in state.items() if name.endswith("_hooks")):
        return "hooks"
    if "forward" in state:
        return "a forward of its own"
    if set(conv._parameters) != {"weight", "bias"} or conv._buffers or conv._modules:
        return "parameters, buffers or children of its own"
    return None


Call = tuple[Shape, Shape]
"""Input and output of a call; one with a batch of n maps per image stands n times."""


@dataclass(frozen=True)
class Change:
    """A convolution that was replaced.

    Attributes:
        path: of the convolution; its branches are below it.
        calls: its input and output shapes, a pair for each of its maps in the forward pass of one image.
        before: what all calls cost in the report's convention.
        after: the same of the branches, their resampling included.
        params: weights and bias, before and after.
    """

    path: str
    calls: tuple[Call, ...]
    before: int
    after: int
    params: int


@dataclass(frozen=True)
class Left:
    """A convolution that was left as it is: a key of ``REASONS``, and the numbers behind it."""

    path: str
    reason: str
    detail: str

    @property
    def why(self) -> str:
        return REASONS[self.reason]


@dataclass(frozen=True)
class Elasticized:
    """What ``elasticize`` did.

    Attributes:
        model: the model that was given, changed in place.
        split: the branches of each replaced convolution.
        input: shape of the image that the counts are for.
        convention: in which ``Change.before`` and ``Change.after`` count.
        unit: theirs, "MACs" or "FLOPs".
        replaced: in the order of the modules.
        left: every other Conv2d, in the order of the modules.
        macs_before: multiply-adds of the whole model (half of what torch's FlopCounterMode counts).
        macs_after: the same, afterwards.
        params: of the whole model, before and after.
    """

    model: nn.Module = field(repr=False)
    split: Split
    input: Shape
    convention: str
    unit: str
    replaced: tuple[Change, ...]
    left: tuple[Left, ...]
    macs_before: int
    macs_after: int
    params: int

    @property
    def saved(self) -> int:
        """What the replaced convolutions save, net of resampling, in ``unit``."""
        return sum(change.before - change.after for change in self.replaced)


def _conv_count(rules: Convention, conv: nn.Conv2d, channels: int, output: Shape, bias: bool) -> int:
    """A convolution's count for a kernel of any sides: in every rule its area times that of 1 × 1, and the bias."""

    def count(biased: bool) -> int:
        op = ops.Conv(channels, conv.out_channels, groups=conv.groups, bias=biased)
        return rules.rule(op)[1].count(op, (Shape(channels, *output[1:]),), output)

    return conv.kernel_size[0] * conv.kernel_size[1] * count(False) + (count(True) - count(False) if bias else 0)


def _elastic_count(rules: Convention, conv: nn.Conv2d, split: Split, x: Shape, output: Shape) -> int:
    """The count of an ElasticConv2d, its resampling included."""
    total = 0

    def spend(op: Op, x: Shape) -> Shape:
        nonlocal total
        y = op.shape(x)
        total += rules.rule(op)[1].count(op, (x,), y)
        return y

    for i, (branch, _, length) in enumerate(shares(conv, split)):
        y, r = Shape(conv.groups * length, x.height, x.width), branch.factor
        if r > 1:
            y = spend(ops.Pool("avg", r, r), spend(ops.Pad(multiple=r), y))
        if branch.pooled:
            y = spend(ops.Pool("avg", 3, 1, 1), y)
        low = Shape(output.channels, y.height, y.width)
        total += _conv_count(rules, conv, y.channels, low, i == 0 and conv.bias is not None)
        if r > 1:
            spend(ops.Upsample(r, split.up), low)
    return total


def _too_small(conv: nn.Conv2d, split: Split, calls: list[Call]) -> str | None:
    for x, _ in calls:
        for branch in split.branches:
            if branch.factor == branch.dilation == 1:
                continue
            r, (high, wide) = branch.factor, reach(conv, branch)
            low = ops.Pad(multiple=r).shape(x)
            height, width = low.height // r, low.width // r
            if x.height < r or x.width < r or height < high or width < wide:
                at = f", {height}x{width} at scale {branch.scale}" if r > 1 else ""
                return f"a map of {x.height}x{x.width}{at}; the kernel covers {high}x{wide}"
    return None


def _candidates(
    model: nn.Module, split: Split, where: Callable[[str, nn.Conv2d], bool] | None
) -> Iterator[tuple[str, nn.Module, tuple[str, str] | None]]:
    """Every Conv2d by path, and why it is left whatever the input; an ElasticConv2d counts as one."""
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())

    def within(kind: type[nn.Module]) -> set[int]:
        return {id(part) for module in model.modules() if isinstance(module, kind) for part in module.modules()}

    divided, described = within(ElasticConv2d), within(Net)
    for path, module in model.named_modules():
        if isinstance(module, ElasticConv2d):
            yield path, module, ("elastic", f"divided into {module.split}")
        if not isinstance(module, nn.Conv2d) or id(module) in divided:
            continue
        if id(module) in described:
            yield path, module, ("described", REASONS["described"])
        elif altered := _alteration(module):
            yield path, module, ("altered", f"it has {altered}")
        elif type(module) is not nn.Conv2d:
            yield path, module, ("subclass", f"a {type(module).__name__}")
        elif any(owners[id(p)] > 1 for p in module.parameters()):
            yield path, module, ("shared", REASONS["shared"])
        elif found := obstacle(module, split):
            yield path, module, found
        elif where is not None and not where(path, module):
            yield path, module, ("not chosen", "left out by where")
        else:
            yield path, module, None


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards modes, buffers and random numbers are as they were."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = {buffer.device for buffer in model.parameters() if buffer.is_cuda}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(d.index for d in devices)):
            for module in modules:
                module.training = False
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for module, name, buffer, saved in buffers:
            module._buffers[name] = buffer
            if not buffer.is_meta and not torch.equal(buffer, saved):
                buffer.copy_(saved)


def _probe(model: nn.Module, input: Shape, watched: dict[str, nn.Module]) -> tuple[dict[str, list[Call | None]], int]:
    """One forward pass of an image of zeros: the calls of each watched module, and the model's multiply-adds.

    A call with something other than one batch of maps is None.
    """
    calls: dict[str, list[Call | None]] = {path: [] for path in watched}
    some = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(1, *input, dtype=some.dtype, device=some.device)

    def listen(path: str) -> Callable[..., None]:
        def hear(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            given = (*args, *kwargs.values())
            if len(given) == 1 and isinstance(given[0], Tensor) and given[0].dim() == 4:
                calls[path].extend([(Shape(*given[0].shape[1:]), Shape(*output.shape[1:]))] * len(output))
            else:
                calls[path].append(None)

        return hear

    handles = [m.register_forward_hook(listen(path), with_kwargs=True) for path, m in watched.items()]
    try:
        with _undisturbed(model), FlopCounterMode(display=False) as counter:
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls, counter.get_total_flops() // 2


def _exchange(model: nn.Module, new: dict[nn.Module, nn.Module]) -> None:
    """Put modules in the places of others, wherever a parent holds them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in new:
                parent._modules[name] = new[child]


def elasticize(
    model: nn.Module,
    split: str | Split = "1/2,1/2",
    *,
    input: tuple[int, int, int] | None = None,
    where: Callable[[str, nn.Conv2d], bool] | None = None,
    convention: str = "fvcore",
) -> Elasticized:
    """Make a CNN Elastic in place: its class, its other modules and all weights stay, and no parameter is added.

    Every plain ``nn.Conv2d`` of stride 1 that is wider than 1 × 1 and keeps its map's size becomes an
    ``ElasticConv2d``; what is left, and why, is in the report. Optimizers and wrappers hold the old parameters, so make
    them afterwards. Names in the state dict change below replaced convolutions only, and a state dict from before still
    loads. The output is a new function of the same weights: train, or fine-tune, the model. ``torch.export`` with
    dynamic height and width wants multiples of each r.

    The model is run on one image of zeros in eval mode, to see the size of each map and that the result works; buffers,
    modes and random numbers are put back. If an error is raised, the model is as it was.

    Args:
        model: called with one batch of images [N, C, H, W].
        split: shares of the input channels and their scales, e.g. "1/2,1/4@1/2,1/4@1/4".
        input: (channels, height, width) of an image, by which is judged what is too small or saves nothing; 3 × 224 ×
            224 if not given.
        where: (path, convolution) -> whether it may be replaced; called for those that can be.
        convention: name of the counting convention in which a replacement has to save something.

    Raises:
        SplitError: if the split is malformed or its resampling is trained, which adds parameters.
        SpecError: if the model is itself a convolution, has parameters without a shape yet, or cannot run afterwards.
        ShapeError: if it cannot run on ``input``.

    Wang et al. 2019, equation 3 and Table 1.
    """
    split, rules = read_split(split), named_convention(convention)
    shape = Shape(*input) if input is not None else image(224, 224)
    if isinstance(model, nn.Conv2d):
        raise SpecError(
            "a convolution alone cannot be replaced in place", "take ElasticConv2d.from_conv(convolution, split)"
        )
    if any(is_lazy(p) for p in model.parameters()):
        raise SpecError("the model has lazy parameters without a shape yet", "run it once on an image first")
    params = sum(p.numel() for p in model.parameters())
    found = list(_candidates(model, split, where))
    convs: dict[str, nn.Conv2d] = {
        path: conv for path, conv, reason in found if reason is None and isinstance(conv, nn.Conv2d)
    }
    try:
        calls, macs_before = _probe(model, shape, dict(convs))
    except Exception as error:
        raise ShapeError(
            f"the model does not run on an image of {shape}: {error}", "pass input=(channels, height, width)"
        ) from error
    reasons = {path: reason for path, _, reason in found if reason is not None}
    changes: dict[str, Change] = {}
    for path, conv in convs.items():
        verdict = _judge(path, conv, split, calls[path], rules)
        if isinstance(verdict, Change):
            changes[path] = verdict
        else:
            reasons[path] = verdict
    macs_after = macs_before
    new: dict[str, nn.Module] = {path: ElasticConv2d(convs[path], split) for path in changes}
    while new:
        _exchange(model, {convs[path]: module for path, module in new.items()})
        try:
            seen, macs_after = _probe(model, shape, new)
        except BaseException as error:
            _exchange(model, {module: convs[path] for path, module in new.items()})
            if not isinstance(error, Exception):
                raise
            raise SpecError(
                f"the model cannot run with its convolutions replaced: {error}",
                "its code may read a convolution's weight: leave that out by where=",
            ) from error
        bypassed = [path for path in new if seen[path] != calls[path]]
        if not bypassed:
            break
        # All go back first, so that the next pass sees a model of one kind.
        _exchange(model, {module: convs[path] for path, module in new.items()})
        macs_after = macs_before
        for path in bypassed:
            del new[path], changes[path]
            reasons[path] = ("held elsewhere", REASONS["held elsewhere"])
    left = tuple(Left(path, *reasons[path]) for path, _, _ in found if path in reasons)
    replaced = tuple(changes.values())
    return Elasticized(model, split, shape, rules.name, rules.unit, replaced, left, macs_before, macs_after, params)


def _judge(
    path: str, conv: nn.Conv2d, split: Split, calls: list[Call | None], rules: Convention
) -> Change | tuple[str, str]:
    """Whether to replace a convolution that can be, by all its calls in one forward pass."""
    maps = [call for call in calls if call is not None]
    if not calls:
        return "not reached", REASONS["not reached"]
    if len(maps) < len(calls):
        return "unbatched", REASONS["unbatched"]
    before = sum(_conv_count(rules, conv, conv.in_channels, y, conv.bias is not None) for _, y in maps)
    after = sum(_elastic_count(rules, conv, split, x, y) for x, y in maps)
    small = _too_small(conv, split, maps)
    if small:
        return "too small", small
    if after >= before:
        return "saves nothing", f"{before:,} {rules.unit} before, {after:,} after with resampling"
    params = conv.weight.numel() + (conv.bias.numel() if conv.bias is not None else 0)
    return Change(path, tuple(maps), before, after, params)
