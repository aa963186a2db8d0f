import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from elastic_search.cli.main import cli

# Hundreds of commands are run: each would compile the whole package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Two processes with a thread for every core each slow one another down many times over.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}

PROGRAMS = ("no graphviz here", "PostgreSQL")
"""What the reason of a skip may name under --no-skips: programs that pip does not install."""

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


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """What ``command`` does, in this process, which has torch: for tests of what a command says of a user's module.

    What it imports stays: files of one name must have one text.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*args: str, check: int = 0, columns: int = 80, **env: str) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(cli, args, env={"COLUMNS": str(columns), **env})
        assert done.exit_code == check, f"exit {done.exit_code}\n{done.stdout}\n{done.stderr}"
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return subprocess.CompletedProcess(args, done.exit_code, done.stdout, done.stderr)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped has failed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    _refuse_skip(outcome.get_result(), item.config)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    outcome: Any = yield  # of a file too: pytest.importorskip at its top skips all of it
    _refuse_skip(outcome.get_result(), collector.config)


def _refuse_skip(report: Any, config: pytest.Config) -> None:
    if report.skipped and config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[-1]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(program in reason for program in PROGRAMS):
            report.outcome, report.longrepr = "failed", f"not to be skipped in CI: {reason}"
