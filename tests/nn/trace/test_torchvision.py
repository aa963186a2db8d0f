"""torchvision's classifiers, one a family, counted as fvcore counts the module. Skipped without torchvision."""

import pytest
import torch

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.nn.tools import fvcore_counts, torch_counts
from elastic_search.nn.trace.tracing import trace

NAMES = (
    "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "densenet121", "mobilenet_v2", "mobilenet_v3_small",
    "efficientnet_b0", "efficientnet_v2_s", "squeezenet1_1", "shufflenet_v2_x0_5", "googlenet", "inception_v3",
    "mnasnet0_5", "regnet_y_400mf", "convnext_tiny",
)  # fmt: skip


@pytest.fixture(scope="module")
def models():
    """A wheel for another build of torch loads once the operators that it lacks are defined."""
    for name in ("nms", "qnms"):
        try:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            break  # defined already
    try:
        from torchvision import models
    except Exception as error:
        pytest.skip(f"torchvision: {error}")
    return models


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_torchvision_model_counts_as_fvcore_counts_it(models, name):
    without = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    module = models.get_model(name, weights=None, **without).eval()
    edge = 299 if name == "inception_v3" else 224
    graph, x = trace(module, image(edge, edge)), torch.zeros(1, 3, edge, edge)
    assert not opaque_nodes(graph)
    assert graph.params == sum(p.numel() for p in module.parameters())
    with torch.no_grad():
        counts, activations = fvcore_counts(module, x)
        flops = torch_counts(module, x)
    ours = tally(graph, image(edge, edge), CONVENTIONS["fvcore"])
    assert (ours.total, ours.activations) == (sum(counts.values()), activations)
    assert tally(graph, image(edge, edge), CONVENTIONS["torch"]).total == sum(flops.values())
