"""What is counted is what runs: code that looks at its tensors, hooks, writes, and modules that nobody can copy."""

import copy
import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic_search import count
from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.errors import SpecError
from elastic_search.nn.trace.tracing import read, trace
from tests.nn.trace.staging import Function, theirs

IMAGE = (3, 32, 32)
FIRST, SECOND = 8 * 3 * 9 * 1024, 8 * 8 * 9 * 1024


class Two(nn.Module):
    """A convolution, and a second if ``looks(y)``."""

    def __init__(self, looks):
        super().__init__()
        self.looks, self.a, self.b = looks, nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x):
        y = self.a(x)
        return self.b(y) if self.looks(y) else y


def _tries(y):
    try:
        return y.shape[0] + 1 > 0 and len({y.ndim: 1}) == 1
    except TypeError:
        return False


LOOKS = {
    "isinstance": lambda y: isinstance(y, torch.Tensor),
    "type": lambda y: type(y) is torch.Tensor,
    "hasattr": lambda y: not hasattr(y, "mask"),
    "a size is an int": lambda y: isinstance(y.size(2), int),
    "is_compiling": lambda y: not torch.compiler.is_compiling(),
    "is_scripting": lambda y: not torch.jit.is_scripting(),
    "try": _tries,
    "device": lambda y: y.device == torch.device("cpu") and not y.is_meta,
    "dtype": lambda y: y.dtype is torch.float32 and y.is_floating_point(),
    "contiguous": lambda y: y.is_contiguous(),
    "grad": lambda y: torch.is_grad_enabled() and y.requires_grad,
    "a number of weights": lambda y: torch.linspace(0, 1, 3).tolist() == [0, 0.5, 1],
    "a number of a constant": lambda y: bool((torch.ones(3) * 2).sum() == 6),
}


@pytest.mark.parametrize("look", LOOKS)
def test_code_that_looks_at_its_tensors_takes_the_branch_that_it_takes(look):
    reading = read(Two(LOOKS[look]).eval(), IMAGE)
    assert tally(reading.graph, IMAGE, MACS).total == FIRST + SECOND
    assert not reading.notes


@pytest.mark.parametrize(
    "look",
    [
        lambda y: y.sum() == 0, lambda y: y.mean().item() == 0, lambda y: float(y.max()) == 0,
        lambda y: not y.any(), lambda y: y.flatten().tolist()[0] == 0, lambda y: y.detach().numpy().sum() == 0,
        lambda y: len(y.nonzero()) == 0, lambda y: torch.equal(y, y * 2), lambda y: y[y > 0].numel() == 0,
        lambda y: f"{y[0, 0, 0, 0]:.1f}" == "0.0",
    ],
)  # fmt: skip
def test_code_that_asks_for_numbers_is_counted_on_zeros_and_says_so(look):
    module = Two(look)
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    reading = read(module, IMAGE)
    assert tally(reading.graph, IMAGE, MACS).total == FIRST + SECOND
    (note,) = reading.notes
    assert "zeros" in note


def hooked(register):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1))
    register(module)
    return module


