import copy

import pytest
import torch
from torch import nn

from elastic_search.arch.edit import elastic
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import published
from elastic_search.nn.init import build
from elastic_search.recipes import Proxy
from elastic_search.train.quick import Quick, is_product

SPEC = Proxy(input=32).of(elastic(published("resnext50").with_depths((1, 2, 1, 1)), parse_split("1/2,1/2")))
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""Of results in float32: sums in another order."""


def network():
    return build(SPEC, 0, zero_init_last=False).to(memory_format=torch.channels_last)


def computed(net, dtype=torch.float32):
    """Result and gradients of a batch."""
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    net.zero_grad()
    found = net(images.to(dtype).contiguous(memory_format=torch.channels_last))
    found.square().sum().backward()
    return [found.detach(), *(p.grad.clone() for p in net.parameters())]


@pytest.mark.parametrize("forms", ({"products"}, {"in_place"}, {"products", "in_place"}))
@pytest.mark.parametrize("trains", (True, False))
def test_quick_forms_compute_the_same(forms, trains):
    # In double precision, where only a mistake makes a difference.
    own, quick = network().double().train(trains), network().double().train(trains)
    Quick(quick, products="products" in forms, in_place="in_place" in forms)
    for a, b in zip(computed(own, torch.double), computed(quick, torch.double), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_quick_forms_are_within_the_tolerance_in_float32():
    own, quick = network(), network()
    Quick(quick, products=True, in_place=True)
    (result, *gradients), (again, *others) = computed(own), computed(quick)
    torch.testing.assert_close(again, result, **TOLERANCE)
    a, b = (torch.cat([gradient.flatten() for gradient in of]) for of in (gradients, others))
    assert (a - b).norm() < 1e-4 * a.norm()


def test_modules_and_their_state_stay_the_same():
    own, net = network(), network()
    quick = Quick(net, products=True, in_place=True)
    for one in (own, net):
        one.train()
        for _ in range(3):
            computed(one)
    quick.counted(3)
    expected, found = own.state_dict(), net.state_dict()
    assert list(found) == list(expected)
    assert [type(module) for module in net.modules()] == [type(module) for module in own.modules()]
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, **TOLERANCE)
    assert int(found["stem.bn1.num_batches_tracked"]) == 3
    quick.restore()
    assert not any({"forward", "_visit"} & set(vars(module)) for module in net.modules())
    copy.deepcopy(net)


def test_only_dense_one_by_one_convolutions_are_products():
    made = [nn.Conv2d(4, 8, 1), nn.Conv2d(4, 8, 1, 2), nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(4, 8, 3),
            nn.Conv2d(4, 8, 1, padding=1)]  # fmt: skip
    assert [is_product(conv) for conv in made] == [True, True, False, False, False]
    images = torch.randn(2, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    for conv in made:
        expected = conv(images)
        Quick(conv, products=True, in_place=True)
        torch.testing.assert_close(conv(images), expected, **TOLERANCE)
