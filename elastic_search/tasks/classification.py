"""Classification of images into one class each: loss and metrics."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

RESAMPLED = 200
"""Draws of the images from which ``standard_error`` is computed; it is then right to about 5 %."""


def loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy with label smoothing; logits [N, classes], labels [N]."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def predictions(logits: Tensor) -> Tensor:
    """The most likely class of each image: int64 [N], from logits [N, classes]."""
    return logits.argmax(1)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Share of the images whose class is predicted."""
    return (predicted == labels).double().mean().item()


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """Mean over the classes of the share of their images that are recognised, however many each has.

    A class without an image is left out, as scikit-learn's ``balanced_accuracy_score`` does.
    """
    right, of, _ = _counts(predicted, labels)
    return (right / of)[of > 0].mean().item()


def f1(predicted: Tensor, labels: Tensor) -> float:
    """Macro F1: mean over the classes of 2 TP / (2 TP + FP + FN), however many images each has.

    A class that no image has and none is predicted to have is left out; one with images of which none is recognised
    counts 0, as does one that is only predicted. So does scikit-learn's ``f1_score(average="macro")``.
    """
    right, of, found = _counts(predicted, labels)
    either = of + found
    return (2 * right / either)[either > 0].mean().item()


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
}
"""What can rank networks, by its name in a recipe: of predicted classes and labels, both int64 [N], a share up to 1."""


def standard_error(metric: str, predicted: Tensor, labels: Tensor) -> float:
    """Standard error of a metric, of the images: its deviation over draws of as many of them, with replacement.

    The same images and predictions give the same error. Classes of few images make that of ``balanced_accuracy`` and
    ``f1`` larger than that of a share of all images.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(len(labels), (RESAMPLED, len(labels)), generator=generator).to(labels.device)
    values = [METRICS[metric](predicted[at], labels[at]) for at in drawn]
    return torch.tensor(values, dtype=torch.float64).std().item()


def accuracy_by_class(predicted: Tensor, labels: Tensor, classes: int) -> list[float | None]:
    """Share of right answers in each class, in the order of the labels; None for a class without an image.

    To four digits: the list of 1,000 classes is 7 kB as JSON. Their names are the data set's.
    """
    return [None if share is None else round(share, 4) for share in _shares(predicted == labels, labels, classes)]


def accuracy_by_group(right: Tensor, groups: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """Share of right answers in each group; groups without an image are left out.

    Args:
        right: bool [N].
        groups: int64 [N], indices into ``names``.
        names: names of the groups.
    """
    shares = zip(names, _shares(right, groups, len(names)), strict=True)
    return {name: share for name, share in shares if share is not None}


def _shares(right: Tensor, groups: Tensor, number: int) -> list[float | None]:
    """Share of right answers in each of so many groups."""
    of = torch.bincount(groups, minlength=number).tolist()
    found = torch.bincount(groups[right], minlength=number).tolist()
    return [part / whole if whole else None for part, whole in zip(found, of, strict=True)]


def _counts(predicted: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each class, how many images are recognised, how many there are and how many are predicted: float64 [classes].

    The last class is the last that occurs: one without a count changes no metric.
    """
    classes = int(torch.maximum(predicted.max(), labels.max())) + 1
    right, of, found = (
        torch.bincount(each, minlength=classes).double() for each in (labels[predicted == labels], labels, predicted)
    )
    return right, of, found