WEIGHT = torch.zeros(8, 8, 1, 1)
HOOKS = {
    "forward hook of a leaf": (
        lambda m: m[0].register_forward_hook(lambda module, args, out: F.conv2d(out, WEIGHT)), FIRST + 8 * 8 * 1024,
    ),
    "forward hook of the root": (
        lambda m: m.register_forward_hook(lambda module, args, out: F.conv2d(out, WEIGHT)), FIRST + 8 * 8 * 1024,
    ),
    "pre-hook of a leaf": (
        lambda m: m[0].register_forward_pre_hook(lambda module, args: (F.avg_pool2d(args[0], 2),)), FIRST // 4,
    ),
    "pre-hook of the root": (
        lambda m: m.register_forward_pre_hook(lambda module, args: (F.avg_pool2d(args[0], 2),)), FIRST // 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_run(hook):
    register, macs = HOOKS[hook]
    module = hooked(register).eval()
    graph = trace(module, IMAGE)
    assert tally(graph, IMAGE, MACS).total == macs
    assert 2 * macs == theirs("torch", module, IMAGE)


def test_out_is_a_write():
    def twice(m, x):
        y = F.conv2d(x, m.w0)
        torch.add(y, F.conv2d(x, m.w0), out=y)
        return y

    graph = trace(Function(twice, (8, 3, 1, 1)), IMAGE)
    assert tally(graph, IMAGE, FVCORE).total == tally(graph, IMAGE, MACS).total == 2 * 8 * 3 * 1024


@pytest.mark.parametrize("integer", [np.int64, np.int32])
def test_numbers_of_numpy_give_plain_exact_integers(integer):
    module = nn.Sequential(
        nn.Conv2d(integer(3), integer(512), integer(7), padding=integer(3)), nn.BatchNorm2d(integer(512)),
        nn.AvgPool2d(integer(2)), nn.Upsample(scale_factor=np.float32(2.0), mode="bilinear"),
    )  # fmt: skip
    found = tally(trace(module, (3, 512, 512)), (3, 512, 512), FVCORE)
    assert found.total == 512 * 512**2 * (3 * 49 + 2 + 4)
    assert type(found.total) is int
    assert found.params == 512 * (3 * 49 + 1 + 2)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_module_that_cannot_be_copied_is_read():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.utils.weight_norm(nn.Conv2d(3, 8, 3, padding=1))

        def forward(self, x):
            self.features = self.a(x)
            return self.features

    module = Keeps()
    module(torch.zeros(1, *IMAGE))
    kept = module.features
    with pytest.raises(RuntimeError):
        copy.deepcopy(module)
    graph = trace(module, IMAGE)
    assert tally(graph, IMAGE, MACS).total == FIRST
    assert graph.params == 8 * 3 * 9 + 8 + 8
    assert module.features is kept


def test_reading_leaves_numbers_modes_and_attributes_alone():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(3, 8, 3), nn.Dropout()
            self.register_buffer("calls", torch.zeros(()))
            self.last = None

        def forward(self, x):
            self.calls += 1
            self.last = self.conv(x) * torch.rand(1)
            return self.drop(self.last)

    module = Counts()
    module.conv.eval()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    trace(module, IMAGE)
    assert torch.rand(1) == expected
    assert (module.calls, module.last) == (0, None)
    assert (module.training, module.conv.training, module.drop.training) == (True, False, True)


@dataclasses.dataclass
class Fields:
    logits: torch.Tensor
    auxiliary: torch.Tensor | None = None


class Named(NamedTuple):
    logits: torch.Tensor
    auxiliary: torch.Tensor | None


class Plain:
    def __init__(self, logits):
        self.logits = logits


@pytest.mark.parametrize(
    "pack", [Fields, lambda y: Named(y, None), lambda y: {"out": [y]}, lambda y: (y, [None, 3]), Plain]
)
def test_tensors_are_found_in_what_a_module_returns(pack):
    reading = read(Function(lambda m, x: pack(F.conv2d(x, m.w0)), (8, 3, 1, 1)), IMAGE)
    assert tally(reading.graph, IMAGE, FVCORE).total == 8 * 3 * 1024
    assert not reading.notes
    assert not opaque_nodes(reading.graph)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on the import of its compiler
def test_a_compiled_module_is_read_as_the_module():
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1))
    graph = trace(torch.compile(module), IMAGE)
    assert tally(graph, IMAGE, MACS).total == FIRST
    assert graph.params == sum(p.numel() for p in module.parameters())


def test_a_module_on_the_meta_device_is_read():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8))
    assert tally(trace(module, IMAGE), IMAGE, FVCORE).total == FIRST + 2 * 8 * 1024


class OfTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(64, 8)

    def forward(self, x, query, scale=None):
        y = self.conv(x) * self.fc(query)[..., None, None]
        return y if scale is None else y * scale


@pytest.mark.parametrize("given", [[(3, 32, 32), (64,)], [torch.zeros(1, 3, 32, 32), torch.zeros(1, 64)]])
def test_a_module_of_several_inputs_is_read(given):
    assert tally(trace(OfTwo(), given), IMAGE, MACS).total == FIRST + 64 * 8
    assert count(OfTwo(), given).total == FIRST + 64 * 8


