"""Reads the small Fashion-MNIST subset that ships with the package."""

import lzma
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np

Split = Literal["train", "test"]

CLASS_NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
EDGE = 28  # px, edge of the image of an object
PER_CLASS: dict[Split, int] = {"train": 400, "test": 100}  # in the order in which the file stores the splits
SUBSET_FILE = "fashion_mnist_subset.xz"


@cache
def _subset() -> bytes:
    return lzma.decompress(resources.files("elastic_search.data").joinpath(SUBSET_FILE).read_bytes())


def load_objects(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Load one split of the subset: greyscale objects on black, sorted by class.

    Args:
        split: "train" (objects from the original training file) or "test" (from the original test file).

    Returns:
        Images, uint8 [N, 28, 28], and labels, int64 [N], which index ``CLASS_NAMES``; N is 4000 or 1000.

    Raises:
        ValueError: if ``split`` is neither "train" nor "test".
    """
    if split not in PER_CLASS:
        raise ValueError(f"split={split!r}: must be one of {tuple(PER_CLASS)}")
    # All images come first, then all labels, one byte each; both hold the training objects before the test objects.
    objects = {name: len(CLASS_NAMES) * per_class for name, per_class in PER_CLASS.items()}
    total = sum(objects.values())
    chosen = slice(objects["train"]) if split == "train" else slice(objects["train"], total)
    data = np.frombuffer(_subset(), np.uint8)
    images, labels = data[:-total].reshape(total, EDGE, EDGE), data[-total:]
    return images[chosen].copy(), labels[chosen].astype(np.int64)
