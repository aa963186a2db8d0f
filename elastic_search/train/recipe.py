"""What a proxy is and how it is trained, as a value. No torch, so that spaces can be read without it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from elastic_search.arch.heads import Classifier
from elastic_search.arch.spec import Spec

CLASSES = 10


@dataclass(frozen=True)
class Recipe:
    """A proxy: a candidate's own blocks, narrower, on smaller images, trained briefly.

    Attributes:
        width: factor on all widths; whole paths are kept.
        stem: "small" for a 3 × 3 of stride 2 in place of the ImageNet stem.
        input: edge of the images in pixels.
        epochs: passes over the training images.
        train_images: number of training scenes.
        test_images: number of test scenes.
        batch: images per step.
        learning_rate: peak of a triangular schedule, for AdamW.
        weight_decay: on convolution and linear weights.
    """

    width: Fraction = Fraction(1, 4)
    stem: str = "small"
    input: int = 64
    epochs: int = 8
    train_images: int = 4000
    test_images: int = 1000
    batch: int = 64
    learning_rate: float = 0.01
    weight_decay: float = 0.05

    def proxy(self, spec: Spec) -> Spec:
        """The network that is trained in place of ``spec``: same depths, splits and resampling."""
        return replace(spec.scaled(self.width), stem=self.stem, head=Classifier(CLASSES))  # type: ignore[call-arg]
