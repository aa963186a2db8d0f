"""Every family × convention × input size × edit, against the real tools, to the integer.

``nn.verify`` builds the module and compares parameters, totals, activations and every operator's count.
"""

import pytest

from elastic_search.arch.edit import elastic, with_resampling
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.nn.verify import verify

SIZES = ((224, 224), (96, 96), (448, 448), (225, 193))
EDITS = {
    "as published": lambda spec: spec,
    "depths": lambda spec: spec.with_depths((2, 3, 1, 2)),
    "three branches": lambda spec: elastic(spec, parse_split("1/2,1/4,1/4")),
    "one low branch": lambda spec: elastic(spec, parse_split("1@1/2")),
    "some blocks": lambda spec: elastic(spec, parse_split("1/4,3/4"), lambda stage, block: block % 2 == 0),
    "nearest": lambda spec: elastic(spec, parse_split("1/2,1/2", "avgpool", "nearest")),
    "trained": lambda spec: elastic(spec, parse_split("1/2,1/4,1/4", "trained", "trained")),
    "dilated": lambda spec: elastic(spec, parse_split("1/2@1,1/2@1~2")),
    "a third": lambda spec: elastic(spec, parse_split("1/2@1,1/2@1/3")),
    "resampling": lambda spec: with_resampling(elastic(spec, parse_split("1/2,1/2")), None, "nearest"),
    "proxy": lambda spec: spec.scaled(parse_fraction("1/8"), "small", 10),
}


def parse_fraction(text):
    from fractions import Fraction

    return Fraction(text)


def check(spec, size):
    checks = verify(spec.graph(), image(*size))
    different = [check for check in checks if not check.equal]
    assert not different
    assert {check.quantity for check in checks} >= {"params", "macs", "fvcore", "torch", "fvcore conv", "activations"}


@pytest.mark.parametrize("size", ((96, 96), (225, 193)), ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", [name for name in PUBLISHED if "50" in name])
def test_published_network_counts_equal_the_tools(name, size):
    check(published(name), size)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_published_network_counts_equal_the_tools_at_every_size(name, size):
    check(published(name), size)


@pytest.mark.parametrize("edit", EDITS)
def test_edited_network_counts_equal_the_tools(edit):
    check(EDITS[edit](published("se_resnext50").with_depths((2, 2, 2, 1))), (97, 65))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", ("resnext50", "se_resnext50"))
def test_edited_network_counts_equal_the_tools_at_every_size(name, edit, size):
    check(EDITS[edit](published(name)), size)
