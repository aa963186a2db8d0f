"""Files that are not the weights of the network are refused, with the reason."""

import pickle
import zipfile

import pytest
import torch

from elastic_search.arch.zoo import published
from elastic_search.errors import UnknownNameError
from elastic_search.nn.weights.checkpoint import load_published
from tests.nn.authors import authors_network, released_form
from tests.nn.weights.staging import SMALL, refusal


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
