"""The script that measures a GPU runs everywhere in its small form, so that it is whole when there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def script(*arguments, **environment):
    return subprocess.run(
        [ROOT / "benchmarks/gpu.sh", *arguments], cwd=ROOT, env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_every_part_of_the_page_is_measured():
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "docs").iterdir()}
    done = script("--device", "cpu", "--small")
    assert done.returncode == 0, done.stderr
    assert "Failed" not in done.stdout
    for title in ("Equal training", "Speed of a step", "Peak memory", "A search of two minutes", "Two trainers"):
        assert f"## {title}" in done.stdout
    assert before == {path: path.stat().st_mtime_ns for path in (ROOT / "docs").iterdir()}


def test_what_the_machine_lacks_is_named(tmp_path):
    """With a Python that has nothing."""
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n')
    bare.chmod(0o755)
    done = script("--device", "cpu", "--small", PYTHON=str(bare))
    assert done.returncode == 3
    assert "missing: click rich" in done.stderr
    assert "--wheels DIR" in done.stderr
    assert script("--fast").returncode == 2
