"""Our counts of every published network are what the real tools said in fresh processes (tools/golden_counts.py)."""

import json
import sys
from pathlib import Path

import pytest

from elastic_search.arch.ops import image
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from golden_counts import in_fresh_process  # noqa: E402

GOLDEN = json.loads((ROOT / "tests/golden/published.json").read_text())


def test_every_published_network_and_convention_is_in_the_golden_file():
    assert list(GOLDEN) == list(PUBLISHED)
    assert all(entry.keys() >= CONVENTIONS.keys() for entry in GOLDEN.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_those_of_the_golden_file(name):
    graph = published(name).graph()
    counts = {key: tally(graph, image(224, 224), convention) for key, convention in CONVENTIONS.items()}
    ours = {
        "params": graph.params,
        "params_live": graph.params_live,
        "activations": counts["fvcore"].activations,
        **{key: count.total for key, count in counts.items()},
    }
    assert ours == GOLDEN[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ("resnext50_elastic", "dla_x102_elastic", "densenet201", "resnet101_coco"))
def test_the_tools_still_say_what_the_golden_file_does(name):
    assert in_fresh_process(name) == GOLDEN[name]
