"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Optimizer = Literal["adamw", "sgd", "muon"]
Schedule = Literal["triangular", "cosine"]
Metric = Literal["accuracy", "balanced_accuracy", "f1"]


@dataclass(frozen=True)
class Training:
    """A short training. Keys are spelled as torch and timm spell them where they have them.

    Attributes:
        epochs: passes over the training images.
        train_images: number of training scenes.
        val_images: number of validation scenes, on which networks are ranked; 0 ranks them on the test scenes, as
            runs of earlier versions do. Their objects are held out from the training objects.
        test_images: number of test scenes.
        smallest_object: edge of the smallest object in a scene, in px.
        batch: images per step.
        optimizer: "adamw"; "sgd", with Nesterov's momentum; or "muon" for the 1 × 1 convolutions, with AdamW for all
            other parameters.
        learning_rate: peak of the schedule.
        adamw_lr: with Muon, the peak for the parameters that AdamW updates.
        weight_decay: applied to convolution and linear weights; Muon's own have none.
        schedule: how the learning rate falls from its peak to zero: "triangular" in a line, "cosine" along half a wave,
            longer near the peak and near zero.
        pct_start: share of the steps in which the learning rate rises to its peak, in a line under both schedules.
        zero_init_last: whether the last batch norm of a block starts at 0 where it is published so (ResNeXt); if not,
            it starts at 1, and a short training moves the blocks from its first step.
        shift: most pixels by which an image is moved along each axis, at random and anew in every epoch; what comes in
            at a border is the image's reflection.
        ema: decay of the moving average of the weights, which is tested in their place; 0 tests the weights.
        momentum: of SGD and Muon, in Nesterov's form.
        label_smoothing: share of the target that the loss spreads evenly over all classes.
        metric: what ranks networks, on the whole split that ranks; see ``tasks.classification.METRICS``.
        betas: AdamW's; a short memory of the squared gradients suits trainings of a few hundred steps.
        ns_steps: Newton–Schulz iterations of a step of Muon.
    """

    epochs: int = 8
    train_images: int = 4000
    val_images: int = 0
    test_images: int = 1000
    smallest_object: int = 12
    batch: int = 64
    optimizer: Optimizer = "adamw"
    learning_rate: float = 0.01
    adamw_lr: float = 0.01
    weight_decay: float = 0.05
    pct_start: float = 0.4
    zero_init_last: bool = True
    shift: int = 0
    ema: float = 0.0
    schedule: Schedule = "triangular"
    momentum: float = 0.9
    label_smoothing: float = 0.1
    metric: Metric = "accuracy"
    # The same for all recipes: files cannot set these.
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    ns_steps: ClassVar[int] = 4

    @property
    def ranked_on(self) -> Literal["val", "test"]:
        """The split whose accuracy ranks networks."""
        return "val" if self.val_images else "test"

    @property
    def ranked_images(self) -> int:
        """Number of its scenes."""
        return self.val_images or self.test_images
