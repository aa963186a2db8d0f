"""Modules of the user: counted as the real tools count the module itself, or refused in one clear line."""

import sys
import warnings
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torch_training import tracked_peak

from elastic_search.arch import traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.difference import differences
from elastic_search.cost.explain import by_kind
from elastic_search.cost.memory import memory
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE, MACS, TORCH
from elastic_search.cost.training import passes
from elastic_search.cost.traits import traits
from elastic_search.draw.sketch import sketch
from elastic_search.errors import ElasticError, ShapeError, UsageError
from elastic_search.nn.net import Net
from elastic_search.nn.tools import TOOLS, fvcore_counts
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.factory import load_module
from elastic_search.nn.trace.rules import register_rule
from elastic_search.nn.trace.tracing import trace

INPUT = Shape(12, 10, 14)


class Function(nn.Module):
    """Calls ``f(self, x)``; parameters are w0, w1, … . A child keeps tools from taking it for a layer."""

    def __init__(self, f, *shapes):
        super().__init__()
        self.f, self.child = f, nn.Identity()
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        return self.f(self, self.child(x))


def theirs(name, module, input):
    image = torch.zeros(1, *input)
    with torch.no_grad():
        if name == "torch":
            with FlopCounterMode(display=False) as counter:
                module(image)
            return counter.get_total_flops()
        return sum(TOOLS[name][1](module, image).values())


def installed():
    """Conventions whose tool can be imported."""
    names = {"ptflops": "ptflops", "ptflops-aten": "ptflops", "thop": "thop", "torchinfo": "torchinfo"}
    for name in TOOLS:
        try:
            __import__(names.get(name, "torch"))
        except Exception:
            continue
        yield name


def counted_as_tools_do(module, input=INPUT, conventions=None):
    module = module.eval()
    graph = trace(module, input)
    assert graph.params == sum(p.numel() for p in module.parameters())
    for name in installed() if conventions is None else conventions:
        assert (name, tally(graph, input, CONVENTIONS[name]).total) == (name, theirs(name, module, input))
    with torch.no_grad():
        assert tally(graph, input, FVCORE).activations == fvcore_counts(module, torch.zeros(1, *input))[1]
    return graph


# The integers are those of one image; every tool was asked in its own process when they were written down.
GOLDEN = {
    "conv": (nn.Conv2d(12, 18, 3, 2, 1, bias=False), 68040, 136080),
    "conv with bias": (nn.Conv2d(12, 18, 3, 2, 1), 68040, 136080),
    "grouped conv": (nn.Conv2d(12, 18, 3, 1, 1, groups=6, bias=False), 45360, 90720),
    "depthwise conv": (nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False), 15120, 30240),
    "dilated conv": (nn.Conv2d(12, 18, 3, 1, 2, dilation=2, bias=False), 272160, 544320),
    "conv of a function": (Function(lambda m, x: F.conv2d(x, m.w0, None, 2, 1), (18, 12, 3, 3)), 68040, 136080),
    "transposed conv": (nn.ConvTranspose2d(12, 18, 4, 2, 1, bias=False), 483840, 967680),
    "transposed conv with bias": (nn.ConvTranspose2d(12, 18, 4, 2, 1), 483840, 967680),
    "grouped transposed conv": (nn.ConvTranspose2d(12, 18, 4, 2, 1, groups=6, bias=False), 80640, 161280),
    "batch norm": (nn.BatchNorm2d(12), 3360, 0),
    "adaptive pool": (nn.AdaptiveAvgPool2d(1), 1680, 0),
    "average pool": (nn.AvgPool2d(2), 0, 0),
    "max pool": (nn.MaxPool2d(3, 2, 1), 0, 0),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), 26880, 0),
    "bilinear to a size": (Function(lambda m, x: F.interpolate(x, (20, 28), mode="bilinear")), 26880, 0),
    "nearest": (nn.Upsample(scale_factor=2), 6720, 0),
    "relu": (nn.ReLU(), 0, 0),
    "product": (Function(lambda m, x: x * x), 0, 0),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_integers(case):
    module, fvcore, flops = GOLDEN[case]
    graph = counted_as_tools_do(module)
    assert not opaque_nodes(graph)
    assert tally(graph, INPUT, FVCORE).total == fvcore
    assert tally(graph, INPUT, TORCH).total == flops


