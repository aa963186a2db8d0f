"""Published weights: every key accounted for, and the logits of the authors' networks."""

import hashlib
import json
import lzma
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.densenet import DenseNet
from elastic_search.arch.families.dla import DLA, dla
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.heads import Classifier
from elastic_search.arch.spec import Stage
from elastic_search.arch.split import PLAIN
from elastic_search.arch.zoo import PUBLISHED, Published, published, to_dict
from elastic_search.errors import ElasticError, EnvironmentFault, FileError, SpecError, UnknownNameError
from elastic_search.nn.init import build
from elastic_search.nn.weights import checkpoint, files
from elastic_search.nn.weights.checkpoint import convert, load_published, load_weights, save_weights
from tests.nn.authors import authors_network, released_form

RELEASED = json.loads(lzma.decompress(Path(__file__).with_name("released_state_dicts.json.xz").read_bytes()))
TWELVE = (
    "resnext50", "resnext50_elastic", "se_resnext50", "se_resnext50_elastic", "resnext101", "resnext101_elastic",
    "dla_x60", "dla_x60_elastic", "dla_x102", "dla_x102_elastic", "densenet201", "densenet201_elastic",
)  # fmt: skip


def small_dla(depths=(1, 2, 3, 1), widths=(32, 64, 64, 96), **edit):
    return DLA(
        tuple(Stage(width, (PLAIN,) * 2**depth) for width, depth in zip(widths, depths, strict=True)),
        stem_width=8, head=Classifier(10), **edit,
    )  # fmt: skip


def small_densenet():
    return DenseNet(
        tuple(Stage(16, (PLAIN,) * depth) for depth in (2, 3, 3, 2)), growth=8, stem_width=16, head=Classifier(10)
    )


def small_resnext(**edit):
    return replace(resnext((2, 3, 2), path_width=2, cardinality=8, **edit), head=Classifier(10))


SMALL = {
    "resnext": small_resnext(),
    "resnext_elastic": elastic(small_resnext(), HALVES),
    "se_resnext": small_resnext(se_reduction=4),
    "se_resnext_elastic": elastic(small_resnext(se_reduction=4), HALVES),
    "resnet": replace(resnext((2, 2, 1), path_width=8, cardinality=1, expansion=4), head=Classifier(10)),
    "dla": small_dla(),
    "dla_residual": small_dla((1, 3, 2, 1), residual_root=True),
    "dla_elastic": elastic(small_dla(), HALVES),
    "dla_50_elastic": elastic(small_dla((3, 2, 2, 1), cardinality=50, residual_root=True), HALVES),
    "densenet": small_densenet(),
    "densenet_elastic": elastic(small_densenet(), HALVES),
}


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    for name, spec in SMALL.items():
        monkeypatch.setitem(PUBLISHED, f"small_{name}", Published(lambda spec=spec: spec, "2"))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pth.tar"
    yield path
    path.unlink(missing_ok=True)  # large, and pytest keeps its folders


def logits(net, size, seed=1):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    with torch.no_grad():
        return net.double()(images)


def assert_same_logits(net, reference, sizes=((64, 64), (65, 97))):
    for size in sizes:
        expected = logits(reference, size)
        scale = expected.abs().max()
        assert torch.isfinite(scale)
        assert (expected[0] - expected[1]).abs().max() > 0.001 * scale, "the images must tell weights apart"
        assert (logits(net, size) - expected).abs().max() < 1e-10 * scale


@pytest.mark.parametrize("name", RELEASED)
def test_every_key_of_a_released_file_is_accounted_for(name, file):
    shapes = dict(line.split(" ") for line in RELEASED[name])
    state = {key: torch.zeros([int(n) for n in shape.split("x")]) for key, shape in shapes.items()}
    torch.save(state, file)
    net, conversion = checkpoint._convert(name, file)
    assert conversion.keys == len(shapes)
    elastic_net = published(name).elastic_blocks > 0
    assert (conversion.merged > 0) == (elastic_net or name == "resnext50")
    dead = 15 if name.startswith("dla") else 0  # three projections of a convolution and a BN
    assert conversion.dropped == (("dead projection", dead), ("batch counter", 0))
    counters = sum(key.endswith("num_batches_tracked") for key in net.state_dict())
    assert conversion.tensors == len(net.state_dict()) - counters
    assert not net.training


@pytest.mark.parametrize("name", RELEASED)
def test_reference_networks_have_the_released_keys(name):
    keys = {
        f"{key} {'x'.join(map(str, t.shape))}" for key, t in released_form(authors_network(published(name))).items()
    }
    assert keys == set(RELEASED[name])


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_those_of_the_authors_network(name, file):
    reference = authors_network(SMALL[name])
    torch.save(released_form(reference), file)
    assert_same_logits(load_published(f"small_{name}", file), reference, ((64, 64), (65, 97), (33, 63)))


