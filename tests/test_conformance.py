"""Every family × convention × input size × edit, against the real tools, to the integer.

``nn.verify`` builds the module and compares parameters, totals, activations and every operator's count.
"""

from dataclasses import replace
from fractions import Fraction

import pytest

from elastic_search.arch.edit import HALVES, elastic, with_resampling
from elastic_search.arch.graph import Graph
from elastic_search.arch.heads import Classifier
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split, typed
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import AUTHORS, CONVENTIONS
from elastic_search.nn.tools import TOOLS
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
    "dilated, pooled": lambda spec: elastic(spec, parse_split("1/2@1,1/2@1~2ap")),
    "a third": lambda spec: elastic(spec, parse_split("1/2@1,1/2@1/3")),
    "resampling": lambda spec: with_resampling(elastic(spec, parse_split("1/2,1/2")), None, "nearest"),
    "proxy": lambda spec: replace(spec.scaled(Fraction(1, 8)), stem="small", head=Classifier(10)),
}


FAMILIES = {
    "se_resnext50": (2, 2, 2, 1),
    "dla_x60": (1, 2, 1, 1),
    "dla_x102": (2, 1, 1, 1),
    "densenet201": (2, 3, 2, 2),
}
QUICK = ("resnext50", "resnext50_elastic", "se_resnext50_elastic", "dla_x60_elastic", "dla_x102_elastic")


def check(spec, size):
    checks = verify(spec.graph(), image(*size))
    different = [check for check in checks if not check.equal]
    assert not different
    wanted = {"params", "params_live", "macs", "fvcore", "torch", "fvcore conv", "torch convolution", "activations"}
    wanted |= {"authors", "authors Conv2d"}
    assert {check.quantity for check in checks} >= wanted


@pytest.mark.parametrize("edit", ("nearest", "trained"))
@pytest.mark.parametrize("name", ("se_resnext50", "dla_x60", "densenet201"))
def test_every_tool_says_what_its_convention_does(name, edit):
    spec = EDITS[edit](elastic(published(name).with_depths(FAMILIES[name]), HALVES))
    checks = verify(spec.graph(), image(65, 49), tuple(TOOLS))
    assert {check.quantity for check in checks} >= CONVENTIONS.keys()
    assert not [check for check in checks if not check.equal]


def by_size(size):
    return f"{size[0]}x{size[1]}"


@pytest.mark.parametrize("size", ((97, 65),), ids=by_size)
@pytest.mark.parametrize("name", QUICK)
def test_published_network_counts_equal_the_tools(name, size):
    check(published(name), size)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_network_counts_equal_the_tools_at_every_size(name, size):
    check(published(name), size)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", FAMILIES)
def test_edited_network_counts_equal_the_tools(name, edit):
    check(EDITS[edit](published(name).with_depths(FAMILIES[name])), (49, 33))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", FAMILIES)
def test_edited_network_counts_equal_the_tools_at_every_size(name, edit, size):
    check(EDITS[edit](published(name).with_depths(FAMILIES[name])), size)


@pytest.mark.parametrize(
    ("split", "billions"), (("1", "3.64"), ("3/4,1/4", "3.41"), ("1/2,1/2", "3.17"), ("1/4,3/4", "2.92"))
)
def test_authors_count_gives_the_figures_of_table_7(split, billions):
    spec = elastic(published("dla_x60"), parse_split(split))
    assert f"{tally(spec.graph(), image(224, 224), AUTHORS).total / 1e9:.2f}" == billions


@pytest.mark.parametrize(
    ("kind", "billions"),
    (
        ("avgpool+bilinear", "3.17"), ("avgpool+nearest", "3.17"), ("trained+trained", "3.15"),
        ("dilated", "3.64"), ("dilated+avgpool", "3.64"),
    ),
)  # fmt: skip
def test_types_of_table_6_cost_what_it_says(kind, billions):
    base = published("dla_x60")
    spec = elastic(base, typed(parse_split("1/2,1/2"), kind))
    assert f"{tally(spec.graph(), image(224, 224), AUTHORS).total / 1e9:.2f}" == billions
    # Only trained filters add parameters: (r² + (2r)²) weights a channel in and out, with r = 2.
    blocks = [spec.graph().at(path) for path in _blocks(spec.graph())]
    low = [block.at("at2") for block in blocks if any(node.name == "at2" for node in block.nodes)]
    added = sum(4 * at.at("down").out_channels + 16 * at.at("up").out_channels for at in low) if "tr" in kind else 0
    assert spec.graph().params == base.graph().params + added


def _blocks(graph, prefix=""):
    for node in graph.nodes:
        if isinstance(node.op, Graph):
            yield f"{prefix}{node.name}"
            yield from _blocks(node.op, f"{prefix}{node.name}.")


@pytest.mark.parametrize(
    ("name", "millions"),
    (
        ("resnext50", "25.0"), ("resnext50_elastic", "25.2"), ("se_resnext50", "27.6"),
        ("se_resnext50_elastic", "27.8"),
        ("resnext101", "44.2"), ("resnext101_elastic", "44.3"), ("resnext50x2_elastic", "45.6"), ("dla_x60", "17.6"),
        ("dla_x60_elastic", "17.6"), ("dla_x102", "26.8"), ("densenet201", "20.0"), ("densenet201_elastic", "19.5"),
    ),
)  # fmt: skip
def test_parameters_are_those_of_table_2(name, millions):
    assert f"{published(name).graph().params / 1e6:.1f}" == millions


def test_dead_projections_of_dla_are_named():
    graph = published("dla_x60").graph()
    dead = {path for path in graph.dead() if "project" in path}
    assert dead == {"level3.project", "level4.project", "level4.tree1.project"}
    assert graph.params - graph.params_live == sum(graph.at(path).params for path in dead)
