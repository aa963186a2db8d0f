"""Operations in every spelling, counted as every real tool counts the module: one matrix of (operation, spelling)."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.tally import tally
from elastic_search.nn.tools import TOOLS, fvcore_counts
from elastic_search.nn.trace.tracing import read
from tests.nn.trace import cases_of_flow, cases_of_layers, cases_of_products  # noqa: F401, they fill CASES
from tests.nn.trace.cases import CASES, IMAGE, STEM, Case

NAMES = ("fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo")


def test_the_matrix_has_its_spellings():
    assert len(CASES) >= 500


def counted(module, name):
    try:
        return sum(TOOLS[name][1](module, torch.zeros(1, *IMAGE)).values())
    except Exception as error:  # the tool itself fails
        return error


def _marks(i):
    return [pytest.mark.slow] if i % 6 else []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(i)) for i, name in enumerate(CASES)])
def test_every_spelling_is_counted_as_every_tool_counts_it(name):
    to, make, macs = CASES[name]
    module = Case(to, *make()).eval()
    reading = read(module, IMAGE)
    assert not reading.notes
    assert not opaque_nodes(reading.graph)
    assert reading.graph.params == sum(p.numel() for p in module.parameters())
    ours = {tool: tally(reading.graph, IMAGE, tool).total for tool in NAMES}
    theirs = {tool: counted(module, tool) for tool in NAMES}
    assert ours == {tool: ours[tool] if isinstance(count, Exception) else count for tool, count in theirs.items()}
    if not isinstance(theirs["fvcore"], Exception):
        _, activations = fvcore_counts(module, torch.zeros(1, *IMAGE))
        assert tally(reading.graph, IMAGE, "fvcore").activations == activations
    if macs is None and not any(kind in name for kind in ("RNN", "GRU", "LSTM")):
        with sdpa_kernel([SDPBackend.MATH]):
            macs = counted(module, "torch") // 2 - STEM
    assert macs is None or tally(reading.graph, IMAGE, "macs").total == STEM + macs


UNKNOWN = {
    "fft": lambda m, x: torch.fft.rfft2(x).real,
    "norm": lambda m, x: torch.cdist(x, x, p=3.0),
    "exponential": lambda m, x: torch.linalg.matrix_exp(x[..., :8]),
    "solution": lambda m, x: torch.linalg.solve(x[..., :8], x),
    "sparse": lambda m, x: torch.sparse.mm(m.w0.to_sparse(), x[0, 0].T),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_nobody_counts_stays_unknown(name):
    assert opaque_nodes(read(Case("2-D", UNKNOWN[name], (5, 12)).eval(), IMAGE).graph)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_multiply_adds_of_a_recurrent_layer(kind, gates):
    module = Case("tokens", kind(12, 6, num_layers=2, bidirectional=True, batch_first=True))
    layers = 2 * (12 + 6) + 2 * (12 + 6)
    assert tally(read(module, IMAGE).graph, IMAGE, "macs").total == STEM + 96 * gates * 6 * layers
