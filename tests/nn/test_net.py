import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic_search.arch import ops
from elastic_search.arch.edit import elastic
from elastic_search.arch.families.resnext import bottleneck, resnext
from elastic_search.arch.graph import Builder
from elastic_search.arch.heads import Classifier
from elastic_search.arch.ops import Shape
from elastic_search.arch.split import PLAIN, TYPES, parse_split, typed
from elastic_search.arch.zoo import published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE, MACS, TORCH
from elastic_search.errors import SpecError
from elastic_search.nn.init import build, initialise
from elastic_search.nn.net import Net
from elastic_search.nn.tools import fvcore_counts, torch_counts
from elastic_search.nn.trace.tracing import trace
from elastic_search.nn.verify import verify


def narrow(split="1/2,1/2", **edit):
    spec = elastic(resnext((2, 2, 1), path_width=1, cardinality=4, **edit), parse_split(split))
    return replace(spec, head=Classifier(5))


def randomised(net):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
    return net.eval()


def written_out(x, net, kind):
    """The authors' block as functions: two halves, the low one of a type of Table 6, summed before the last BN."""

    def layers(y, branch, dilation=1):
        for i, pad in ((1, 0), (2, dilation)):
            conv, bn = getattr(branch, f"conv{i}"), getattr(branch, f"bn{i}")
            y = F.conv2d(y, conv.weight, None, 1, pad, dilation if i == 2 else 1, conv.groups)
            y = F.relu(F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias))
        return F.conv2d(y, branch.conv3.weight)

    height, width = x.shape[-2:]
    if kind == "dilated":
        low = layers(x, net.at1d2, 2)
    elif kind == "dilated+avgpool":
        low = layers(F.avg_pool2d(x, 3, 1, 1), net.at1d2ap, 2)
    else:
        padded = F.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        if kind == "trained+trained":
            low = F.conv2d(padded, net.at2.down.weight, stride=2, groups=8)
            low = F.conv_transpose2d(layers(low, net.at2), net.at2.up.weight, stride=2, padding=1, groups=8)
        else:
            mode = {"mode": "nearest"} if kind.endswith("nearest") else {"mode": "bilinear", "align_corners": False}
            low = F.interpolate(layers(F.avg_pool2d(padded, 2), net.at2), scale_factor=2, **mode)
    y = layers(x, net.at1) + low[..., :height, :width]
    y = F.batch_norm(y, net.bn3.running_mean, net.bn3.running_var, net.bn3.weight, net.bn3.bias)
    return F.relu(y + x)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("size", ((8, 8), (7, 5), (1, 3)))
def test_elastic_block_computes_equation_3(size, kind):
    net = randomised(Net(bottleneck(8, 8, 8, 4, 1, typed(parse_split("1/2,1/2"), kind), 0, False)))
    x = torch.randn(2, 8, *size, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net(x), written_out(x, net, kind))


def test_plain_block_is_two_merged_halves():
    """Two halves at scale 1, weight for weight, are the one branch that the graph holds."""
    block = bottleneck(8, 8, 8, 4, 1, PLAIN, 0, False)
    net = randomised(Net(block))
    half = bottleneck(8, 4, 8, 2, 1, PLAIN, 0, False)
    first, second = Net(half), Net(half)
    for part, rows in ((first, slice(0, 4)), (second, slice(4, 8))):
        for name, tensor in part.at1.state_dict().items():
            whole = net.at1.state_dict()[name]
            if tensor.ndim:
                tensor.copy_(whole[:, rows] if name == "conv3.weight" else whole[rows])
    x = torch.randn(2, 8, 6, 6)
    merged = net.at1(x)
    torch.testing.assert_close(first.eval().at1(x) + second.eval().at1(x), merged)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", ("se_resnext50", "dla_x60", "densenet201"))
def test_every_weight_of_every_type_is_trained(name, kind):
    spec = elastic(published(name).with_depths((1, 2, 1, 1)), typed(parse_split("1/2,1/2"), kind))
    net = randomised(build(replace(spec.scaled(Fraction(1, 8)), stem="small", head=Classifier(5)))).train()
    images = torch.randn(4, 3, 33, 47, generator=torch.Generator().manual_seed(0))
    F.cross_entropy(net(images), torch.arange(4)).backward()
    gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    filters = [gradient for name, gradient in gradients.items() if name.endswith((".down.weight", ".up.weight"))]
    assert bool(filters) == (kind == "trained+trained")
    assert all(gradient.any() for gradient in filters)


