"""Files with the spec inside: written, read, and refused where they are wrong."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from elastic_search.arch.families.dla import dla
from elastic_search.arch.zoo import to_dict
from elastic_search.errors import ElasticError, EnvironmentFault, FileError, SpecError
from elastic_search.nn.init import build
from elastic_search.nn.weights import checkpoint, files
from elastic_search.nn.weights.checkpoint import convert, load_weights, save_weights
from tests.nn.authors import authors_network, released_form
from tests.nn.weights.staging import SMALL, assert_same_logits, refusal


@pytest.mark.parametrize("name", ("resnext_elastic", "dla_50_elastic", "densenet_elastic", "dla"))
def test_converted_file_holds_the_spec_and_the_weights(name, file, tmp_path):
    reference = authors_network(SMALL[name])
    torch.save(released_form(reference), file)
    output = tmp_path / "out.safetensors"
    convert(f"small_{name}", file, output)
    tensors, metadata = files.read_safetensors(output)
    assert checkpoint._spec_inside(output, metadata, len(tensors)) == SMALL[name]
    assert metadata["elastic_search.name"] == f"small_{name}"
    assert metadata["elastic_search.source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    net = load_weights(output)
    assert not net.training
    assert all(tensor.requires_grad for tensor in net.parameters())
    assert_same_logits(net, reference)
    assert {path.name for path in tmp_path.iterdir()} == {file.name, output.name}
    assert "load_weights" in refusal(f"small_{name}", output)[1]


def test_network_of_another_spec_is_not_saved(tmp_path):
    with pytest.raises(SpecError):
        save_weights(build(SMALL["dla"]), SMALL["dla_elastic"], tmp_path / "out.safetensors")
    assert not list(tmp_path.iterdir())


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "out.safetensors"
    path.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentFault, match=r"out\.safetensors: cannot be written \(No space"):
        save_weights(build(SMALL["resnext"]), SMALL["resnext"], path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def changed(**edit):
    return json.dumps({**to_dict(SMALL["resnext"]), **edit})


STAGES = to_dict(SMALL["resnext"])["stages"]


@pytest.mark.parametrize(
    "spec",
    (
        "", "3", "[]", "{}", "[" * 100_000, changed(family="vgg"), changed(family=[]), changed(schema=2),
        changed(stages=3), changed(stages=[]), changed(cardinality="8"), changed(cardinality=True),
        changed(cardinality=0), changed(strange=1), changed(classes=10**30), changed(classes=11), changed(stem="huge"),
        changed(stages=[1]), changed(stages=[{"width": 16}]), changed(stages=[{**STAGES[0], "depth": 10**9}]),
        changed(stages=[{**STAGES[0], "width": 2**20}]), changed(stages=[{**STAGES[0], "split": ["1"]}]),
        changed(stages=[{**STAGES[0], "splits": [3, 4]}]), changed(stages=[{**STAGES[0], "splits": ["1"]}]),
        changed(stages=[{**STAGES[0], "split": "1/3"}]), changed(stages=[{**STAGES[0], "up": "magic"}]),
        json.dumps(to_dict(dla((9, 9, 9, 9)))),
    ),
)  # fmt: skip
def test_wrong_spec_inside_is_refused(spec, tmp_path):
    path = tmp_path / "out.safetensors"
    metadata = {"elastic_search.schema": "1", "elastic_search.spec": spec}
    save_file(build(SMALL["resnext"]).state_dict(), path, metadata)
    with pytest.raises(FileError) as caught:
        load_weights(path)
    assert str(path) in str(caught.value)


def test_weights_that_are_not_of_the_spec_inside_are_listed(tmp_path):
    path = tmp_path / "out.safetensors"
    state = build(SMALL["resnext"]).state_dict()
    metadata = {"elastic_search.schema": "1", "elastic_search.spec": changed()}
    del state["stem.bn1.bias"]
    state |= {"other": torch.ones(1), "head.fc.bias": torch.ones(9)}
    save_file(state, path, metadata)
    with pytest.raises(FileError, match=r"missing stem.bn1.bias\n  unknown other\n  wrong head.fc.bias: 9 "):
        load_weights(path)
    save_file(state, path)
    with pytest.raises(FileError, match="no 'elastic_search"):
        load_weights(path)
    save_file(state, path, {**metadata, "elastic_search.schema": "2"})
    with pytest.raises(FileError, match="schema 2"):
        load_weights(path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(FileError, match="not a safetensors file"):
        load_weights(path)
    with pytest.raises(FileError, match="no such file"):
        load_weights(tmp_path / "none.safetensors")


def test_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(ElasticError, match="safetensors is not installed") as caught:
        load_weights(tmp_path / "x.safetensors")
    assert caught.value.exit_code == 3
    assert caught.value.hint == "pip install 'elastic-search[weights]'"