def written(m, x):
    y = torch.zeros_like(x)
    y[:, :, 2:] = F.conv2d(x, m.w0)[:, :, 2:]
    return y + 1


def ignored_result(m, x):
    y = F.conv2d(x, m.w0)
    y.add_(F.conv2d(x, m.w1))
    return y


def convolved_with(weight, *options):
    """Convolves with what ``weight(m, x)`` makes."""
    return lambda m, x: F.conv2d(x, weight(m, x), *options)


def routed(m, x):
    """Weights that a linear layer mixes for each image."""
    return torch.matmul(torch.sigmoid(F.linear(x.mean((2, 3)), m.w0)), m.w1).view(6, 12, 3, 3)


def pooled_like(m, x):
    """A size that a convolution decides."""
    return F.adaptive_avg_pool2d(x, F.conv2d(x, m.w0, stride=2).shape[2:])


SPELLINGS = {
    "weights of the image": Function(convolved_with(routed), (4, 12), (4, 6 * 12 * 9)),
    "weights cut from the image": Function(
        convolved_with(lambda m, x: F.conv2d(x, m.w0)[:, :, :3, :3]), (12, 12, 3, 3)
    ),
    "slope of the image": Function(lambda m, x: F.prelu(x, F.linear(x.mean((2, 3)), m.w0)[0]), (12, 12)),
    "size of a convolution": Function(pooled_like, (4, 12, 3, 3)),
    "weight norm": nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(12, 8, 3)), nn.ReLU()),
    "x @ parameter": Function(lambda m, x: x @ m.w0, (14, 5)),
    "matmul with a parameter": Function(lambda m, x: torch.matmul(m.w0, x.flatten(1).t()), (5, 1680)),
    "rectangles": nn.Conv2d(12, 18, (3, 5), (2, 1), (1, 2)),
    "padding same": nn.Conv2d(12, 18, 3, padding="same"),
    "padding valid": nn.Conv2d(12, 18, 3, padding="valid"),
    "output padding": nn.ConvTranspose2d(12, 12, 3, (2, 3), 1, output_padding=(1, 2), dilation=2),
    "norm without weights": nn.BatchNorm2d(12, affine=False),
    "norm of the batch": nn.BatchNorm2d(12, track_running_stats=False),
    "group norm": nn.GroupNorm(3, 12),
    "group norm without weights": nn.GroupNorm(3, 12, affine=False),
    "layer norm": nn.LayerNorm([10, 14]),
    "instance norm": nn.InstanceNorm2d(12, affine=True),
    "F.group_norm": Function(lambda m, x: F.group_norm(x, 3, m.w0, m.w1), (12,), (12,)),
    "F.layer_norm": Function(lambda m, x: F.layer_norm(x, [14], m.w0, m.w1), (14,), (14,)),
    "adaptive 3x5": nn.AdaptiveAvgPool2d((3, 5)),
    "adaptive max": nn.AdaptiveMaxPool2d(2),
    "ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
    "dilated pool": nn.MaxPool2d((3, 2), 2, (1, 0), dilation=2),
    "functional pools": Function(lambda m, x: F.adaptive_max_pool2d(F.max_pool2d(F.avg_pool2d(x, 2), 2, stride=1), 2)),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "broken factor": nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "two factors": nn.Upsample(scale_factor=(1.5, 2.5), mode="bilinear"),
    "torch.mul": Function(lambda m, x: torch.mul(x, x)),
    "x.mul": Function(lambda m, x: x.mul(2)),
    "torch.add": Function(lambda m, x: torch.add(x, 1)),
    "mean": Function(lambda m, x: x.mean((2, 3))),
    "gate": Function(lambda m, x: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(1680, 5, bias=False)),
    "linear on rows": nn.Linear(14, 5),
    "F.linear": Function(lambda m, x: F.linear(x.flatten(1), m.w0, m.w1), (4, 1680), (4,)),
    "scale": Function(lambda m, x: x * m.w0 + m.w1, (12, 1, 1), (1, 12, 1, 1)),
    "channel shuffle": Function(lambda m, x: x.view(-1, 3, 4, 10, 14).transpose(1, 2).reshape(-1, 12, 10, 14)),
    "chunks": Function(lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "softmax": nn.Softmax(1),
    "matmul": Function(lambda m, x: torch.matmul(x, x.transpose(-1, -2))),
    "@": Function(lambda m, x: x @ x.transpose(-1, -2)),
    "unused parameter": Function(lambda m, x: x + 1, (3, 4)),
    "written in place": Function(written, (12, 12, 1, 1)),
    "result ignored": Function(ignored_result, (12, 12, 1, 1), (12, 12, 1, 1)),
    "1-D": Function(lambda m, x: F.conv1d(x.flatten(2), m.w0, padding=1, stride=2, groups=3), (12, 4, 3)),
    "torch.relu": Function(lambda m, x: torch.relu(x)),
    "weights made of weights": Function(lambda m, x: F.conv2d(x, m.w0 * m.w1), (12, 12, 1, 1), (12, 1, 1, 1)),
    **{
        name: getattr(nn, name)()
        for name in ("ReLU6", "LeakyReLU", "ELU", "GELU", "SiLU", "Hardswish", "Sigmoid", "Tanh", "PReLU", "Mish")
    },
    **{
        f"F.{name}": Function(lambda m, x, name=name: getattr(F, name)(x))
        for name in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "sigmoid", "softplus")
    },
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_every_spelling_counts_as_the_tools_do(case):
    assert not opaque_nodes(counted_as_tools_do(SPELLINGS[case]))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(12, 12, 3, padding=1, bias=False)

    def forward(self, x):
        return self.conv(self.conv(x))


