"""A user's CNN made Elastic in place: every convolution of stride 1 that saves by it becomes an ``ElasticConv2d``.

Wang et al. 2019, section 3.2, claim that this can be done to any CNN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn
from torch.nn.parameter import is_lazy

from elastic_search.arch.ops import Shape, image
from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.tools import convention as named_convention
from elastic_search.errors import ShapeError, SpecError
from elastic_search.nn.elastic.elastic_conv import ElasticConv2d, read_split
from elastic_search.nn.elastic.probe import exchange, probe
from elastic_search.nn.elastic.verdict import REASONS, Change, Left, candidates, judge


@dataclass(frozen=True)
class Elasticized:
    """What ``elasticize`` did; as text, one line.

    Attributes:
        model: the model that was given, changed in place.
        split: the branches of each replaced convolution.
        input: shape of the image that the counts are for.
        convention: that of ``Change.before`` and ``Change.after``.
        unit: of the convention, "MACs" or "FLOPs".
        replaced: the convolutions that were replaced, in the order of the modules.
        left: every other Conv2d, in the order of the modules.
        macs_before: multiply-adds of the whole model before (half of what torch's FlopCounterMode counts).
        macs_after: the same afterwards.
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
        """Savings of the replaced convolutions, net of resampling, in ``unit``."""
        return sum(change.before - change.after for change in self.replaced)

    def __str__(self) -> str:
        at = f"at {self.input.height}x{self.input.width}"
        if self.replaced:
            made = f"{len(self.replaced)} convolution{'' if len(self.replaced) == 1 else 's'} made Elastic"
            return f"{made} {at}, {len(self.left)} left"
        why = ", ".join(f"{reason} ({times} x)" for reason, times in Counter(part.reason for part in self.left).items())
        return f"no convolution could be made Elastic: {why + ' ' + at if why else 'the model has no Conv2d'}"


def elasticize(
    model: nn.Module,
    split: str | Split = "1/2,1/2",
    *,
    input: tuple[int, int, int] | None = None,
    where: Callable[[str, nn.Conv2d], bool] | None = None,
    convention: str | Convention = "fvcore",
) -> Elasticized:
    """Make a CNN Elastic in place: its class, its other modules and all weights stay, and no parameter is added.

    Every plain ``nn.Conv2d`` of stride 1 that is wider than 1 × 1 and keeps its map's size becomes an
    ``ElasticConv2d``; the report says which were left unchanged, and why. Optimizers and wrappers hold the old
    parameters, so create them afterwards. In the state dict only names below replaced convolutions change, and an
    earlier state dict still loads. The model now computes another function of the same weights, so train or fine-tune
    it. ``torch.export`` with dynamic height and width needs multiples of each r. What ``torch.jit.script`` compiles
    before, it compiles afterwards; a script loads only the new names, so load an earlier state dict first.

    The model is run on one image of zeros in eval mode, to find the size of each map and to check the result; buffers,
    modes and random number generators are restored. If an error is raised, the model is unchanged.

    Args:
        model: called with one batch of images [N, C, H, W].
        split: shares of the input channels and their scales, e.g. "1/2,1/4@1/2,1/4@1/4".
        input: (channels, height, width) of the image that decides which convolutions are too small or save nothing;
            3 × 224 × 224 by default.
        where: (path, convolution) -> whether it may be replaced; called for each that can be.
        convention: the counting convention, or its name, under which a replacement must save something.

    Raises:
        SplitError: if the split is malformed or its resampling is trained, which adds parameters.
        SpecError: if the model is itself a convolution, has lazy parameters, or cannot run afterwards.
        ShapeError: if it cannot run on ``input``.

    Wang et al. 2019, equation 3 and Table 1.
    """
    split, rules = read_split(split), named_convention(convention)
    shape = Shape(*input) if input is not None else image(224, 224)
    if isinstance(model, nn.Conv2d):
        raise SpecError(
            "a convolution alone cannot be replaced in place", "use ElasticConv2d.from_conv(convolution, split)"
        )
    if any(is_lazy(p) for p in model.parameters()):
        raise SpecError("the model has lazy parameters without a shape yet", "run it once on an image first")
    params = sum(p.numel() for p in model.parameters())
    found = list(candidates(model, split, where))
    convs = {path: conv for path, conv, reason in found if reason is None and isinstance(conv, nn.Conv2d)}
    try:
        calls, macs_before = probe(model, shape, dict(convs))
    except Exception as error:
        raise ShapeError(
            f"the model does not run on an image of {shape}: {error}", "pass input=(channels, height, width)"
        ) from error
    verdicts = {path: judge(path, conv, split, calls[path], rules) for path, conv in convs.items()}
    changes = {path: verdict for path, verdict in verdicts.items() if isinstance(verdict, Change)}
    reasons = {path: reason for path, _, reason in found if reason is not None}
    reasons |= {path: verdict for path, verdict in verdicts.items() if not isinstance(verdict, Change)}
    macs_after = macs_before
    new: dict[str, nn.Module] = {path: ElasticConv2d(convs[path], split) for path in changes}
    while new:
        exchange(model, {convs[path]: module for path, module in new.items()})
        back: dict[nn.Module, nn.Module] = {module: convs[path] for path, module in new.items()}
        try:
            seen, macs_after = probe(model, shape, new)
        except BaseException as error:
            exchange(model, back)
            if not isinstance(error, Exception):
                raise
            raise SpecError(
                f"the model cannot run with its convolutions replaced: {error}",
                "its code may read a convolution's weight: exclude that convolution with where=",
            ) from error
        bypassed = [path for path in new if seen[path] != calls[path]]
        if not bypassed:
            break
        # All go back first, so that the next pass starts from the plain model.
        exchange(model, back)
        macs_after = macs_before
        for path in bypassed:
            del new[path], changes[path]
            reasons[path] = ("held elsewhere", REASONS["held elsewhere"])
    left = tuple(Left(path, *reasons[path]) for path, _, _ in found if path in reasons)
    replaced = tuple(changes.values())
    return Elasticized(model, split, shape, rules.name, rules.unit, replaced, left, macs_before, macs_after, params)
