"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Training:
    """A short training with AdamW and a triangular schedule.

    Attributes:
        epochs: passes over the training images.
        train_images: number of training scenes.
        test_images: number of test scenes.
        batch: images per step.
        learning_rate: peak of the schedule.
        weight_decay: applied to convolution and linear weights.
        betas: AdamW's; a short memory of the squared gradients suits trainings of a few hundred steps.
        warm_up: share of the steps in which the learning rate rises to its peak; then it falls to zero.
        label_smoothing: applied in the loss.
    """

    epochs: int = 8
    train_images: int = 4000
    test_images: int = 1000
    batch: int = 64
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    # The same for all recipes: files cannot set these.
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    warm_up: ClassVar[float] = 0.4
    label_smoothing: ClassVar[float] = 0.1
