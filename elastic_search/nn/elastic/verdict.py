"""Which convolutions of a model become Elastic, and why others do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.arch.split import Split
from elastic_search.cost.convention import Call, Convention
from elastic_search.nn.elastic.elastic_conv import ElasticConv2d, obstacle, reach, shares
from elastic_search.nn.net import Net

REASONS = {
    "1x1": "a kernel of 1 x 1 sees one position",
    "stride": "a stride above 1 changes the resolution itself",
    "size": "its padding does not keep height and width, so branches at other scales do not line up",
    "depthwise": "one input channel per group cannot be divided",
    "indivisible": "a share of the input channels is not a whole number",
    "too small": "a branch would work on a map smaller than its scale or its kernel",
    "saves nothing": "resampling costs at least what the convolution saves",
    "not reached": "no forward pass in eval mode calls it",
    "unbatched": "it is called with something other than one batch of maps",
    "shared": "another module holds the same weight or bias",
    "altered": "hooks, a parametrization or additions of its own would be lost",
    "subclass": "a subclass may compute something else",
    "held elsewhere": "the model also calls it through a reference that is not a submodule",
    "elastic": "already Elastic",
    "described": "part of a network that has a spec: use elastic(spec, split)",
    "not chosen": "excluded by ``where``",
}
"""Why a convolution is left unchanged."""

Maps = tuple[Shape, Shape]
"""Input and output map of a call; a call with n maps per image is listed n times."""


@dataclass(frozen=True)
class Change:
    """A convolution that was replaced.

    Attributes:
        path: of the convolution; its branches are below it.
        calls: its input and output shapes, one pair for each of its maps in the forward pass of one image.
        before: cost of all calls in the report's convention.
        after: cost of the branches, including their resampling.
        params: weights and bias, before and after.
    """

    path: str
    calls: tuple[Maps, ...]
    before: int
    after: int
    params: int


@dataclass(frozen=True)
class Left:
    """A convolution that was left unchanged: a key of ``REASONS``, and the numbers behind it."""

    path: str
    reason: str
    detail: str

    @property
    def why(self) -> str:
        return REASONS[self.reason]


def candidates(
    model: nn.Module, split: Split, where: Callable[[str, nn.Conv2d], bool] | None
) -> Iterator[tuple[str, nn.Module, tuple[str, str] | None]]:
    """Every Conv2d (or ElasticConv2d) by path, and why it is left unchanged whatever the input, if it is."""
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
            yield path, module, ("subclass", f"class {type(module).__name__}")
        elif any(owners[id(p)] > 1 for p in module.parameters()):
            yield path, module, ("shared", REASONS["shared"])
        elif found := obstacle(module, split):
            yield path, module, found
        elif where is not None and not where(path, module):
            yield path, module, ("not chosen", "excluded by where")
        else:
            yield path, module, None


def _alteration(conv: nn.Conv2d) -> str | None:
    """What a convolution would lose because the plain class does not have it."""
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


def judge(
    path: str, conv: nn.Conv2d, split: Split, calls: list[Maps | None], rules: Convention
) -> Change | tuple[str, str]:
    """Whether to replace a convolution that can be divided, given all its calls in one forward pass."""
    maps = [call for call in calls if call is not None]
    if not calls:
        return "not reached", REASONS["not reached"]
    if len(maps) < len(calls):
        return "unbatched", REASONS["unbatched"]
    if small := _too_small(conv, split, maps):
        return "too small", small
    before = sum(_conv_count(rules, conv, conv.in_channels, y, conv.bias is not None) for _, y in maps)
    after = sum(_elastic_count(rules, conv, split, x, y) for x, y in maps)
    if after >= before:
        return "saves nothing", f"{before:,} {rules.unit} before, {after:,} after with resampling"
    return Change(path, tuple(maps), before, after, sum(p.numel() for p in conv.parameters()))


def _conv_count(rules: Convention, conv: nn.Conv2d, channels: int, output: Shape, bias: bool) -> int:
    height, width = conv.kernel_size
    op = ops.Conv(channels, conv.out_channels, (height, width), groups=conv.groups, bias=bias)
    return rules.count(Call(op, (Shape(channels, *output[1:]),), output))


def _elastic_count(rules: Convention, conv: nn.Conv2d, split: Split, x: Shape, output: Shape) -> int:
    """The count of an ElasticConv2d, including its resampling."""
    total = 0

    def spend(op: Op, x: Shape) -> Shape:
        nonlocal total
        y = op.shape(x)
        total += rules.count(Call(op, (x,), y))
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


def _too_small(conv: nn.Conv2d, split: Split, calls: list[Maps]) -> str | None:
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
