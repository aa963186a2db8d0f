"""``pytest --no-skips``, as CI runs it: a test that is skipped has failed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILES = {
    "test": 'def test_one(): pytest.skip("for no reason")',
    "file": 'pytest.importorskip("no_module_of_this_name")\ndef test_one(): pass',
    "program": 'def test_one(): pytest.skip("no PostgreSQL server here")',
    "expected": "@pytest.mark.xfail\ndef test_one(): raise ValueError",
}


@pytest.mark.parametrize(
    ("kind", "options", "passes"),
    [
        ("test", (), True),
        ("test", ("--no-skips",), False),
        ("file", ("--no-skips",), False),
        ("program", ("--no-skips",), True),
        ("expected", ("--no-skips",), True),
    ],
)
def test_a_skip_fails_unless_it_is_for_want_of_a_program(tmp_path, kind, options, passes):
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(f"import pytest\n{FILES[kind]}\n")
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), *options]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == passes, done.stdout
    assert ("not to be skipped in CI" in done.stdout) != passes
