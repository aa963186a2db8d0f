"""What a training asks of its images. ``tests/data/test_contract.py`` holds every data set to this contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from elastic_search.recipes import About, Split


@dataclass(frozen=True)
class Examples:
    """Labelled images of one split.

    Attributes:
        images: uint8 [N, C, S, S], of any strides; possibly in the memory map of a file, which nobody may write to.
        labels: int64 [N], indices into the data set's classes.
        groups: int64 [N], indices into the data set's groups; None if it has none.
    """

    images: Tensor
    labels: Tensor
    groups: Tensor | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> Examples:
        """The same examples with all tensors on ``device``."""
        groups = None if self.groups is None else self.groups.to(device)
        return Examples(self.images.to(device), self.labels.to(device), groups)


class Dataset(Protocol):
    """Images with one class each, decoded and squared.

    - ``examples`` gives the splits that ``about.images`` names, "train" and "rank" at least, with as many images as it
      says, all of one size; the same each time, in this process and in any other.
    - No image of one split is in another.
    - Every class has an image in "train" and in "rank".
    """

    about: About

    def examples(self, split: Split) -> Examples:
        """The images of one split.

        Raises:
            KeyError: if there is no such split.
        """