@pytest.mark.parametrize("name", ("se_resnext50_elastic", "dla_x60_elastic"))
def test_logits_of_published_networks(name, file):
    reference = authors_network(published(name))
    torch.save(released_form(reference), file)
    assert_same_logits(load_published(name, file), reference, ((65, 97),))


@pytest.mark.slow
@pytest.mark.parametrize("name", TWELVE)
def test_logits_of_all_published_networks(name, file):
    reference = authors_network(published(name))
    torch.save(released_form(reference), file)
    assert_same_logits(load_published(name, file), reference)


@pytest.mark.parametrize("name", ("resnext_elastic", "dla_elastic", "densenet_elastic"))
def test_halves_are_not_interchangeable(name, file):
    reference = authors_network(SMALL[name])
    state = released_form(reference)
    swapped = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        other = f"{module[:-2]}.{leaf}" if module.endswith("_d") else f"{module}_d.{leaf}"
        swapped[key] = state.get(other, tensor)
    torch.save(swapped, file)
    expected = logits(reference, (64, 64))
    difference = (logits(load_published(f"small_{name}", file), (64, 64)) - expected).abs().max()
    assert difference > 1e-3 * expected.abs().max()


def whole_blocks(state, last="conv3"):
    """Halves joined, as a file has them that was not written by the authors."""
    joined = {}
    for key, tensor in state.items():
        module, _, leaf = key.rpartition(".")
        if not module.endswith("_d"):
            low = state.get(f"{module}_d.{leaf}")
            joined[key] = tensor if low is None else torch.cat((tensor, low), 1 if module.endswith(last) else 0)
    return joined


def test_file_with_whole_blocks_loads_as_well(file):
    reference = authors_network(SMALL["resnext"])
    torch.save(whole_blocks(released_form(reference)), file)
    net, conversion = checkpoint._convert("small_resnext", file)
    assert conversion.merged == 0
    assert_same_logits(net, reference)


@pytest.mark.parametrize("legacy", (False, True))
@pytest.mark.parametrize("form", ("bare", "prefixed", "nested", "counted", "safetensors", "half", "parameters"))
def test_forms_of_a_file(form, legacy, tmp_path, file):
    reference = authors_network(SMALL["dla_elastic"])
    content = state = released_form(reference)
    if form == "counted":
        content = reference.state_dict()
    elif form == "prefixed":
        content = {f"module.{key}": tensor for key, tensor in state.items()}
    elif form == "nested":
        state = {f"module.{key}": tensor for key, tensor in state.items()}
        content = {"epoch": 90, "arch": "dla60x", "state_dict": state, "best_prec1": torch.tensor(79.2)}
    elif form == "half":
        reference = reference.half().float()
        content = {key: tensor.half() for key, tensor in state.items()}
    elif form == "parameters":
        content = {key: torch.nn.Parameter(tensor) for key, tensor in state.items()}
    if form == "safetensors":
        file = tmp_path / "weights.safetensors"
        save_file(content, file)
    else:
        torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    net, conversion = checkpoint._convert("small_dla_elastic", file)
    assert {tensor.dtype for tensor in net.parameters()} == {torch.float32}
    counters = sum(key.endswith("num_batches_tracked") for key in reference.state_dict())
    assert dict(conversion.dropped)["batch counter"] == (counters if form == "counted" else 0)
    assert all(not value for key, value in net.state_dict().items() if key.endswith("num_batches_tracked"))
    assert_same_logits(net, reference, ((64, 64),))


def refusal(name, file):
    with pytest.raises(FileError) as caught:
        load_published(name, file)
    assert str(file) in str(caught.value)
    return str(caught.value), caught.value.hint


def test_keys_that_do_not_fit_are_all_listed(file):
    state = released_form(authors_network(SMALL["dla_elastic"]))
    state["level2.root.bn.weight"] = torch.ones(7)
    state["level2.root.conv.weight"] = state["level2.root.conv.weight"].long()
    state["level2.root.bn.bias"] = state["level2.root.bn.bias"].to(torch.float8_e5m2)
    state["stranger.weight"] = torch.ones(3)
    del state["fc.bias"], state["level5.tree1.conv1_d.weight"]
    torch.save(state, file)
    message, hint = refusal("small_dla_elastic", file)
    assert message.split("\n  ") == [
        f"{file}: not the weights of small_dla_elastic",
        "missing level5.tree1.conv1_d.weight",
        "missing fc.bias",
        "unknown stranger.weight",
        "wrong level2.root.conv.weight: 32x64x1x1 of torch.int64, not 32x64x1x1 of torch.float32",
        "wrong level2.root.bn.weight: 7 of torch.float32, not 32 of torch.float32",
        "wrong level2.root.bn.bias: 32 of torch.float8_e5m2, not 32 of torch.float32",
    ]
    assert hint is None