def test_inputs_go_by_keyword_too():
    assert tally(trace(OfTwo(), IMAGE, query=(64,), scale=torch.zeros(1)), IMAGE, MACS).total == FIRST + 64 * 8
    assert count(OfTwo(), IMAGE, query=torch.zeros(1, 64)).total == FIRST + 64 * 8


def test_a_missing_input_is_named_with_what_to_give():
    with pytest.raises(SpecError, match="missing 1 required positional argument: 'query'") as caught:
        trace(OfTwo(), IMAGE)
    assert "3x224x224+1x64" in str(caught.value)


def test_a_vector_is_given_to_a_module_that_takes_one():
    assert tally(trace(nn.Sequential(nn.Linear(8, 10)), (8, 1, 1)), (8, 1, 1), MACS).total == 80


def test_fvcore_counts_what_runs_while_it_traces():
    class Asks(Two):
        def __init__(self):
            super().__init__(lambda y: not torch.jit.is_tracing())

    module = Asks().eval()
    reading = read(module, IMAGE)
    assert tally(reading.graph, IMAGE, MACS).total == FIRST + SECOND
    assert tally(reading.graph, IMAGE, FVCORE).total == theirs("fvcore", module, IMAGE) == FIRST
    (note,) = reading.notes
    assert "fvcore" in note


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_parts_that_torch_jit_compiled_are_counted_and_noted():
    inside = torch.jit.script(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()))
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), inside, nn.Conv2d(8, 8, 3, padding=1)).eval()
    reading = read(module, IMAGE)
    assert tally(reading.graph, IMAGE, MACS).total == FIRST + 2 * SECOND
    assert tally(reading.graph, IMAGE, "torch").total == theirs("torch", module, IMAGE)
    assert reading.graph.params == sum(p.numel() for p in module.parameters())
    assert any("torch.jit" in note for note in reading.notes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_functions_that_torch_jit_compiled_are_counted_and_noted():
    @torch.jit.script
    def convolved(x, w):
        return torch.conv2d(x, w, padding=[1, 1])

    module = Two(lambda y: False)
    module.forward = lambda x: convolved(module.a(x), module.b.weight)
    reading = read(module, IMAGE)
    assert tally(reading.graph, IMAGE, MACS).total == FIRST + SECOND
    assert any("torch.jit" in note for note in reading.notes)


class Comparing(nn.Module):
    """Takes a function of torch by what it is."""

    def __init__(self):
        super().__init__()
        self.conv, self.activation = nn.Conv2d(3, 4, 3), F.relu

    def forward(self, x):
        return {F.relu: torch.relu}[self.activation](self.conv(x))


def test_functions_are_replaced_as_the_tool_does_and_put_back():
    before = F.relu, torch.matmul, torch.Tensor.matmul, "matmul" in vars(torch.Tensor)
    reading = read(Comparing(), (3, 8, 8))
    assert tally(reading.graph, reading.input, MACS).total == 4 * 27 * 36
    assert any("ptflops replaces functions" in note for note in reading.notes)
    with pytest.raises(SpecError):
        read(Function(lambda m, x: x.matmul(torch.zeros(99, 98))), (3, 8, 8))
    assert before == (F.relu, torch.matmul, torch.Tensor.matmul, "matmul" in vars(torch.Tensor))


def test_a_module_that_differentiates_says_so():
    module = Function(lambda m, x: torch.func.jvp(lambda y: y @ m.w0, (x,), (x,))[1], (8, 5))
    for _ in range(2):  # torch compiles what it needs for that the first time
        reading = read(module, (3, 8, 8))
        assert any("differentiates" in note for note in reading.notes)
        assert tally(reading.graph, reading.input, "torch").total == theirs("torch", module, (3, 8, 8))


def test_a_convolution_of_an_empty_map_is_refused_as_torch_refuses_it():
    with pytest.raises(SpecError, match="zero batch or zero channel"):
        read(Function(lambda m, x: F.conv2d(x[..., :0], m.w0, padding=1), (2, 3, 1, 1)), (3, 8, 8))
