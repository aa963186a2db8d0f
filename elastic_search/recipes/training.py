"""How a network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class Training:
    """A short training with a triangular schedule. Keys are spelled as torch and timm spell them where they have them.

    Attributes:
        epochs: passes over the training images.
        train_images: number of training scenes.
        val_images: number of validation scenes, on which networks are ranked; 0 ranks them on the test scenes, as
            runs of earlier versions do. Their objects are held out from the training objects.
        test_images: number of test scenes.
        smallest_object: edge of the smallest object in a scene, in px.
        batch: images per step.
        optimizer: "adamw", or "muon" for the 1 × 1 convolutions, with AdamW for all other parameters.
        learning_rate: peak of the schedule.
        adamw_lr: with Muon, the peak for the parameters that AdamW updates.
        weight_decay: applied to convolution and linear weights; Muon's own have none.
        pct_start: share of the steps in which the learning rate rises to its peak; then it falls to zero.
        zero_init_last: whether the last batch norm of a block starts at 0 where it is published so (ResNeXt); if not,
            it starts at 1, and a short training moves the blocks from its first step.
        shift: most pixels by which an image is moved along each axis, at random and anew in every epoch; what comes in
            at a border is the image's reflection.
        ema: decay of the moving average of the weights, which is tested in their place; 0 tests the weights.
        betas: AdamW's; a short memory of the squared gradients suits trainings of a few hundred steps.
        momentum: Muon's.
        ns_steps: Newton–Schulz iterations of a step of Muon.
        label_smoothing: applied in the loss.
    """

    epochs: int = 8
    train_images: int = 4000
    val_images: int = 0
    test_images: int = 1000
    smallest_object: int = 12
    batch: int = 64
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 0.01
    adamw_lr: float = 0.01
    weight_decay: float = 0.05
    pct_start: float = 0.4
    zero_init_last: bool = True
    shift: int = 0
    ema: float = 0.0
    # The same for all recipes: files cannot set these.
    betas: ClassVar[tuple[float, float]] = (0.9, 0.99)
    momentum: ClassVar[float] = 0.9
    ns_steps: ClassVar[int] = 4
    label_smoothing: ClassVar[float] = 0.1

    @property
    def ranked_on(self) -> Literal["val", "test"]:
        """The split whose accuracy ranks networks."""
        return "val" if self.val_images else "test"

    @property
    def ranked_images(self) -> int:
        """Number of its scenes."""
        return self.val_images or self.test_images
