"""What a start does not do; ``benchmarks/start.py`` times it."""

import subprocess
import sys

from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.network import Network
from elastic_search.arch.ops import image
from elastic_search.cost import parts
from elastic_search.cost.tools import FVCORE

WATCHED = """
import atexit, gc, sys
from elastic_search.__main__ import main
seen = []
gc.callbacks.append(lambda phase, about: seen.append(about["generation"]))
atexit.register(lambda: print(int(gc.isenabled()), len(seen), gc.get_freeze_count(), file=sys.stderr))
sys.argv = ["elastic-search", *sys.argv[1:]]
main()
"""


def watched(*args):
    """Whether garbage is looked for at the end, how often it was, and how many objects are left out of it."""
    done = subprocess.run([sys.executable, "-c", WATCHED, *args], capture_output=True, text=True, check=True)
    return map(int, done.stderr.split())


def test_start_looks_for_no_garbage_and_a_command_does():
    enabled, times, _ = watched("--version")
    assert (enabled, times) == (0, 0)
    enabled, _, frozen = watched("conventions", "--help")
    assert enabled
    assert frozen > 10_000


def test_resolutions_of_equal_blocks_are_found_once():
    spec = resnext((3, 4, 200, 3))
    parts._resolutions.cache_clear()
    found = parts.measure(Network("deep", spec.graph(), spec), "network", image(224, 224), FVCORE, "stage")
    assert found.parts[3].resolutions == ((14, 14),)
    assert parts._resolutions.cache_info().misses < 30
