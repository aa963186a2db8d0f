"""Tests of the proxy data: the shipped objects and the scenes made of them."""

import math
import pickle
import random
from importlib import resources
from typing import Any

import numpy as np
import pytest
import torch

from elastic_search.data import scenes as scenes_module
from elastic_search.data.fashion import CLASS_NAMES, PER_CLASS, Split, load_objects
from elastic_search.data.scenes import SIZE_NAMES, Scenes, SceneSpec, make_scenes, size_classes

SPEC = SceneSpec(train=600, test=200)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return make_scenes(SPEC, "train")


def identical(first: Scenes, second: Scenes) -> bool:
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.labels, second.labels)
        and torch.equal(first.object_sizes, second.object_sizes)
    )


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_objects_have_documented_shape_and_balance(split: Split) -> None:
    images, labels = load_objects(split)
    assert images.shape == (len(CLASS_NAMES) * PER_CLASS[split], 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [PER_CLASS[split]] * len(CLASS_NAMES)


def test_objects_are_disjoint_between_splits() -> None:
    train, test, val = ({image.tobytes() for image in load_objects(split)[0]} for split in PER_CLASS)
    assert not train & test
    assert not train & val
    assert not val & test


def test_validation_objects_are_held_out_of_the_training_objects() -> None:
    every, labels = load_objects("train", held_out=False)
    assert np.bincount(labels).tolist() == [400] * len(CLASS_NAMES)
    parts = [image.tobytes() for split in ("train", "val") for image in load_objects(split)[0]]  # type: ignore[arg-type]
    assert sorted(parts) == sorted(image.tobytes() for image in every)


def test_objects_returned_are_independent_copies() -> None:
    load_objects("test")[0][:] = 0
    assert load_objects("test")[0].any()


def test_objects_reject_unknown_split() -> None:
    with pytest.raises(ValueError, match="split='validation'"):
        load_objects("validation")  # type: ignore[arg-type]


def test_licence_lies_beside_the_data() -> None:
    folder = resources.files("elastic_search.data")
    assert folder.joinpath("fashion_mnist_subset.xz").is_file()
    licence = folder.joinpath("FASHION_MNIST_LICENSE.txt").read_text(encoding="utf-8")
    assert "Zalando SE" in licence
    assert "MIT" in licence


def test_scenes_have_documented_shapes_and_types(scenes: Scenes) -> None:
    assert len(scenes) == 600
    assert scenes.images.shape == (600, 3, 64, 64)
    assert scenes.images.dtype == torch.uint8
    assert scenes.labels.shape == (600,)
    assert scenes.labels.dtype == torch.int64
    assert scenes.object_sizes.shape == (600,)
    assert scenes.object_sizes.dtype == torch.float32


def test_scenes_repeat_exactly(scenes: Scenes) -> None:
    assert identical(scenes, make_scenes(SPEC, "train"))


def test_scenes_differ_by_seed_and_by_split() -> None:
    spec = SceneSpec(train=20, test=20)
    train = make_scenes(spec, "train")
    other_seed = make_scenes(SceneSpec(train=20, test=20, seed=1), "train")
    test = make_scenes(spec, "test")
    assert not torch.equal(train.object_sizes, other_seed.object_sizes)
    assert not torch.equal(train.object_sizes, test.object_sizes)
    assert not torch.equal(train.images, other_seed.images)


def test_validation_scenes_are_new_and_leave_the_test_scenes_as_they_are() -> None:
    spec = SceneSpec(train=20, test=20, val=20)
    val, test = make_scenes(spec, "val"), make_scenes(spec, "test")
    assert len(val) == 20
    assert not torch.equal(val.object_sizes, make_scenes(spec, "train").object_sizes)
    assert not torch.equal(val.object_sizes, test.object_sizes)
    assert identical(test, make_scenes(SceneSpec(train=20, test=20), "test"))


def test_scenes_without_a_validation_split_are_those_of_recorded_runs() -> None:
    made = make_scenes(SceneSpec(train=20, test=20), "train")
    assert made.labels.tolist() == [6, 6, 3, 9, 2, 7, 0, 8, 1, 2, 5, 3, 4, 9, 0, 5, 4, 7, 8, 1]
    assert made.object_sizes[:3].tolist() == pytest.approx([18.9742, 34.8837, 50.1461], abs=1e-3)
    assert made.images.float().mean().item() == pytest.approx(105.5725, abs=0.05)


def test_scenes_of_a_split_that_has_none_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"split='val': SceneSpec\.val=0"):
        make_scenes(SceneSpec(train=20), "val")


