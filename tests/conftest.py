import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Two processes with a thread for every core each slow one another down many times over.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def command(tmp_path: Path) -> Run:
    """Runs the real command in a folder of its own; ``check`` is the expected exit code."""

    def run(*args: str, check: int = 0, columns: int = 80, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "elastic_search", *args],
            cwd=tmp_path,
            env={**os.environ, **ONE_THREAD, "COLUMNS": str(columns), **env},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    return run
