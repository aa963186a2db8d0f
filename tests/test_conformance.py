"""Every family × convention × input size × edit, against the real tools, to the integer.

``nn.verify`` builds the module and compares parameters, totals, activations and every operator's count.
"""

import pickle
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from benchmarks.memory import torch_passes, tracked_peak
from elastic_search.arch import ops
from elastic_search.arch.edit import elastic, with_resampling
from elastic_search.arch.graph import Builder, Graph, output_shapes
from elastic_search.arch.heads import Classifier
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.split import parse_split, typed
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.difference import differences
from elastic_search.cost.explain import by_kind
from elastic_search.cost.memory import peak_inference, peak_training
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import AUTHORS, CONVENTIONS, MACS
from elastic_search.cost.training import passes
from elastic_search.cost.traits import traits
from elastic_search.draw.sketch import sketch
from elastic_search.errors import ShapeError, SpecError, SplitError
from elastic_search.nn.net import Net
from elastic_search.nn.tools import TOOLS
from elastic_search.nn.trace.tracing import trace
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


DIVIDES = EDITS.keys() - {"as published", "depths", "one low branch", "proxy"}
FAMILIES = {
    "se_resnext50": (2, 2, 2, 1),
    "dla_x60": (1, 2, 1, 1),
    "dla_x102": (2, 1, 1, 1),
    "densenet201": (2, 3, 2, 2),
    "resnet18": (1, 2, 1, 1),
}
QUICK = ("resnext50", "resnext50_elastic", "se_resnext50_elastic", "dla_x60_elastic", "dla_x102_elastic", "resnet34")
TOOLED = ("se_resnext50", "dla_x60", "densenet201")
# A family that is not named here takes part all the same.
ADDED = tuple(name for name in PUBLISHED if type(published(name)) not in [type(published(known)) for known in FAMILIES])
FAMILIES |= dict.fromkeys(ADDED[:1], (1, 2, 1, 1))
QUICK, TOOLED = QUICK + ADDED, TOOLED + ADDED[:1]


def edited(edit, name):
    """A small network of a family, edited; None where its blocks have one path, and the edit divides it."""
    base = published(name).with_depths(FAMILIES[name])
    if base.paths(0) == 1 and edit in DIVIDES:
        with pytest.raises(SplitError, match="one path"):
            EDITS[edit](base)
        return None
    return EDITS[edit](base)


def check(spec, size):
    if spec is not None:
        check_graph(spec.graph(), size)


def check_graph(graph, size):
    checks = verify(graph, image(*size))
    different = [check for check in checks if not check.equal]
    assert not different
    wanted = {"params", "params_live", "macs", "fvcore", "torch", "fvcore conv", "torch convolution", "activations"}
    wanted |= {"authors", "authors Conv2d"}
    assert {check.quantity for check in checks} >= wanted


@pytest.mark.parametrize("edit", ("nearest", "trained"))
@pytest.mark.parametrize("name", TOOLED)
def test_every_tool_says_what_its_convention_does(name, edit):
    spec = edited(edit, name)
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
    check(edited(edit, name), (49, 33))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=by_size)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", FAMILIES)
def test_edited_network_counts_equal_the_tools_at_every_size(name, edit, size):
    check(edited(edit, name), size)


def check_graph_read(graph, module, input):
    """What a graph that was read from a module counts, after the tools have said the same of the module."""
    assert not [check for check in verify(graph, input, module=module) if not check.equal]
    return {name: tally(graph, input, convention).total for name, convention in CONVENTIONS.items()}


def of_two_outputs():
    """A network around a nested graph of two outputs: a low and a high map, joined as a feature pyramid joins them."""
    inner = Builder("backbone", "x")
    high = inner.conv_bn_relu(1, "x", 3, 8, 3, stride=2)
    low = inner.conv_bn_relu(2, high, 8, 12, 3, stride=2, groups=4)
    inner.conv("unread", high, 8, 3)
    b = Builder("network", "x")
    low, high = b.add("backbone", inner.done(low, high), "x"), "backbone:1"
    y = b.add("crop", ops.Crop(), b.add("up", ops.Upsample(2, "bilinear"), b.conv("lateral", low, 12, 8)), high)
    y = b.relu("relu", b.bn("bn", b.add("sum", ops.Add(), y, high), 8))
    y = b.add("flatten", ops.Flatten(), b.add("pool", ops.GlobalPool(), y))
    return b.done(b.add("fc", ops.Linear(8, 5), y))


@pytest.mark.parametrize("size", ((49, 33), (32, 32)), ids=by_size)
def test_nested_graph_of_two_outputs_means_the_same_to_every_reader(size):
    graph, input = of_two_outputs(), image(*size)
    check_graph(graph, size)
    checks = verify(graph, input, tuple(TOOLS))
    assert not [check for check in checks if not check.equal]
    counts = {name: tally(graph, input, convention) for name, convention in CONVENTIONS.items()}
    kinds = by_kind(graph, input, CONVENTIONS.values())
    for name, counted in counts.items():
        assert sum(row[name] for row in kinds.values()) == sum(row.cost.total for row in counted.rows) == counted.total
    assert counts["macs"].parts("backbone")
    net = Net(graph).eval()
    shapes = graph.shapes(input)
    with torch.no_grad():
        features = net.backbone(torch.zeros(1, *input))
        assert net(torch.zeros(1, *input)).shape[1:] == (shapes["fc"].channels,)
    assert [Shape(*x.shape[1:]) for x in features] == [shapes["backbone"], shapes["backbone:1"]]
    assert output_shapes(graph, (input,)) == (shapes["fc"],)
    with torch.device("meta"):
        forward, backward = torch_passes(Net(graph), torch.empty(2, *input))
    training = passes(graph, input)
    assert (2 * training.forward, 2 * training.torch_backward) == (forward, backward)
    assert peak_inference(graph, input, 2) == tracked_peak(lambda: Net(graph), input, 2, training=False)
    peak = peak_training(graph, input, 2, observed=True).total
    assert peak == tracked_peak(lambda: Net(graph), input, 2, training=True)
    read = trace(net, input)
    assert len(read.at("backbone").outputs) == 2
    ran = check_graph_read(read, net, input)
    assert ran["macs"] == counts["fvcore"].by_operator()["conv"] + counts["fvcore"].by_operator()["linear"]
    assert differences(graph, graph, input, MACS) == []
    assert traits(graph, input).depth == 4
    panels = sketch(Network("two", graph), input).panels
    assert [panel.name for panel in panels] == ["backbone", "layers"]
    assert pickle.loads(pickle.dumps(graph)) == graph
    with pytest.raises(ShapeError, match=r"^backbone\.conv1: "):
        tally(graph, Shape(4, 9, 9))
    unread = Builder("network", "x")
    unread.add("backbone", graph.at("backbone"), "x")
    with pytest.raises(SpecError, match="nobody reads backbone:1"):
        unread.done("backbone")


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
