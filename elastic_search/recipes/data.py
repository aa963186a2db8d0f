"""Images to train on, as values: where they are and how they are split, and what was found there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

Split = Literal["train", "rank", "final"]
"""What networks are trained on, what ranks them, and what the best of them are shown on at the end, once."""


@dataclass(frozen=True)
class Data:
    """Images of the user's own: the ``[data]`` table of a space file.

    Attributes:
        path: a folder, or an .npz file.
        subset: share of the images of each class that is used.
        held_out: share of the training images of each class, by hash of their content, that ranks networks.
        rank_on: "held-out" ranks networks on images that are held out from the training images; "val" on the
            validation images of the set, so that no images are left which the choice did not see.
    """

    path: str
    subset: Fraction = Fraction(1)
    held_out: Fraction = Fraction(1, 10)
    rank_on: Literal["held-out", "val"] = "held-out"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return {**vars(self), "subset": str(self.subset), "held_out": str(self.held_out)}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Data:
        """The inverse of ``to_dict``."""
        return cls(**{**table, "subset": Fraction(table["subset"]), "held_out": Fraction(table["held_out"])})


@dataclass(frozen=True)
class About:
    """What a data set is, without its images: enough to plan a search and to explain its table.

    Attributes:
        name: for people, such as "Fashion-MNIST scenes" or the name of a folder.
        key: names the content and how it was split and resized; part of the identity of a training.
        classes: names of the classes, in the order of the labels.
        images: number of images in each split that there is; "train" and "rank" are always there.
        splits: what a table calls each split, such as "val" or "10% of train/".
        channels: of the images: 1 or 3.
        groups: names of groups of images, such as sizes of their objects; empty if there are none.
        edge: of the original images in px, where all have the same and are square; None otherwise.
        sealed: whether "final" is read only at the end of a search, for the base and the best networks.
        notes: what was left out, and why.
    """

    name: str
    key: str
    classes: tuple[str, ...]
    images: Mapping[Split, int]
    splits: Mapping[Split, str]
    channels: int = 3
    groups: tuple[str, ...] = ()
    edge: int | None = None
    sealed: bool = True
    notes: tuple[str, ...] = field(default=(), compare=False)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        lists = {key: list(getattr(self, key)) for key in ("classes", "groups", "notes")}
        return {**vars(self), **lists, "images": dict(self.images), "splits": dict(self.splits)}

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> About:
        """The inverse of ``to_dict``."""
        return cls(**{**table, **{key: tuple(table[key]) for key in ("classes", "groups", "notes")}})
