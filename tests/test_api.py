"""The public names, as a user of Python meets them."""

import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

import elastic_search
from elastic_search import Classifier, Net, Shape, build, count, match, network, parse_split, published, tally
from elastic_search.errors import ElasticError, UnknownNameError


def test_all_lists_every_public_name_once():
    assert sorted(elastic_search.__all__) == sorted(set(elastic_search.__all__))
    assert set(dir(elastic_search)) == {*elastic_search.__all__, "__version__"}
    assert {"build", "count", "Space", "load_space", "match", "search", "dump_spec", "save_weights"} <= {
        *elastic_search.__all__
    }


def test_count_takes_a_module_a_spec_or_a_name():
    spec = published("resnet18")
    counts = [count(model, (3, 64, 96), "torch") for model in ("resnet18", spec, Net(spec.graph()))]
    assert len({(found.total, found.params) for found in counts}) == 1
    assert counts[0].total == tally(spec.graph(), Shape(3, 64, 96), "torch").total


@pytest.mark.parametrize(
    ("call", "error", "wanted"),
    (
        (lambda: Net(published("resnet18")), TypeError, r"build\(spec\)"),
        (lambda: tally(published("resnet18"), (3, 224, 224)), TypeError, r"spec\.graph\(\)"),
        (lambda: tally(published("resnet18").graph(), (1, 3, 224, 224)), TypeError, "channels, height, width"),
        (lambda: tally(published("resnet18").graph(), (3, 64, 64), "fvcor"), UnknownNameError, "did you mean fvcore"),
        (lambda: count("resnt18"), UnknownNameError, "did you mean resnet18"),
        (lambda: match(published("resnet50"), parse_split("1/2,1/2")), ElasticError, "one path"),
    ),
)
def test_what_is_given_wrong_is_told_what_is_wanted(call, error, wanted):
    with pytest.raises(error, match=wanted):
        call()


def test_values_have_short_reprs():
    spec = published("resnext101_elastic")
    for value in (spec, spec.graph(), spec.stages[0], spec.stages[0].splits[0], count(spec), Net(spec.graph()).graph):
        assert len(repr(value)) < 200, repr(value)


def test_a_network_survives_another_process(tmp_path):
    """Hashes are cached, and another process hashes strings in another way."""
    spec = published("resnext50_elastic").with_depths((1, 1, 1, 1))
    (tmp_path / "all.pickle").write_bytes(pickle.dumps((spec, spec.graph(), build(spec, seed=1).eval())))
    code = f"""
import pickle, torch
from elastic_search import build, published
spec = published("resnext50_elastic").with_depths((1, 1, 1, 1))
there, graph, net = pickle.load(open({str(tmp_path / "all.pickle")!r}, "rb"))
assert {{there: 1}}[spec] and {{graph: 1}}[spec.graph()]
x = torch.ones(1, 3, 32, 32)
assert torch.equal(net(x), build(spec, seed=1).eval()(x))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_head_is_a_value_and_features_are_the_maps_before_it():
    spec = published("resnet18")
    assert network(spec, Classifier(7)).at("head.fc").out_features == 7
    assert not hasattr(spec, "classes")
    features = Net(spec.features((1, 3)))(torch.zeros(2, 3, 64, 64))
    assert [tuple(x.shape) for x in features] == [(2, 128, 8, 8), (2, 512, 2, 2)]
    with pytest.raises(ElasticError, match="taps"):
        spec.features((3, 1))


def test_a_module_without_a_name_is_counted_as_torch_counts_it():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.Flatten(), nn.Linear(8 * 6 * 6, 5))
    assert count(net, (3, 8, 8)).total == 36 * 8 * 27 + 8 * 36 * 5
