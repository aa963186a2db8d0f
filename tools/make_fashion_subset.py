"""Cuts the small Fashion-MNIST subset that ships with the package out of the four original files.

Usage:
    python tools/make_fashion_subset.py FOLDER

FOLDER holds `train-images-idx3-ubyte.gz`, `train-labels-idx1-ubyte.gz`, `t10k-images-idx3-ubyte.gz` and
`t10k-labels-idx1-ubyte.gz`. The rule: the first 400 objects of each class in the training file and the first 100 of
each class in the test file, class after class, each class in file order. No randomness: the same four files always
give the same subset.
"""

import argparse
import gzip
import lzma
from pathlib import Path

import numpy as np

from elastic_search.data.fashion import EDGE, STORED, SUBSET_FILE
from elastic_search.recipes.scenes import CLASS_NAMES

SOURCE_PREFIX = {"train": "train", "test": "t10k"}
IDX_IMAGE_HEADER_BYTES = 16
IDX_LABEL_HEADER_BYTES = 8


def read_split(folder: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split of the original idx files.

    Args:
        folder: Folder with the gzip-compressed idx files.
        prefix: Start of the file names, `train` or `t10k`.

    Returns:
        Images, uint8 [N, 28, 28], and labels, uint8 [N].
    """
    images = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
    return (
        np.frombuffer(images, np.uint8, offset=IDX_IMAGE_HEADER_BYTES).reshape(-1, EDGE, EDGE),
        np.frombuffer(labels, np.uint8, offset=IDX_LABEL_HEADER_BYTES),
    )


def first_of_each_class(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Indices of the first `per_class` objects of each class, class after class: int64 [classes * per_class]."""
    return np.concatenate([np.flatnonzero(labels == label)[:per_class] for label in range(len(CLASS_NAMES))])


def subset_bytes(folder: Path) -> bytes:
    """Builds the compressed subset; the layout is documented in `elastic_search/data/README.md`."""
    images, labels = [], []
    for split, per_class in STORED.items():
        split_images, split_labels = read_split(folder, SOURCE_PREFIX[split])
        chosen = first_of_each_class(split_labels, per_class)
        images.append(split_images[chosen].tobytes())
        labels.append(split_labels[chosen].tobytes())
    return lzma.compress(b"".join(images + labels), preset=9 | lzma.PRESET_EXTREME)


def main() -> None:
    """Writes the subset into the package's data folder."""
    parser = argparse.ArgumentParser(description="Make the Fashion-MNIST subset of the package.")
    parser.add_argument("folder", type=Path, help="folder with the four original .gz files")
    folder = parser.parse_args().folder
    target = Path(__file__).resolve().parents[1] / "elastic_search" / "data" / SUBSET_FILE
    target.write_bytes(subset_bytes(folder))
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
