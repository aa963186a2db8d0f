"""Heads are values: what a network makes of the features of its stages."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from elastic_search.arch import ops
from elastic_search.arch.frozen import Frozen
from elastic_search.arch.graph import Builder, Graph
from elastic_search.errors import SpecError

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec


class Head(Protocol):
    """What reads the features. A frozen value; equal heads of equal specs make equal graphs."""

    def __hash__(self) -> int: ...

    def taps(self, spec: Spec) -> tuple[int, ...]:
        """The stages whose output it reads, counted from 0, in order."""
        ...

    def graph(self, spec: Spec, channels: tuple[int, ...]) -> Graph:
        """The head on features of so many channels: an input for each of its taps."""
        ...


class Classifier(Frozen):
    """A score for each class from the last stage's features, in the way of the network's family.

    Raises:
        SpecError: if there is no class.
    """

    classes: int

    def __init__(self, classes: int) -> None:
        if classes < 1:
            raise SpecError(f"classes {classes}: must be at least 1")
        super().__init__(classes)

    def taps(self, spec: Spec) -> tuple[int, ...]:
        return (len(spec.stages) - 1,)

    def graph(self, spec: Spec, channels: tuple[int, ...]) -> Graph:
        return spec.classifier_graph(channels[0], self.classes)


class WindowClassifier(Classifier):
    """The classifier of DLA and DenseNet as the authors' code has it: it pools a window of 7 × 7, not the whole map.

    At 224 × 224 the last map is 7 × 7, and both heads are the same function. At other sizes the window leaves out
    what lies below and to the right of it: at 256 × 256 a row and a column of eight. Maps below 7 × 7, and those of 14
    and more, do not fit.

    Raises:
        SpecError: from ``graph``, if the family's classifier pools in another way.
    """

    def graph(self, spec: Spec, channels: tuple[int, ...]) -> Graph:
        whole = super().graph(spec, channels)
        pools = [node.name for node in whole.nodes if node.op == ops.GlobalPool("window")]
        if not pools:
            raise SpecError(f"the classifier of {type(spec).__name__} pools the whole map in the authors' code, too")
        window = ops.Pool("avg", 7, 7)
        nodes = tuple(node._replace(op=window) if node.name in pools else node for node in whole.nodes)
        return Graph(whole.kind, whole.inputs, nodes, whole.outputs)


IMAGENET = Classifier(1000)
"""A score for each class of ImageNet."""


@lru_cache(maxsize=256)
def network(spec: Spec, head: Head) -> Graph:
    """A whole network: nodes stem, one stage after another, head.

    Args:
        spec: the stem and the stages.
        head: what reads them, instead of the head that the spec carries.
    """
    b = Builder("network", "x")
    taps = head.taps(spec)
    outputs, channels = _stages(b, spec, max(taps))
    features = [outputs[i] for i in taps]
    return b.done(b.add("head", head.graph(spec, tuple(channels[i] for i in taps)), *features))


@lru_cache(maxsize=256)
def features(spec: Spec, taps: tuple[int, ...]) -> Graph:
    """Stem and stages up to the last tap: an output for each tap. See ``Spec.features``."""
    if not taps or list(taps) != sorted({*taps}) or not 0 <= taps[0] <= taps[-1] < len(spec.stages):
        raise SpecError(f"taps {taps}: must be stages from 0 to {len(spec.stages) - 1}, in ascending order")
    b = Builder("features", "x")
    outputs, _ = _stages(b, spec, taps[-1])
    return b.done(*(outputs[i] for i in taps))


def _stages(b: Builder, spec: Spec, last: int) -> tuple[list[str], list[int]]:
    """Add the stem and the stages up to ``last``; the stages' outputs and their channels."""
    outputs: list[str] = []
    channels: list[int] = []
    y, width = b.add("stem", spec.stem_graph(), "x"), spec.stem_channels
    for i in range(last + 1):
        y, width = b.add(spec.stage_name(i), spec.stage_graph(i, width), y), spec.out_channels(i, width)
        outputs.append(y)
        channels.append(width)
    return outputs, channels
