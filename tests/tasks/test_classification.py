import torch

from elastic_search.tasks import classification


def test_accuracy_is_the_share_of_right_answers_in_each_group():
    logits = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.9, 0.1]])
    right = classification.hits(logits, torch.tensor([1, 1, 1, 0]))
    assert right.tolist() == [True, False, True, True]
    groups = classification.accuracy_by_group(right, torch.tensor([0, 0, 2, 2]), ("small", "medium", "large"))
    assert groups == {"small": 0.5, "large": 1.0}
