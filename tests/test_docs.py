"""What the README and the docs show is what the commands print."""

import re
import sys
from pathlib import Path

import pytest

from elastic_search.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from console_blocks import refreshed  # noqa: E402


@pytest.mark.parametrize("name", ("README.md", "docs/commands.md", "docs/conventions.md", "docs/memory.md"))
def test_outputs_in_the_docs_are_real(name):
    text = (ROOT / name).read_text()
    assert refreshed(text) == text


def test_every_command_is_documented():
    text = (ROOT / "docs/commands.md").read_text()
    for name in COMMANDS:
        assert f"$ elastic-search {name} --help" in text


def test_options_that_the_readme_names_exist():
    known = {option for name in COMMANDS for param in cli.get_command(None, name).params for option in param.opts}
    known |= {"--help", "--version", "--debug", "--constraint", "--write"}
    text = (ROOT / "README.md").read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known


def test_python_example_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(code, {})
