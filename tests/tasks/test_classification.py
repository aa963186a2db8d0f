import json

import pytest
import torch

from elastic_search.tasks.classification import (
    METRICS,
    accuracy_by_class,
    accuracy_by_group,
    predictions,
    standard_error,
)


def by_hand(metric, predicted, labels):
    """The metric from its definition, class by class in plain Python."""
    pairs = list(zip(predicted.tolist(), labels.tolist(), strict=True))
    if metric == "accuracy":
        return sum(a == b for a, b in pairs) / len(pairs)
    present = {b for _, b in pairs}
    values = []
    for c in sorted(present | ({a for a, _ in pairs} if metric == "f1" else set())):
        hit = sum(a == b == c for a, b in pairs)
        missed, false = sum(b == c != a for a, b in pairs), sum(a == c != b for a, b in pairs)
        recall, precision = hit / max(1, hit + missed), hit / max(1, hit + false)
        if metric == "balanced_accuracy":
            values.append(recall)
        else:
            values.append(2 * precision * recall / (precision + recall) if hit else 0.0)
    return sum(values) / len(values)


def guesses(seed, images, classes, right=0.6):
    """Predictions of so many images of classes of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    labels = (classes * torch.rand(images, generator=generator) ** 3).long()
    other = torch.randint(classes, (images,), generator=generator)
    return torch.where(torch.rand(images, generator=generator) < right, labels, other), labels


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("images", "classes"), ((1, 1), (7, 5), (300, 10), (500, 100)))
def test_metric_is_that_of_its_definition(metric, images, classes):
    for seed in range(10):
        predicted, labels = guesses(seed, images, classes)
        assert METRICS[metric](predicted, labels) == pytest.approx(by_hand(metric, predicted, labels), abs=1e-12)


def test_absent_class_counts_as_the_documentation_says():
    """Classes 3 and 4 have no image; 4 is predicted once."""
    labels, predicted = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 4, 1, 1])
    assert METRICS["balanced_accuracy"](predicted, labels) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert METRICS["f1"](predicted, labels) == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 4)


def test_rare_class_weighs_as_much_as_a_frequent_one():
    labels = torch.tensor([0] * 95 + [1] * 5)
    assert METRICS["accuracy"](torch.zeros_like(labels), labels) == 0.95
    assert METRICS["balanced_accuracy"](torch.zeros_like(labels), labels) == 0.5
    assert METRICS["f1"](torch.zeros_like(labels), labels) == pytest.approx(190 / 195 / 2)


def test_standard_error_is_that_of_the_shares_it_is_made_of():
    predicted, labels = guesses(0, 2000, 4)
    share = METRICS["accuracy"](predicted, labels)
    assert standard_error("accuracy", predicted, labels) == pytest.approx((share * (1 - share) / 2000) ** 0.5, rel=0.15)
    variance = 0.0
    for c in range(4):
        recall, of = (predicted[labels == c] == c).double().mean().item(), int((labels == c).sum())
        variance += recall * (1 - recall) / of
    found = standard_error("balanced_accuracy", predicted, labels)
    assert found == pytest.approx(variance**0.5 / 4, rel=0.15)
    assert found > standard_error("accuracy", predicted, labels)
    assert found == standard_error("balanced_accuracy", predicted, labels)


def test_accuracy_is_the_share_of_right_answers_in_each_group():
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1]])
    right = predictions(logits) == torch.tensor([1, 1, 1, 0])
    assert right.tolist() == [True, False, True, True]
    groups = accuracy_by_group(right, torch.tensor([0, 0, 2, 2]), ("small", "medium", "large"))
    assert groups == {"small": 0.5, "large": 1.0}


def test_accuracy_by_class_has_the_order_of_the_labels_and_stays_small():
    labels, predicted = torch.tensor([2, 0, 2, 2]), torch.tensor([2, 1, 0, 2])
    assert accuracy_by_class(predicted, labels, 4) == [0.0, None, 0.6667, None]
    predicted, labels = guesses(0, 50_000, 1000)
    many = accuracy_by_class(predicted, labels, 1000)
    assert len(many) == 1000
    assert len(json.dumps(many)) < 9000
