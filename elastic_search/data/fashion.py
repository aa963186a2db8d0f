"""Reads the small Fashion-MNIST subset that ships with the package."""

import lzma
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np

from elastic_search.recipes.scenes import CLASS_NAMES

Split = Literal["train", "test", "val"]

EDGE = 28  # px, edge of the image of an object
STORED = {"train": 400, "test": 100}  # objects of each class in the two parts of the file, in their order
HELD_OUT = 40  # the last training objects of each class, which are the validation objects
PER_CLASS: dict[Split, int] = {"train": STORED["train"] - HELD_OUT, "test": STORED["test"], "val": HELD_OUT}
SUBSET_FILE = "fashion_mnist_subset.xz"


@cache
def _subset() -> bytes:
    return lzma.decompress(resources.files("elastic_search.data").joinpath(SUBSET_FILE).read_bytes())


def load_objects(split: Split, held_out: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Load one split of the subset: greyscale objects on black, sorted by class.

    Args:
        split: "train" or "val" (objects from the original training file), or "test" (from the original test file).
        held_out: whether the validation objects are left out of "train".

    Returns:
        Images, uint8 [N, 28, 28], and labels, int64 [N], which index ``CLASS_NAMES``; ``PER_CLASS`` of each class, or
        400 of each class if nothing is held out.

    Raises:
        ValueError: if there is no such split.
    """
    if split not in PER_CLASS:
        raise ValueError(f"split={split!r}: must be one of {tuple(PER_CLASS)}")
    # All images come first, then all labels, one byte each; both hold the training objects before the test objects.
    classes, first = len(CLASS_NAMES), len(CLASS_NAMES) * STORED["train"]
    total = classes * sum(STORED.values())
    data = np.frombuffer(_subset(), np.uint8)
    images, labels = data[:-total].reshape(total, EDGE, EDGE), data[-total:]
    chosen = np.arange(first, total)
    if split != "test":
        of_class = np.arange(first).reshape(classes, STORED["train"])
        kept = STORED["train"] - HELD_OUT
        chosen = (of_class[:, kept:] if split == "val" else of_class[:, :kept] if held_out else of_class).ravel()
    return images[chosen], labels[chosen].astype(np.int64)
