"""Published weights: every key accounted for, and the logits of the authors' networks."""

import json
import lzma
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elastic_search.arch.heads import WindowClassifier, network
from elastic_search.arch.ops import image
from elastic_search.arch.zoo import published
from elastic_search.cost.tally import tally
from elastic_search.errors import SpecError
from elastic_search.nn.net import Net
from elastic_search.nn.tools import fvcore_counts
from elastic_search.nn.weights import checkpoint
from elastic_search.nn.weights.checkpoint import load_published
from tests.nn.authors import authors_network, released_form
from tests.nn.weights.staging import SMALL, assert_same_logits, logits

RELEASED = json.loads(lzma.decompress(Path(__file__).with_name("released_state_dicts.json.xz").read_bytes()))
TWELVE = (
    "resnext50", "resnext50_elastic", "se_resnext50", "se_resnext50_elastic", "resnext101", "resnext101_elastic",
    "dla_x60", "dla_x60_elastic", "dla_x102", "dla_x102_elastic", "densenet201", "densenet201_elastic",
)  # fmt: skip


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


@pytest.mark.parametrize("name", ("dla", "dla_elastic", "densenet"))
def test_window_classifier_pools_as_the_authors_code_does_at_other_sizes(name, file):
    reference, spec = authors_network(SMALL[name]), SMALL[name]
    torch.save(released_form(reference), file)
    whole = load_published(f"small_{name}", file)
    window = Net(network(spec, WindowClassifier(10))).eval()
    window.load_state_dict(whole.state_dict())
    reference.window = 7
    for size in ((224, 224), (256, 256), (255, 320)):
        images = torch.rand(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(window(images), reference(images), rtol=1e-4, atol=1e-4)
            assert torch.allclose(whole(images), window(images), rtol=1e-4, atol=1e-4) is (size == (224, 224))
    for edge in (224, 256):
        graph = network(spec, WindowClassifier(10))
        theirs, _ = fvcore_counts(window, torch.zeros(1, 3, edge, edge))
        assert tally(graph, image(edge, edge), "fvcore").total == sum(theirs.values())
    with pytest.raises(SpecError, match="pools the whole map"):
        network(SMALL["resnext"], WindowClassifier(10))


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
