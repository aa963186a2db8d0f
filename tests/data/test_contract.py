"""What a training relies on, of every data set."""

import json

import pytest
import torch

from elastic_search.data.cache import load
from elastic_search.data.scenes import SceneData
from elastic_search.recipes import About, Data, Training
from tests.data.staging import parted, tree


def folder(root, **how):
    return load(Data(str(root), **how), 16, root.with_name("caches"))


DATASETS = {  # each is given a folder of its own
    "scenes": lambda path: SceneData(Training(train_images=40, test_images=20, val_images=30), 32),
    "scenes ranked on test": lambda path: SceneData(Training(train_images=40, test_images=20), 32),
    "one tree": lambda path: folder(tree(path / "set")),
    "train and val": lambda path: folder(parted(path / "set")),
    "ranked on val": lambda path: folder(parted(path / "set"), rank_on="val"),
}


@pytest.fixture(scope="module", params=DATASETS)
def dataset(request, tmp_path_factory):
    return DATASETS[request.param](tmp_path_factory.mktemp("data"))


def test_splits_are_as_the_description_says(dataset):
    about = dataset.about
    assert {"train", "rank"} <= set(about.images) <= {"train", "rank", "final"}
    assert set(about.splits) == set(about.images)
    for split, number in about.images.items():
        found = dataset.examples(split)
        assert len(found) == number == len(found.images) == len(found.labels)
        assert found.images.dtype == torch.uint8
        assert found.labels.dtype == torch.int64
        assert tuple(found.images.shape[1:]) == (about.channels, *found.images.shape[-1:] * 2)
        assert (found.groups is None) == (not about.groups)
        if found.groups is not None:
            assert int(found.groups.min()) >= 0
            assert int(found.groups.max()) < len(about.groups)


def test_missing_split_is_a_key_error(dataset):
    for split in {"train", "rank", "final", "else"} - set(dataset.about.images):
        with pytest.raises(KeyError):
            dataset.examples(split)


def test_labels_are_classes_and_each_class_is_trained_and_ranked(dataset):
    for split in ("train", "rank"):
        assert set(dataset.examples(split).labels.tolist()) == set(range(len(dataset.about.classes)))


def test_no_image_is_in_two_splits(dataset):
    seen = {}
    for split in dataset.about.images:
        for one in dataset.examples(split).images:
            assert seen.setdefault(bytes(one.numpy().tobytes()), split) == split


def test_examples_are_the_same_each_time(dataset):
    first, again = dataset.examples("rank"), dataset.examples("rank")
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)


def test_examples_move_to_a_device_together(dataset):
    moved = dataset.examples("rank").to("meta")
    tensors = [moved.images, moved.labels, *([] if moved.groups is None else [moved.groups])]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_description_is_plain_json(dataset):
    assert About.of(json.loads(json.dumps(dataset.about.to_dict()))) == dataset.about