def test_shared_weights_count_once_in_params_and_twice_in_macs():
    graph = counted_as_tools_do(Twice())
    assert [(node.name, node.weights_of) for node in graph.nodes] == [("conv", None), ("conv_2", "conv")]
    assert tally(graph, INPUT, MACS).total == 362880
    assert graph.params == graph.params_live == tally(graph, INPUT).params == 12 * 12 * 9


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(12, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList(Residual() for _ in range(2))
        self.dead, self.never = nn.Conv2d(8, 4, 1), nn.Conv2d(3, 3, 1)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        self.dead(x)
        return {"logits": self.fc(x.mean((2, 3))), "map": x}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)

    def forward(self, x):
        return F.relu(x + self.bn(self.conv(x)))


def test_graph_nests_as_the_modules_do():
    graph = trace(Nested(), INPUT)
    assert [path for path, _ in graph.walk()] == [
        "stem.0", "stem.1", "stem.2",
        "blocks.0.conv", "blocks.0.bn", "blocks.0.add", "blocks.0.relu",
        "blocks.1.conv", "blocks.1.bn", "blocks.1.add", "blocks.1.relu",
        "dead", "mean", "fc", "unused.never.weight", "unused.never.bias",
    ]  # fmt: skip
    assert graph.at("blocks.0") == graph.at("blocks.1")
    assert isinstance(graph.at("blocks.1"), Graph)
    assert list(graph.dead()) == ["dead", "unused"]
    assert graph.params - graph.params_live == 8 * 4 + 4 + 3 * 3 + 3


def test_dead_calls_are_counted_by_the_tools_that_run_them():
    module = nn.Sequential(Nested()).eval()
    graph = trace(module, INPUT)
    for name in ("fvcore", "torch"):
        assert tally(graph, INPUT, CONVENTIONS[name]).total == sum(
            TOOLS[name][1](Logits(module), torch.zeros(1, *INPUT)).values()
        )


