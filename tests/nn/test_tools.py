"""The paper's own counter, written a second time: its rules one by one, and every published network."""

import pytest
import torch
from torch import nn

from elastic_search.arch.ops import image
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tally import tally
from elastic_search.nn.net import on_meta
from elastic_search.nn.tools import authors_counts

SIZES = ((224, 224), (97, 161))
FEW = ("resnext50_elastic", "dla_x60_elastic", "resnet18")


class Normalised(nn.BatchNorm2d):
    """A subclass with a child, as timm has it."""

    def __init__(self, channels):
        super().__init__(channels)
        self.activation = nn.ReLU()

    def forward(self, x):
        return self.activation(super().forward(x))


RULES = {
    "convolution": (nn.Conv2d(6, 8, (3, 5), 2, bias=False), 8 * 4 * 4 * 6 * 15),
    "convolution with bias": (nn.Conv2d(6, 8, 3, padding=1, groups=2), 8 * 10 * 12 * (3 * 9 + 1)),
    "transposed convolution": (nn.ConvTranspose2d(6, 8, 2, 2), 0),
    "batch norm": (nn.BatchNorm2d(6), 2 * 720),
    "batch norm without weights": (nn.BatchNorm2d(6, affine=False), 720),
    "batch norm with a child": (Normalised(6), 3 * 720),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(720, 5)), 720 * 5),
    "linear on a map": (nn.Linear(12, 5), 6 * 6),
    **{kind.__name__: (kind(), 720) for kind in (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.PReLU)},
    "average pool": (nn.AvgPool2d(2), 720),
    "max pool": (nn.MaxPool2d(3, 2, 1), 720),
    "adaptive pool": (nn.AdaptiveAvgPool2d(1), 0),
    "up-sampling": (nn.Upsample(scale_factor=2), 8 * 4 * 720),
    "function": (type("Function", (nn.Module,), {"forward": lambda m, x: torch.relu(x)})(), 0),
}


@pytest.mark.parametrize("name", RULES)
def test_authors_counter_follows_its_rules(name):
    module, count = RULES[name]
    assert sum(authors_counts(module.eval(), torch.zeros(1, 6, 10, 12)).values()) == count


def compared(name, size):
    graph = published(name).graph()
    with torch.device("meta"):
        theirs = authors_counts(on_meta(graph, dead=True).eval(), torch.zeros(1, *image(*size)))
    ours = tally(graph, image(*size), "authors")
    assert {operator: count for operator, count in ours.by_operator().items() if count} == theirs


@pytest.mark.parametrize("name", FEW)
def test_authors_counter_agrees_on_published_networks(name):
    compared(name, SIZES[1])


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", PUBLISHED)
def test_authors_counter_agrees_on_every_published_network(name, size):
    compared(name, size)