def test_scenes_leave_global_random_state_alone() -> None:
    before = torch.get_rng_state(), pickle.dumps(np.random.get_state()), random.getstate()
    make_scenes(SceneSpec(train=20), "train")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert pickle.dumps(np.random.get_state()) == before[1]
    assert random.getstate() == before[2]


def test_scenes_ignore_global_random_state() -> None:
    spec = SceneSpec(train=20)
    first = make_scenes(spec, "train")
    with torch.random.fork_rng():
        torch.manual_seed(123)
        assert identical(first, make_scenes(spec, "train"))


def test_scenes_of_each_class_are_balanced(scenes: Scenes) -> None:
    assert scenes.labels.bincount().tolist() == [60] * 10
    uneven = make_scenes(SceneSpec(train=23), "train").labels.bincount(minlength=10)
    assert set(uneven.tolist()) == {2, 3}


def test_scenes_can_be_fewer_than_the_classes() -> None:
    assert len(make_scenes(SceneSpec(train=3), "train")) == 3


def test_sources_are_used_evenly_and_match_their_labels() -> None:
    labels = torch.arange(5).repeat_interleave(2) % 10
    labels = torch.cat((labels, labels + 5))  # two objects of each of ten classes
    chosen = scenes_module._choose_objects(labels, 60, torch.Generator().manual_seed(0))
    assert chosen.bincount().tolist() == [3] * 20
    assert labels[chosen].bincount().tolist() == [6] * 10


def test_object_sizes_are_log_uniform_in_range(scenes: Scenes) -> None:
    sizes = scenes.object_sizes
    assert sizes.min() >= SPEC.smallest
    assert sizes.max() <= SPEC.largest_edge
    shares = size_classes(sizes, SPEC).bincount(minlength=3) / len(sizes)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.08)


def test_size_classes_are_equal_thirds_of_log_scale() -> None:
    spec = SceneSpec(smallest=12, largest=57)
    ratio = 57 / 12
    edges = [12.0, 12 * ratio ** (1 / 3) - 0.1, 12 * ratio ** (1 / 3) + 0.1]
    edges += [12 * ratio ** (2 / 3) - 0.1, 12 * ratio ** (2 / 3) + 0.1, 57.0]
    classes = size_classes(torch.tensor(edges), spec)
    assert classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert classes.dtype == torch.int64
    assert SIZE_NAMES == ("small", "medium", "large")


@pytest.mark.parametrize("size", [15, 33, 97])
def test_scenes_can_be_made_at_odd_sizes(size: int) -> None:
    made = make_scenes(SceneSpec(train=11, size=size), "train")
    assert made.images.shape == (11, 3, size, size)
    assert made.object_sizes.max() <= math.floor(0.9 * size)
    assert (made.images.float().std((1, 2, 3)) > 1).all()


@pytest.mark.parametrize("edge", [12.0, 17.3, 28.0, 57.0])
def test_pasted_object_lies_in_its_box_without_ripples(edge: float) -> None:
    corner, edges = torch.tensor([3.6]), torch.tensor([edge])
    weights = scenes_module._paste_weights(corner, edges, 64)[0]
    # A white object: the weights that fall on the object rather than on its empty margin.
    profile = weights[:, scenes_module.MARGIN : -scenes_module.MARGIN].sum(1)
    centre = torch.arange(64) + 0.5
    blend = max(1.0, edge / 28)  # px over which the border fades
    inside = (centre > 3.6 + blend) & (centre < 3.6 + edge - blend)
    outside = (centre < 3.6 - blend) | (centre > 3.6 + edge + blend)
    torch.testing.assert_close(profile[inside], torch.ones(int(inside.sum())))
    assert profile[outside].abs().max() == 0
    assert profile.sum().item() == pytest.approx(edge, rel=0.05)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train": 0}, r"SceneSpec\.train=0: must be at least 1"),
        ({"test": -1}, r"SceneSpec\.test=-1: must be at least 1"),
        ({"smallest": 11}, r"SceneSpec\.smallest=11: must be at least 12"),
        ({"val": -1}, r"SceneSpec\.val=-1: must be at least 0"),
        ({"seed": -1}, r"SceneSpec\.seed=-1: must be at least 0"),
        ({"largest": 65}, r"SceneSpec\.largest=65: must be at most size=64"),
        ({"largest": 12}, r"SceneSpec\.largest=12: .* larger than smallest=12"),
        ({"size": 14}, r"SceneSpec\.size=14: .* larger than smallest=12"),
    ],
)
def test_spec_names_field_value_and_rule_in_errors(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneSpec(**values)


def test_spec_default_largest_follows_canvas() -> None:
    assert SceneSpec(size=64).largest_edge == 57
    assert SceneSpec(size=33).largest_edge == 29
    assert SceneSpec(size=64, largest=40).largest_edge == 40