class Logits(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x)["logits"]


class Branching(nn.Module):
    """torch.fx cannot follow this; torch.export runs it once."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(12, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        if x.shape[-1] > 3 and len(x) == 1:
            x = self.body(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def test_control_flow_is_read_by_torch_export():
    graph = counted_as_tools_do(Branching())
    assert [node.name for node in graph.nodes] == ["body", "adaptive_avg_pool2d", "flatten", "fc"]


def test_module_that_cannot_be_read_says_why(capfd):
    class Data(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else x.exp()

    with pytest.raises(ElasticError, match=r"cannot read Data at 12x10x14; torch.fx: .*; torch.export: "):
        trace(Data(), INPUT)
    said = capfd.readouterr()
    assert not said.out
    assert "def forward" not in said.err


def test_module_that_does_not_take_the_image_is_refused():
    with pytest.raises(ElasticError, match="cannot read"):
        trace(nn.Sequential(nn.Conv2d(5, 3, 1)), INPUT)


def test_unknown_operation_is_named_and_can_be_given_a_rule(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    module = Function(lambda m, x: torch.erf(torch.erf(x)))
    graph = trace(module, INPUT)
    (name,) = opaque_nodes(graph)
    assert opaque_nodes(graph) == {name: 2}

    @register_rule(name)
    def erf(inputs, output):
        assert inputs == (INPUT,)
        return 3 * output.numel

    graph = trace(module, INPUT)
    assert not opaque_nodes(graph)
    assert tally(graph, INPUT, MACS).total == tally(graph, INPUT, FVCORE).total == 6 * INPUT.numel
    assert tally(graph, INPUT, TORCH).total == 12 * INPUT.numel


def pad(x):
    """Called like a function of torch that costs nothing."""
    return F.conv2d(x, torch.ones(12, 12, 1, 1))


torch.fx.wrap("pad")


def test_a_function_named_like_one_of_torch_is_not_taken_for_it():
    graph = trace(Function(lambda m, x: pad(x)), INPUT)
    assert opaque_nodes(graph) == {f"{__name__}.pad": 1}


def test_what_makes_weights_is_live():
    conv = nn.utils.parametrizations.spectral_norm(nn.Conv2d(12, 8, 3))
    graph = trace(nn.Sequential(conv, nn.ReLU()), INPUT)
    assert graph.params_live == graph.params == sum(p.numel() for p in conv.parameters())


def test_rule_for_a_class_keeps_its_parameters(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    register_rule(Residual)(lambda inputs, output: 7)
    graph = trace(nn.Sequential(nn.Conv2d(12, 8, 1), Residual()), INPUT)
    assert isinstance(graph.at("1"), traced_ops.Custom)
    assert graph.at("1").params == 8 * 8 * 9 + 8 + 16


def test_rule_must_return_a_count(monkeypatch):
    monkeypatch.setattr(rules, "RULES", {})
    register_rule(Residual)(lambda inputs, output: "many")
    with pytest.raises(UsageError, match="returned 'many'"):
        trace(nn.Sequential(nn.Conv2d(12, 8, 1), Residual()), INPUT)


def test_graph_holds_at_the_size_at_which_it_was_read():
    graph = trace(Function(lambda m, x: x.view(1, -1)), INPUT)
    with pytest.raises(ShapeError, match="view was read on 12x10x14, not 12x12x14"):
        tally(graph, Shape(12, 12, 14))


def test_tracing_leaves_the_module_alone():
    module = nn.Sequential(nn.Conv2d(12, 4, 1), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trace(module, INPUT)
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


# What --input and package.module:factory may meet.

FACTORIES = """
import torch
from torch import nn
print("hello")
def net(): return nn.Conv2d(3, 4, 1)
made = nn.Conv2d(3, 5, 1)
class Net(nn.Conv2d):
    def __init__(self): super().__init__(3, 6, 1)
