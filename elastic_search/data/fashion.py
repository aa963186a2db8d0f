"""Reads the small Fashion-MNIST subset that ships with the package."""

import lzma
from functools import cache
from importlib import resources
from typing import Literal

import numpy as np

Split = Literal["train", "test"]

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
EDGE = 28  # px, edge of an object's image
PER_CLASS: dict[Split, int] = {"train": 400, "test": 100}  # in the order in which the file stores the splits
SUBSET_FILE = "fashion_mnist_subset.xz"


@cache
def _subset() -> bytes:
    return lzma.decompress(resources.files("elastic_search.data").joinpath(SUBSET_FILE).read_bytes())


def load_objects(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Loads one split of the subset: grey-scale objects on black, class after class.

    Args:
        split: `train` (objects of the original training file) or `test` (of the original test file).

    Returns:
        Images, uint8 [N, 28, 28], and labels, int64 [N], which index `CLASS_NAMES`; N is 4000 or 1000.

    Raises:
        ValueError: If `split` is neither `train` nor `test`.
    """
    if split not in PER_CLASS:
        raise ValueError(f"split={split!r}: must be one of {tuple(PER_CLASS)}")
    # All images come first, then all labels, one byte each; both hold the training objects before the test objects.
    objects = {name: len(CLASS_NAMES) * per_class for name, per_class in PER_CLASS.items()}
    total = sum(objects.values())
    start = 0 if split == "train" else objects["train"]
    data = np.frombuffer(_subset(), np.uint8)
    images = data[: total * EDGE * EDGE].reshape(total, EDGE, EDGE)
    labels = data[total * EDGE * EDGE :]
    chosen = slice(start, start + objects[split])
    return images[chosen].copy(), labels[chosen].astype(np.int64)
