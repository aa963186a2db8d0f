from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.edit import elastic
from elastic_search.arch.families.densenet import DenseNet
from elastic_search.arch.families.dla import DLA
from elastic_search.arch.families.resnext import ResNeXt, resnext
from elastic_search.arch.graph import Builder, Graph
from elastic_search.arch.heads import Classifier
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.memory import peak_inference
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.cost.traits import bytes_moved, depth, flatten, receptive_field, stage_macs, traits
from elastic_search.nn.net import Net
from tests.strategies import densenets, dlas, resnexts

NAMES = [name for name in PUBLISHED if not name.endswith("_coco")]


def flat(name, size=224):
    return flatten(published(name).graph(), image(size, size))


def test_depth_is_the_number_in_the_name():
    names = ("resnext50", "resnext101", "resnet101", "dla_x60", "dla_x60_elastic", "dla_x102", "densenet201")
    assert [depth(flat(name)) for name in names] == [50, 101, 101, 60, 60, 102, 201]


def test_depth_counts_the_layers_of_a_gate():
    assert depth(flat("se_resnext50")) == 50 + 2 * 16


def test_bytes_moved_by_hand():
    b = Builder("network", "x")
    y = b.conv("conv", "x", 3, 8, 3, stride=2)
    y = b.relu("relu", b.bn("bn", y, 8))
    y = b.add("pad", ops.Pad(multiple=2), y)
    y = b.add("crop", ops.Crop(), y, y)
    y = b.add("flatten", ops.Flatten(), b.add("pool", ops.GlobalPool(), y))
    b.conv("dead", "x", 3, 8)
    graph = b.done(b.add("fc", ops.Linear(8, 5), y))
    image_in, maps = 3 * 8 * 8, 8 * 4 * 4
    conv = image_in + 3 * 8 * 9 + maps
    norm = maps + 4 * 8 + maps
    relu, pool, linear = maps + maps, maps + 8, 8 + 8 * 5 + 5 + 5
    found = flatten(graph, image(8, 8))
    assert bytes_moved(found) == 4 * (conv + norm + relu + pool + linear)
    assert bytes_moved(found, 2) * 2 == bytes_moved(found)


def test_padding_moves_bytes_only_where_it_adds_some():
    b = Builder("network", "x")
    graph = b.done(b.add("pad", ops.Pad(multiple=2), "x"))
    assert bytes_moved(flatten(graph, Shape(1, 4, 4))) == 0
    assert bytes_moved(flatten(graph, Shape(1, 3, 4))) == 4 * (12 + 16)


def test_intensity_is_of_what_runs():
    graph, input = published("dla_x60").graph(), image(224, 224)
    found = traits(graph, input)
    assert found.macs_live < tally(graph, input, MACS).total
    assert found.intensity == 2 * found.macs_live / found.bytes_moved
    assert found.peak_memory == peak_inference(graph, input)
    half = traits(graph, input, 2)
    assert half.bytes_moved * 2 == found.bytes_moved
    assert half.peak_memory == peak_inference(graph, input, itemsize=2)


@pytest.mark.parametrize("name", NAMES)
def test_parts_add_up_to_the_network(name):
    graph = published(name).graph()
    assert sum(share.macs for share in stage_macs(graph, image(64, 96))) == tally(graph, image(64, 96), MACS).total


def test_graph_of_many_parts_is_divided_by_resolution():
    b, y = Builder("network", "x"), "x"
    for i in range(20):
        y = b.conv(f"conv{i}", y, 3, 3, stride=1 + (i == 10))
    graph = b.done(y)
    assert stage_macs(graph, image(8, 6)) == (("8x6", 10 * 9 * 48), ("4x3", 10 * 9 * 12))


# Receptive fields.


@pytest.mark.parametrize(("name", "pixels"), (("resnext50", 427), ("resnext101", 971), ("dla_x60", 415)))
def test_receptive_field_of_plain_networks(name, pixels):
    assert receptive_field(flat(name)) == (pixels, pixels)


@pytest.mark.parametrize("name", ("resnext50", "densenet201", "dla_x60"))
def test_elastic_widens_the_receptive_field(name):
    assert receptive_field(flat(f"{name}_elastic"))[0] > 2 * receptive_field(flat(name))[0]


def test_receptive_field_does_not_depend_on_the_image_nor_on_gates():
    fields = {receptive_field(flat(name, size)) for name in ("resnext50", "se_resnext50") for size in (32, 193, 224)}
    assert fields == {(427, 427)}