def broken(): raise ValueError("no weights\\nat all")
def leaves(): raise SystemExit(3)
def needs(width): return nn.Conv2d(3, width, 1)
def other(): return 5
number = 5
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "user_factories.py").write_text(FACTORIES)
    (tmp_path / "user_broken.py").write_text("import no_such_library")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("user_factories", "user_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "channels"), (("net", 4), ("made", 5), ("Net", 6)))
def test_factory_function_class_and_module_load(factories, name, channels, capsys):
    assert load_module(f"user_factories:{name}").out_channels == channels
    assert not capsys.readouterr().out
    assert sys.path[-1] == str(factories)


@pytest.mark.parametrize(
    ("spec", "said"),
    (
        ("user_factories:broken", "failed: ValueError: no weights(;|$)"),
        ("user_factories:leaves", "failed: SystemExit: 3"),
        ("user_factories:needs", "failed: TypeError: needs.. missing 1 required"),
        ("user_factories:other", "returned int, not a torch.nn.Module"),
        ("user_factories:number", "is of type int, not a function"),
        ("user_factories:nett", "unknown factory of user_factories 'nett'"),
        ("user_broken:net", "importing user_broken failed: ModuleNotFoundError: No module named 'no_such_library'"),
        ("user_missing:net", "importing user_missing failed: ModuleNotFoundError"),
        ("user_factories:__import__", "does not name a factory"),
        ("user factories:net", "does not name a factory"),
        (":net", "does not name a factory"),
        ("user_factories:net.weight", "does not name a factory"),
    ),
)
def test_factory_that_fails_says_what_happened(factories, spec, said):
    with pytest.raises(ElasticError, match=said) as caught:
        load_module(spec)
    assert caught.value.exit_code == 2


# Random modules.


class Subclass(nn.Conv2d):
    pass


class Steps(nn.Module):
    """Modules and functions one after the other; a function gets the module and x."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = []
        for i, step in enumerate(steps):
            if isinstance(step, nn.Module):
                self.add_module(f"step{i}", step)
                step = f"step{i}"
            self.steps.append(step)

    def forward(self, x):
        for step in self.steps:
            x = getattr(self, step)(x) if isinstance(step, str) else step(x)
        return x


class Around(nn.Module):
    """A body and what is done with it: ``how`` is residual, concat, gate, twice, dead, iadd or size."""

    def __init__(self, how, body, other=None):
        super().__init__()
        self.how, self.body, self.other = how, body, other

    def forward(self, x):
        if self.how == "residual":
            return self.body(x) + x
        if self.how == "concat":
            return torch.cat((self.body(x), x), 1)
        if self.how == "gate":
            return x * torch.sigmoid(self.other(F.adaptive_avg_pool2d(x, 1)))
        if self.how == "twice":
            return self.body(self.body(x))
        if self.how == "dead":
            self.body(x)
            return x
        if self.how == "iadd":
            y = self.body(x)
            y += x
            return y
        return F.interpolate(x, size=self.body(x).shape[2:], mode="bilinear")


class Bare(nn.Module):
    """A convolution written with its own parameter."""

    def __init__(self, inside, outside, kernel, stride):
        super().__init__()
        self.matrix, self.stride = nn.Parameter(torch.zeros(outside, inside, kernel, kernel)), stride

    def forward(self, x):
        return F.conv2d(x, self.matrix, stride=self.stride, padding=1)


def shuffled(x):
    return x.view(1, 2, -1, x.shape[2], x.shape[3]).transpose(1, 2).reshape(x.shape)


PLAIN_STEPS = (
    lambda c: nn.ReLU(inplace=True), lambda c: F.relu, lambda c: torch.relu, lambda c: nn.SiLU(), lambda c: nn.PReLU(),
    lambda c: nn.BatchNorm2d(c), lambda c: nn.BatchNorm2d(c, affine=False), lambda c: nn.GroupNorm(2, c),
    lambda c: nn.InstanceNorm2d(c), lambda c: nn.BatchNorm2d(c, track_running_stats=False), lambda c: nn.Dropout(),
    lambda c: nn.MaxPool2d(3, 2, 1), lambda c: nn.AvgPool2d(2, ceil_mode=True), lambda c: nn.AdaptiveAvgPool2d((3, 2)),
    lambda c: lambda x: F.max_pool2d(x, 2), lambda c: nn.Upsample(scale_factor=2, mode="bilinear"),
    lambda c: lambda x: F.interpolate(x, scale_factor=1.5), lambda c: lambda x: F.pad(x, (1, 0, 2, 1)),
    lambda c: torch.erf, lambda c: shuffled, lambda c: lambda x: x.add(1).mul(2), lambda c: lambda x: x[..., 1:],
    lambda c: lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), lambda c: lambda x: F.softmax(x, 1),
    lambda c: lambda x: x.clone().mul_(2),
)  # fmt: skip


@st.composite
def convolutions(draw, inside, outside=None):
    """A convolution and its output channels; all channels are even."""
    outside = outside or draw(st.sampled_from((2, 4, 6, 8)))
    kind = draw(st.sampled_from(("plain", "grouped", "depthwise", "transposed", "subclass", "same", "bare")))
    kernel = draw(st.sampled_from((1, 2, 3, (1, 3), (3, 2))))
    stride, dilation = draw(st.sampled_from((1, 1, 2, (1, 2)))), draw(st.sampled_from((1, 1, 2)))
    padding, bias = draw(st.integers(0, 2)), draw(st.booleans())
    if kind == "bare":
        return Bare(inside, outside, 3, draw(st.integers(1, 2))), outside
    if kind == "same":
        return nn.Conv2d(inside, outside, kernel, padding="same", dilation=dilation, bias=bias), outside
    if kind == "transposed":
        groups = draw(st.sampled_from((1, 2))) if inside % 2 == 0 else 1
        return nn.ConvTranspose2d(inside, outside, kernel, stride, 0, 0, groups, bias, dilation), outside
    if kind == "depthwise":
        return nn.Conv2d(inside, inside, kernel, stride, padding, dilation, inside, bias), inside
    groups = 2 if kind == "grouped" and inside % 2 == 0 else 1
    make = Subclass if kind == "subclass" else nn.Conv2d
    return make(inside, outside, kernel, stride, padding, dilation, groups, bias), outside


@st.composite
def modules(draw):
    """A random network that torch.fx can follow, and the shape of its image."""
    channels = 3
    first, channels = draw(convolutions(channels, draw(st.sampled_from((2, 4, 6)))).filter(lambda c: c[1] % 2 == 0))
    steps = [first]
    for _ in range(draw(st.integers(0, 6))):
        what = draw(st.sampled_from(("conv", "plain", "plain", "around")))
        if what == "conv":
            step, channels = draw(convolutions(channels))
        elif what == "plain":
            step = draw(st.sampled_from(PLAIN_STEPS))(channels)
        else:
            how = draw(st.sampled_from(("residual", "concat", "gate", "twice", "dead", "iadd", "size")))
            body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))
            if how in ("dead", "size"):
                body = nn.Sequential(body, nn.Conv2d(channels, 2, 1, 2))
            step = Around(how, body, nn.Conv2d(channels, channels, 1) if how == "gate" else None)
            channels = 2 * channels if how == "concat" else channels
        steps.append(step)
    if draw(st.booleans()):
        pool = draw(st.sampled_from((nn.AdaptiveAvgPool2d(1), lambda x: x.mean([2, 3], keepdim=True))))
        flatten = draw(st.sampled_from((nn.Flatten(), lambda x: x.flatten(1), lambda x: x.view(x.size(0), -1))))
        steps += [pool, flatten, nn.Linear(channels, 5, bias=draw(st.booleans()))]
    return Steps(*steps), Shape(3, draw(st.integers(1, 17)), draw(st.integers(1, 17)))


def right_or_refused(module, input):
    module.eval()
    warnings.simplefilter("ignore", UserWarning)  # torch's, of even kernels with padding "same"
    try:
        with torch.no_grad():
            module(torch.zeros(1, *input))
    except (RuntimeError, ValueError):
        with pytest.raises(ElasticError):
            trace(module, input)
        return
    graph = counted_as_tools_do(module, input, ("fvcore", "torch"))
    unknown = sum(step is torch.erf for step in module.steps)
    assert sum(opaque_nodes(graph).values()) == unknown


def test_a_graph_read_from_a_module_is_not_built_again():
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 1), nn.SiLU()), Shape(3, 8, 8))
    with pytest.raises(ElasticError, match="cannot be built"):
        Net(graph)


QUICK = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(modules())
def test_random_module_counts_as_the_tools_do(case):
    right_or_refused(*case)


@pytest.mark.full
@settings(QUICK, max_examples=200)
@given(modules())
def test_200_random_modules_count_as_the_tools_do(case):
    right_or_refused(*case)


class Pyramid(nn.Module):
    """Returns two maps; what it computes beside them is read by nobody."""

    def __init__(self):
        super().__init__()
        self.high, self.low = nn.Conv2d(12, 4, 3, padding=1), nn.Conv2d(4, 5, 3, 2, 1)
        self.dead = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        high = F.relu(self.high(x))
        self.dead(high)
        return high, self.low(high)


class Heads(nn.Module):
    def __init__(self, auxiliary=False):
        super().__init__()
        self.body, self.auxiliary = nn.Sequential(OrderedDict(pyramid=Pyramid())), auxiliary
        self.of_high, self.of_low = nn.Conv2d(4, 6, 1), nn.Conv2d(5, 6, 1)

    def forward(self, x):
        high, low = self.body(x)
        low = self.of_low(low)
        return self.of_high(high) if self.auxiliary else {"high": self.of_high(high), "low": low}


def test_values_that_a_module_returns_are_the_outputs_of_its_graph():
    graph = counted_as_tools_do(Heads())
    assert graph.outputs == ("of_high", "of_low")
    assert graph.at("body").outputs == ("pyramid", "pyramid:1")
    assert graph.at("body.pyramid").outputs == ("relu", "low")
    assert [node.inputs for node in graph.nodes] == [("x",), ("body:1",), ("body",)]
    assert set(graph.dead()) == {"body.pyramid.dead"}
    assert graph.shapes(INPUT)["body:1"] == Shape(5, 5, 7)


def test_values_that_are_read_in_vain_are_not_counted_by_tools_that_leave_them_out():
    graph = counted_as_tools_do(Heads(auxiliary=True))
    assert set(graph.dead()) == {"body_pyramid_dead", "body_pyramid_low", "of_low"}


def test_every_reader_takes_a_nested_graph_of_two_outputs():
    module = Heads()
    graph = trace(module, INPUT)
    kinds = by_kind(graph, INPUT, CONVENTIONS.values())
    for name, convention in CONVENTIONS.items():
        assert sum(row[name] for row in kinds.values()) == tally(graph, INPUT, convention).total
    assert not differences(graph, trace(module, INPUT), INPUT, FVCORE)
    # High is a convolution of 3 × 3; low one of stride 2 behind it: 1 + 2 + 2 pixels.
    assert traits(graph, INPUT).receptive_field == (5, 5)
    assert passes(graph, INPUT).forward == 2 * traits(graph, INPUT).macs_live
    found = memory(graph, INPUT)
    assert found.inference == tracked_peak(Heads, INPUT, training=False)
    drawn = sketch(Network("heads", graph), INPUT)
    assert [panel.name for panel in drawn.panels] == ["body", "layers", "layers"]
    assert drawn.edges == ((-1, 0), (0, 1), (0, 2))
