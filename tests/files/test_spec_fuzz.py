"""Damaged spec files: a right count or a clear error, never a traceback or a wrong number."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import ElasticError
from elastic_search.files import dump_spec, load_spec
from elastic_search.nn.tools import fvcore_counts
from elastic_search.nn.verify import empty_net
from tests.staging import damaged
from tests.strategies import specs

EDGE = 33
LARGEST = 3_000_000
"""Parameters of a network that is still built and run."""
VALUES = st.sampled_from(
    ("0", "1", "2", "3", "8", "12", "33", "-1", "1.5", "true", '""', '"1/2,1/2"', '"1@1/2"', '"3/4,1/4"', '"1/3,2/3"',
     '"1/2@1,1/2@1~2ap"', '"trained"', '"nearest"', '"avgpool"', '["1", "1/2,1/2"]', "[]", "{}", "nan", "9" * 14)
)  # fmt: skip


@st.composite
def files(draw) -> str:
    """A random network's file after one to three edits."""
    return damaged(draw, dump_spec(draw(specs())), VALUES, 3)


def right_or_refused(folder, text):
    path = folder / "spec.toml"
    path.write_text(text, encoding="utf-8")
    try:
        graph = load_spec(path).graph()
        ours = tally(graph, image(EDGE, EDGE), FVCORE)
    except ElasticError as error:
        assert str(error)
        return
    if ours.params <= LARGEST and ours.total <= 100 * LARGEST:
        net = empty_net(graph, dead=True)
        theirs, activations = fvcore_counts(net, torch.zeros(1, 3, EDGE, EDGE))
        assert (ours.total, ours.activations) == (sum(theirs.values()), activations)
        assert ours.params == sum(p.numel() for p in net.parameters())


QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(files())
def test_100_damaged_spec_files_count_right_or_are_refused(tmp_path_factory, text):
    right_or_refused(tmp_path_factory.getbasetemp(), text)


@pytest.mark.full
@settings(QUICK, max_examples=1000)
@given(files())
def test_1000_damaged_spec_files_count_right_or_are_refused(tmp_path_factory, text):
    right_or_refused(tmp_path_factory.getbasetemp(), text)
