"""Our counts of every published network are what the real tools said in fresh processes (tools/golden_counts.py)."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from golden_counts import in_fresh_process

from elastic_search.arch.edit import elastic
from elastic_search.arch.heads import Classifier
from elastic_search.arch.ops import image
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import PUBLISHED, published, spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, MACS

ROOT = Path(__file__).parents[1]
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


EDITED = {
    "2-1-2-1, 1/2,1/4@1/4,1/4~2": lambda spec: elastic(
        spec.with_depths((2, 1, 2, 1)), parse_split("1/2,1/4@1/4,1/4@1~2")
    ),
    "trained": lambda spec: elastic(spec.with_depths((2, 1, 2, 1)), parse_split("1/2,1/2", "trained", "trained")),
    "proxy": lambda spec: replace(spec.scaled(Fraction(1, 4)), stem="small", head=Classifier(10)),
}


@pytest.mark.parametrize(("name", "known"), json.loads((ROOT / "tests/golden/ids.json").read_text()).items())
def test_a_network_keeps_its_id(name, known):
    """Runs and files name networks by it: these were written down when a spec still had its classes as a field."""
    base, _, edit = name.partition(" ")
    assert spec_id(EDITED[edit](published(base)) if edit else published(base)) == known


TORCHVISION = {
    # Parameters, and GFLOPS to two decimals, as torchvision 0.28 prints them beside its weights.
    "resnet18": (11_689_512, "1.81"),
    "resnet34": (21_797_672, "3.66"),
    "resnet50": (25_557_032, "4.09"),
    "resnet101": (44_549_160, "7.80"),
    "resnet152": (60_192_808, "11.51"),
    "wide_resnet50_2": (68_883_240, "11.40"),
    "wide_resnet101_2": (126_886_696, "22.75"),
    "resnext101_64x4d": (83_455_272, "15.46"),
}


@pytest.mark.parametrize(("name", "known"), TORCHVISION.items())
def test_counts_of_resnets_are_torchvisions(name, known):
    counted = tally(published(name).graph(), image(224, 224), MACS)
    assert (counted.params, f"{counted.total / 1e9:.2f}") == known
