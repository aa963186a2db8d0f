"""What the embedded scenes are, without their images."""

from __future__ import annotations

from elastic_search.recipes.data import About, Split
from elastic_search.recipes.training import Training

CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SIZE_NAMES = ("small", "medium", "large")
KEY = "scenes"


def scenes_about(training: Training, edge: int) -> About:
    """The scenes of a recipe: validation scenes rank if there are any, otherwise test scenes.

    Args:
        training: gives their numbers.
        edge: of the scenes in px.
    """
    images: dict[Split, int] = {"train": training.train_images, "rank": training.ranked_images}
    splits: dict[Split, str] = {"train": "train", "rank": training.ranked_on}
    if training.val_images:
        images["final"], splits["final"] = training.test_images, "test"
    return About("Fashion-MNIST scenes", KEY, CLASS_NAMES, images, splits, 3, SIZE_NAMES, edge, sealed=False)