@pytest.mark.parametrize("split", ("1", "1/2,1/2", "1/2,1/4,1/4", "1/2@1,1/2@1~2"))
def test_network_trains(split):
    net = build(narrow(split), seed=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    images = torch.randn(8, 3, 33, 47, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 5
    losses = []
    for _ in range(12):
        loss = F.cross_entropy(net(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.2


def test_module_children_are_named_as_nodes():
    spec = published("resnext50_elastic")
    with torch.device("meta"):
        net = Net(spec.graph())
    for path, op in spec.graph().walk():
        if isinstance(op, ops.Conv):
            assert isinstance(net.get_submodule(path), nn.Conv2d)
    assert "layer1.0.at2.conv2.weight" in net.state_dict()


def test_relu_is_in_place_only_where_its_input_has_one_reader():
    b = Builder("test", "x")
    y = b.bn("bn", "x", 2)
    alone = b.relu("alone", b.bn("bn2", y, 2))
    shared = b.relu("shared", y)
    net = Net(b.done(b.add("add", ops.Add(), alone, shared)))
    assert net.alone.inplace
    assert not net.shared.inplace
    first = Builder("first", "x")
    assert not Net(first.done(first.relu("relu", "x"))).relu.inplace


def test_dead_nodes_are_counted_by_the_conventions_that_run_them():
    b = Builder("dead", "x")
    b.conv("unused", "x", 3, 4, 3)
    graph = b.done(b.conv("used", "x", 3, 2))
    x = torch.zeros(1, 3, 9, 9)
    net = Net(graph, dead=True)
    assert sum(p.numel() for p in net.parameters()) == graph.params
    assert not hasattr(Net(graph), "unused")
    assert tally(graph, Shape(3, 9, 9), FVCORE).total == sum(fvcore_counts(net, x)[0].values())
    assert tally(graph, Shape(3, 9, 9), TORCH).total == sum(torch_counts(net, x).values())
    assert tally(graph, Shape(3, 9, 9), MACS).total > tally(graph, Shape(3, 9, 9), FVCORE).total


def test_nested_graph_of_two_outputs_is_counted_built_and_read_alike():
    inner = Builder("two", "x")
    high = inner.conv_bn_relu(1, "x", 3, 4, 3)
    inner = inner.done(high, inner.conv("conv2", high, 4, 6, 3, stride=2))
    b = Builder("net", "x")
    b.add("two", inner, "x")
    graph = b.done(b.conv("a", "two", 4, 2, bias=True), b.conv("c", "two:1", 6, 2, groups=2))
    input = Shape(3, 33, 17)
    checks = verify(graph, input)
    assert [check for check in checks if not check.equal] == []
    net = Net(graph).eval()
    with torch.no_grad():
        a, c = net(torch.zeros(2, *input))
    assert (a.shape, c.shape) == ((2, 2, 33, 17), (2, 2, 17, 9))
    read = trace(net, input)
    assert [(node.name, node.inputs) for node in read.nodes] == [(node.name, node.inputs) for node in graph.nodes]
    for convention in CONVENTIONS.values():
        assert tally(read, input, convention).total == tally(graph, input, convention).total


def deviation(weight):
    return float(weight.detach().std())


def test_initialisation_is_the_authors():
    elastic_net, plain = build(published("resnext50_elastic")), build(published("resnext50"))
    block = (
        elastic_net.layer3[1]
        if isinstance(elastic_net.layer3, nn.Sequential)
        else elastic_net.layer3.get_submodule("1")
    )
    assert deviation(block.at1.conv3.weight) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    merged = plain.layer3.get_submodule("1")
    # 512 input channels, of which each of the authors' halves has 256.
    assert deviation(merged.at1.conv3.weight) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert deviation(merged.at1.conv2.weight) == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.02)
    assert not merged.bn3.weight.any()
    assert (merged.at1.bn2.weight == 1).all()
    assert deviation(plain.head.fc.weight) == pytest.approx(0.01, rel=0.02)
    assert not plain.head.fc.bias.any()
    bound = math.sqrt(1 / 1024)
    shortcut = plain.layer4.get_submodule("0").shortcut.conv.weight
    assert float(shortcut.detach().abs().max()) == pytest.approx(bound, rel=0.01)
    excite = build(published("se_resnext50")).layer1.get_submodule("0").se.excite
    assert not excite.bias.any()


def test_initialisation_of_dla_and_densenet_goes_by_outputs():
    plain, variant = (build(published(name)) for name in ("dla_x60", "dla_x60_elastic"))
    block = plain.level3.tree1.tree1.at1
    assert deviation(block.conv1.weight) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert deviation(block.conv2.weight) == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.02)
    # In the Elastic network the authors build this block (of stride 2) as two halves of 128 channels.
    block = variant.level3.tree1.tree1.at1
    assert deviation(block.conv1.weight) == pytest.approx(math.sqrt(2 / 128), rel=0.02)
    assert deviation(block.conv3.weight) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    assert plain.head.fc.bias.any()
    dense = build(published("densenet201"))
    for norm in (leaf for net in (variant, dense) for leaf in net.modules() if isinstance(leaf, nn.BatchNorm2d)):
        assert (norm.weight == 1).all()
        assert not norm.bias.any()
    assert deviation(dense.block1.get_submodule("3").at1.conv2.weight) == pytest.approx(
        math.sqrt(2 / (9 * 32)), rel=0.02
    )
    assert not dense.head.fc.bias.any()


def test_initialisation_of_whole_blocks_is_that_of_their_halves_where_there_are_any():
    # One path cannot be halved: the ordinary ResNet is whole.
    block = build(published("resnet101")).layer3.get_submodule("1").at1
    assert deviation(block.conv3.weight) == pytest.approx(math.sqrt(2 / 256), rel=0.02)
    # The last dense block keeps its resolution, as two halves of 64 channels.
    block = build(published("densenet201_elastic")).block4.get_submodule("3").at1
    assert deviation(block.conv1.weight) == pytest.approx(math.sqrt(2 / 64), rel=0.02)
    assert deviation(block.conv2.weight) == pytest.approx(math.sqrt(2 / (9 * 32)), rel=0.02)
    # A dilated half is a half: the types of Table 6 start alike in what they share.
    dilated = build(elastic(published("dla_x60"), parse_split("1/2@1,1/2@1~2")))
    assert deviation(dilated.level3.tree1.tree1.at1.conv1.weight) == pytest.approx(math.sqrt(2 / 128), rel=0.02)


@pytest.mark.parametrize("name", ("dla_x60_elastic", "densenet201_elastic"))
def test_proxies_of_other_families_train(name):
    depths = (1, 2, 1, 1) if name.startswith("dla") else (2, 2, 2, 2)
    net = build(replace(published(name).with_depths(depths).scaled(Fraction(1, 8)), stem="small", head=Classifier(5)))
    images = torch.randn(6, 3, 33, 33, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(10):
        loss = F.cross_entropy(net(images), torch.arange(6) % 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in net.parameters())
    assert losses[-1] < losses[0] - 0.2


def test_building_leaves_the_global_random_state_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build(narrow())
    assert torch.equal(before, torch.get_rng_state())


def test_equal_seeds_give_equal_weights():
    one, same, other = (build(narrow(), seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("factor", (2, 4))
def test_trained_resampling_starts_as_average_and_bilinear(factor):
    learned = parse_split(f"1@1/{factor}", "trained", "trained")
    fixed = parse_split(f"1@1/{factor}")
    nets = [Net(bottleneck(4, 4, 4, 2, 1, split, 0, False)) for split in (learned, fixed)]
    initialise(nets[0], published("resnext50"), torch.Generator().manual_seed(0))
    x = torch.randn(1, 4, 16, 16)
    torch.testing.assert_close(resample(nets[0], x, "down"), resample(nets[1], x, "down"))
    # Inside, where the transposed convolution has no zero border.
    up, expected = (resample(net, x, "up")[..., factor:-factor, factor:-factor] for net in nets)
    torch.testing.assert_close(up, expected)


def resample(net, x, name):
    branch = next(child for key, child in net.named_children() if key.startswith("at"))
    return branch.get_submodule(name)(x)


@pytest.mark.parametrize(
    "op",
    (
        ops.Conv(6, 4, (3, 5), (2, 1), (1, 2), 2, (1, 2), True),
        ops.Conv(6, 4, 3, padding="same"),
        ops.ConvTranspose(6, 4, 4, 2, 1, 2, True, 1, 2),
        ops.BatchNorm(6, affine=False),
        ops.BatchNorm(6, tracked=False),
        ops.Pool("max", 3, 2, 1, True, 2),
        ops.Pool("avg", 3, 2, 1, True),
        ops.Upsample(2, "nearest", (31, 40)),
        ops.Upsample(3, "bilinear"),
        ops.Linear(6, 5, bias=False),
    ),
    ids=str,
)
def test_net_builds_every_field_of_an_op(op):
    input = Shape(6, 1, 1) if isinstance(op, ops.Linear) else Shape(6, 17, 20)
    b = Builder("network", "x")
    x = b.add("flatten", ops.Flatten(), "x") if isinstance(op, ops.Linear) else "x"
    graph = b.done(b.add("op", op, x))
    net = Net(graph).eval()
    assert sum(p.numel() for p in net.parameters()) == graph.params
    output = net(torch.zeros(1, *input))
    assert output.shape[1:] == tuple(graph.shape(input))[: output.ndim - 1]
    if isinstance(op, ops.BatchNorm):
        assert (net.op.running_mean is not None) == op.tracked


def test_net_refuses_weights_that_two_nodes_share():
    class Twice(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            return self.conv(self.conv(x))

    with pytest.raises(SpecError, match="shares weights"):
        Net(trace(Twice(), (3, 8, 8)))


def test_last_batch_norms_of_blocks_start_at_one_if_told_and_all_else_stays():
    spec = published("resnext26").scaled(Fraction(1, 16))
    published_start, other = (build(spec, 0, zero_init_last=zero).state_dict() for zero in (True, False))
    last = [key for key in other if key.endswith("bn3.weight")]
    assert len(last) == 8
    for key in last:
        assert not published_start[key].any()
        assert (other[key] == 1).all()
    assert all(torch.equal(published_start[key], other[key]) for key in other if key not in last)