def test_receptive_field_of_resampling_by_hand():
    def field(*nodes):
        b, y = Builder("network", "x"), "x"
        for i, op in enumerate(nodes):
            y = b.add(str(i), op, y)
        return receptive_field(flatten(b.done(y), Shape(1, 64, 64)))

    shrink = ops.Pool("avg", 2, 2)
    assert field(shrink) == (2, 2)
    assert field(shrink, ops.Upsample(2, "nearest")) == (2, 2)
    assert field(shrink, ops.Upsample(2, "bilinear")) == (4, 4)
    # A third of the positions lies on an input's centre and reads it alone; the others read two.
    assert field(ops.Pool("avg", 3, 3), ops.Upsample(3, "bilinear")) == (6, 6)
    assert field(ops.ConvTranspose(1, 1, 4, 2, 1)) == (2, 2)
    assert field(ops.Conv(1, 1, (1, 5), padding=(0, 2), dilation=(1, 2))) == (1, 9)
    assert field(ops.Upsample(2, "bilinear"), ops.Conv(1, 1, 3, padding=1)) == (3, 3)
    assert field(traced_ops.Opaque("custom", (Shape(1, 64, 64),), Shape(1, 64, 64))) is None


def averaged(graph):
    """The graph with averages in place of maxima, whose gradients reach one input only."""
    nodes = []
    for node in graph.nodes:
        op = averaged(node.op) if isinstance(node.op, Graph) else node.op
        nodes.append(node._replace(op=op.edited(kind="avg") if isinstance(op, ops.Pool) else op))
    return replace(graph, nodes=tuple(nodes))


def measured(graph, height):
    """Largest extent, along the height, of the gradients of a few positions in the middle of the last feature map."""
    headless = replace(graph, nodes=graph.nodes[:-1], outputs=graph.nodes[-1].inputs)
    net = Net(averaged(headless)).double().eval()
    with torch.no_grad():
        for tensor in net.state_dict().values():
            if tensor.is_floating_point():
                tensor.fill_(0.5)
    x = torch.rand(1, 3, height, 16, dtype=torch.double, requires_grad=True)
    y = net(x)
    extents = []
    for position in range(y.shape[2] // 2 - 2, y.shape[2] // 2 + 2):
        (gradient,) = torch.autograd.grad(y[:, :, position].sum(), x, retain_graph=True)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        assert rows[0] > 0
        assert rows[-1] < height - 1, "the border interferes: take a larger image"
        extents.append(int(rows[-1] - rows[0]) + 1)
    return max(extents)


def height_for(field):
    return field + 8 * 32 + 64


FEW = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("strategy", (resnexts(), dlas(), densenets()), ids=("resnext", "dla", "densenet"))
def test_receptive_field_is_where_gradients_reach(strategy):
    @FEW
    @given(strategy)
    def check(spec):
        if isinstance(spec, ResNeXt):
            spec = replace(spec, se_reduction=0)
        field, _ = receptive_field(flatten(spec.graph(), image(256, 256)))
        assume(field < 700)
        assert measured(spec.graph(), height_for(field)) == field

    check()


@pytest.mark.parametrize("split", ("1/2,1/2", "1/2@1,1/2@1/4", "1/2@1,1/2@1~2"))
@pytest.mark.parametrize("family", (ResNeXt, DLA, DenseNet))
def test_receptive_field_of_elastic_networks_is_where_gradients_reach(family, split):
    names = {ResNeXt: "resnext50", DLA: "dla_x60", DenseNet: "densenet201"}
    depths = {ResNeXt: (1, 2, 2), DLA: (1, 1, 1), DenseNet: (2, 2, 2)}[family]
    whole = published(names[family])
    spec = replace(whole, stages=whole.stages[:3]).with_depths(depths)
    spec = elastic(replace(spec.scaled(Fraction(1, 4)), stem="small", head=Classifier(3)), parse_split(split))
    field, _ = receptive_field(flatten(spec.graph(), image(256, 256)))
    assert measured(spec.graph(), height_for(field)) == field


@given(st.integers(1, 3), st.integers(1, 3))
@FEW
def test_plain_receptive_field_follows_the_recurrence(first, second):
    """field += (kernel - 1) · jump at every layer: the textbook's rule, where nothing is up-sampled."""
    spec = resnext((first, second))
    field, jump = 7 + 2 * 2, 4  # the stem's 7 × 7 of stride 2 and max-pool of 3 × 3 at jump 2
    for stage, blocks in enumerate((first, second)):
        for block in range(blocks):
            field += 2 * jump
            jump *= 2 if stage and not block else 1
    assert receptive_field(flatten(spec.graph(), image(64, 64))) == (field, field)
