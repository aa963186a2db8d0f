"""What tests of weights share: small networks, their logits, and how a file is refused."""

from dataclasses import replace

import pytest
import torch

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.densenet import DenseNet
from elastic_search.arch.families.dla import DLA
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.heads import Classifier
from elastic_search.arch.spec import Stage
from elastic_search.arch.split import PLAIN
from elastic_search.errors import FileError
from elastic_search.nn.weights.checkpoint import load_published


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


def refusal(name, file):
    with pytest.raises(FileError) as caught:
        load_published(name, file)
    assert str(file) in str(caught.value)
    return str(caught.value), caught.value.hint
