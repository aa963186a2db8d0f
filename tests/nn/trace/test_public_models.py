"""Public networks of torchvision and timm: counted by every convention as its tool counts the module.

`tools/public_models.py` counts many more; docs/models.md has what it found.
"""

import socket

import pytest

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.tally import tally
from elastic_search.errors import ElasticError, UnknownNameError, UsageError
from elastic_search.nn.libraries import public_model
from elastic_search.nn.trace.factory import load_module
from elastic_search.nn.trace.tracing import read
from tests.nn.trace.staging import theirs

QUICK = {"torchvision:mobilenet_v3_small": 64, "timm:deit_tiny_patch16_224": 224, "timm:mobilevit_xxs": 64}
MODELS = {
    "torchvision:alexnet": 64, "torchvision:densenet121": 64, "torchvision:efficientnet_v2_s": 64,
    "torchvision:googlenet": 64, "torchvision:inception_v3": 299, "torchvision:mnasnet0_5": 64,
    "torchvision:regnet_y_400mf": 64, "torchvision:shufflenet_v2_x0_5": 64, "torchvision:squeezenet1_1": 64,
    "torchvision:swin_v2_t": 64, "torchvision:maxvit_t": 224, "torchvision:lraspp_mobilenet_v3_large": 64,
    "torchvision:vit_b_16": 224, "timm:coatnet_pico_rw_224": 224, "timm:convnext_atto": 64,
    "timm:eca_halonext26ts": 256, "timm:lambda_resnet26t": 256, "timm:levit_128s": 224, "timm:nf_resnet26": 64,
    "timm:resnetv2_50": 64, "timm:tnt_s_patch16_224": 224,
}  # fmt: skip
TOOLS = ("fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo")


def counted_by_every_tool(name, edge):
    module = public_model(*name.split(":")).eval()
    reading = read(module, (3, edge, edge))
    assert not reading.notes
    assert not opaque_nodes(reading.graph)
    assert reading.graph.params == sum(p.numel() for p in module.parameters())
    for tool in TOOLS:
        ours = tally(reading.graph, (3, edge, edge), tool).total
        assert (tool, ours) == (tool, theirs(tool, module, (3, edge, edge)))


@pytest.mark.parametrize("name", QUICK)
def test_public_model_counts_as_every_tool_does(name):
    counted_by_every_tool(name, QUICK[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_more_public_models_count_as_every_tool_does(name):
    counted_by_every_tool(name, MODELS[name])


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_a_library_names_a_factory_and_nothing_is_downloaded(monkeypatch, name):
    def refuse(*args, **kwargs):
        raise AssertionError("no network")

    monkeypatch.setattr(socket, "socket", refuse)
    assert sum(p.numel() for p in load_module(name).parameters()) == 11_689_512


@pytest.mark.parametrize(
    "name", ["timm:hf-hub:timm/resnet18", "timm:hf_hub/resnet18", "torchvision:../resnet18", "timm:"]
)
def test_a_name_that_may_lead_elsewhere_is_refused(name):
    with pytest.raises(UsageError, match="does not name a network of"):
        load_module(name)


def test_an_unknown_network_of_a_library_says_the_nearest():
    with pytest.raises(UnknownNameError, match="resnet18x") as caught:
        load_module("timm:resnet18x")
    assert "did you mean" in str(caught.value)
    assert len(str(caught.value)) < 200
    assert isinstance(caught.value, ElasticError)
