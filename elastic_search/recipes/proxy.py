"""The edit that makes a candidate's proxy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec

CLASSES = 10


@dataclass(frozen=True)
class Proxy:
    """A candidate's own blocks, but narrower and for smaller images.

    Attributes:
        width: factor on all widths; paths stay whole.
        stem: "small" for a 3 × 3 convolution of stride 2 in place of the ImageNet stem.
        input: edge of the images in pixels.
    """

    width: Fraction = Fraction(1, 4)
    stem: Literal["small", "imagenet"] = "small"
    input: int = 64

    def of(self, spec: Spec, classes: int = CLASSES, channels: int = 3) -> Spec:
        """The network that is trained in place of ``spec``, with the same depths, splits and resampling.

        Args:
            spec: the candidate.
            classes: of the images that it is trained on; by default of the embedded scenes.
            channels: of these images.
        """
        narrow = spec.scaled(self.width).with_classes(classes)
        return replace(narrow, stem=self.stem, in_channels=channels)  # type: ignore[call-arg]