def test_dead_projections_may_be_missing_but_not_half_a_block(file):
    state = released_form(authors_network(SMALL["dla"]))
    dead = [key for key in state if key.startswith(("level3.project.", "level4.project.", "level4.tree1.project."))]
    assert dead
    torch.save({key: tensor for key, tensor in state.items() if key not in dead}, file)
    load_published("small_dla", file)
    state = released_form(authors_network(SMALL["resnext"]))
    del state["layer2.1.conv2_d.weight"]
    torch.save(state, file)
    assert refusal("small_resnext", file)[0].split("\n  ")[1:] == ["missing layer2.1.conv2_d.weight"]


@pytest.mark.parametrize("name", ("dla", "densenet"))
def test_elastic_weights_are_not_taken_for_those_of_the_plain_network(name, file):
    """Here both have the same depths: the Elastic network's merged halves would fit, and compute something else."""
    torch.save(released_form(authors_network(SMALL[f"{name}_elastic"])), file)
    assert refusal(f"small_{name}", file)[1] == f"this is a checkpoint of small_{name}_elastic: load it under that name"
    torch.save(released_form(authors_network(SMALL[name])), file)
    assert refusal(f"small_{name}_elastic", file)[1] == f"this is a checkpoint of small_{name}: load it under that name"


def test_long_lists_are_cut_and_another_network_is_recognised(file):
    torch.save(released_form(authors_network(published("se_resnext50_elastic"))), file)
    message, hint = refusal("resnext50_elastic", file)
    assert "and 78 more unknown" in message  # 22 blocks of two convolutions with bias
    assert len(message.splitlines()) == 12
    assert hint == "this is a checkpoint of se_resnext50_elastic: load it under that name"


@pytest.mark.parametrize("name", ("resnext", "dla", "densenet"))
def test_another_number_of_classes_is_recognised(name, file):
    state = released_form(authors_network(SMALL[name]))
    head = "classifier" if name == "densenet" else "fc"
    state |= {f"{head}.{leaf}": torch.ones(365, *state[f"{head}.{leaf}"].shape[1:]) for leaf in ("weight", "bias")}
    torch.save(state, file)
    assert "another number of classes" in refusal(f"small_{name}", file)[1]


class Payload:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("legacy", (False, True))
def test_pickle_that_would_run_code_is_refused(file, legacy, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"state_dict": {"fc.weight": Payload()}}, file, _use_new_zipfile_serialization=not legacy)
    message, _ = refusal("small_resnext", file)
    assert "asks for" in message
    assert "print" in message
    file.write_bytes(pickle.dumps(Payload()))
    refusal("small_resnext", file)
    assert not capsys.readouterr().out


def test_compressed_archive_is_refused(file, tmp_path):
    torch.save({"fc.weight": torch.zeros(1000, 1000)}, tmp_path / "stored.pt")
    with zipfile.ZipFile(tmp_path / "stored.pt") as stored, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in stored.namelist():
            packed.writestr(member, stored.read(member))
    assert "compressed" in refusal("small_resnext", file)[0]


@pytest.mark.parametrize("legacy", (False, True))
def test_tensor_larger_than_its_storage_is_refused(file, legacy):
    state = {"fc.bias": torch.zeros(2), "fc.weight": torch.zeros(1).expand(10**6, 10**6)}
    torch.save(state, file, _use_new_zipfile_serialization=not legacy)
    assert file.stat().st_size < 10_000
    lines = refusal("small_resnext", file)[0].split("\n  ")
    assert [line.split()[-1] for line in lines[1:]] == ["fc.weight"]


@pytest.mark.parametrize("legacy", (False, True))
def test_damaged_files_are_refused(file, legacy):
    torch.save({"fc.weight": torch.zeros(100)}, file, _use_new_zipfile_serialization=not legacy)
    whole = file.read_bytes()
    step = max(1, len(whole) // 60)
    for end in (*range(0, len(whole), step), len(whole) - 1):
        file.write_bytes(whole[:end])
        refusal("small_resnext", file)


@pytest.mark.parametrize(
    "content", (3, {}, [torch.zeros(1)], {"a": 1}, {3: torch.zeros(1)}, {"state_dict": {}}, {"a": torch.zeros(0, 3)},
                {"a": torch.eye(2).to_sparse()}, {"a": torch.empty(2, device="meta")}, {"": torch.zeros(1)}),
)  # fmt: skip
def test_content_that_is_no_state_dict_is_refused(file, content):
    torch.save(content, file)
    refusal("small_resnext", file)


def test_what_is_no_file_is_refused(tmp_path):
    assert "no such file" in refusal("small_resnext", tmp_path / "none.pt")[0]
    assert "not a file" in refusal("small_resnext", tmp_path)[0]
    for name in ("x.safetensors", "x.pt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing")
        refusal("small_resnext", tmp_path / name)
    with pytest.raises(UnknownNameError):
        load_published("resnext5", tmp_path / "none.pt")


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
