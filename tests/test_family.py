"""A new family is one file: the toy's is added to the package's, and the conformance suite passes with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ADDED = f"import elastic_search.arch.families as families; families.__path__.append({str(TESTS / 'toy')!r})\n"


def run(code, *args):
    done = subprocess.run(
        [sys.executable, "-c", ADDED + code, *args], capture_output=True, text=True, check=False, cwd=TESTS.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_family_in_one_file_passes_the_conformance_suite():
    code = "import sys, pytest; sys.exit(pytest.main([*sys.argv[1:], '-q', '-p', 'no:cacheprovider']))"
    suite = TESTS / "test_conformance.py"
    said = run(code, str(suite), "-k", "toy9", "-m", "not full and not slow")
    # Its edits, its every tool, and both of its networks.
    assert "passed" in said
    assert int(said.split(" passed")[0].split()[-1]) >= 16


@pytest.mark.parametrize("command", ("flops toy9 --elastic", "models --json", "draw toy9_elastic", "match toy9"))
def test_commands_take_a_new_family(command):
    code = "import sys; from elastic_search.cli.main import cli; cli(sys.argv[1:])"
    assert "toy9" in run(code, *command.split())


def test_files_weights_and_proxies_take_a_new_family(tmp_path):
    code = """
import sys
import torch
from elastic_search import build, dump_spec, load_spec, load_weights, published, save_weights
from elastic_search.recipes.proxy import Proxy
folder, spec = sys.argv[1], published("toy9_elastic")
open(f"{folder}/toy.toml", "w").write(dump_spec(spec))
assert load_spec(f"{folder}/toy.toml") == spec
small = Proxy().of(spec)
net = build(small, seed=1).eval()
save_weights(net, small, f"{folder}/toy.safetensors")
x = torch.ones(1, 3, 64, 64)
assert torch.equal(load_weights(f"{folder}/toy.safetensors").eval()(x), net(x))
assert float(net.stem.conv1.weight.std()) > 0
try:
    load_spec(sys.argv[2])
except Exception as error:
    assert "groups: 0" in str(error), error
"""
    bad = tmp_path / "bad.toml"
    bad.write_text('schema = 1\nfamily = "toy"\ngroups = 0\n[[stages]]\nwidth = 8\ndepth = 1\n')
    run(code, str(tmp_path), str(bad))
