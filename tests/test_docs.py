"""What the README and the docs show is what the commands print."""

import re
import tomllib
from pathlib import Path

import formats
import pytest
from console_blocks import refreshed

from elastic_search.arch.zoo import FAMILIES
from elastic_search.cli.main import COMMANDS, cli
from elastic_search.data.cifar import FOLDERS
from elastic_search.data.folder import HELD_OUT
from elastic_search.data.npz import CLASS_NAMES, NAMES
from elastic_search.files import load_spec, parse_space
from elastic_search.files.space_schema import SpaceModel
from elastic_search.report.emit import SCHEMA

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ("README.md", "docs/commands.md", "docs/conventions.md", "docs/memory.md"))
def test_outputs_in_the_docs_are_real(name):
    text = (ROOT / name).read_text()
    assert refreshed(text) == text


def test_every_command_is_documented():
    text = (ROOT / "docs/commands.md").read_text()
    for name in COMMANDS:
        assert f"$ elastic-search {name} --help" in text


def test_formats_are_written_as_the_contract_has_them():
    text = formats.FILE.read_text()
    assert formats.refreshed(text) == text
    assert f"schema {SCHEMA}" in text
    for name in ("README.md", "CHANGELOG.md"):
        assert "docs/formats.md" in (ROOT / name).read_text()


@pytest.mark.parametrize("page", ("README.md", "docs/data.md"))
def test_options_that_a_page_names_exist(page):
    known = {option for name in COMMANDS for param in cli.get_command(None, name).params for option in param.opts}
    known |= {"--help", "--version", "--debug", "--constraint", "--write"}
    text = (ROOT / page).read_text()
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known


def test_what_is_read_as_images_is_documented():
    text = (ROOT / "docs/data.md").read_text()
    for name in (*HELD_OUT, FOLDERS[0], CLASS_NAMES[0], *NAMES["train"][0], *NAMES["train"][1], *NAMES[""][0]):
        assert f"`{name}" in text, name


def test_python_example_of_the_readme_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(code, {})


def test_space_files_are_documented_key_by_key():
    text = (ROOT / "docs/spaces.md").read_text()
    example, _ = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    plan = parse_space(example, "example", "docs/spaces.md")
    assert plan.limits
    shown = tomllib.loads(example)
    assert set(shown) == {field.alias or name for name, field in SpaceModel.model_fields.items()} | {"inherit"}
    for name in ("band", "proxy", "splits", "resampling", "cardinality"):
        model = SpaceModel.model_fields[name].annotation
        model = next(m for m in (model, *getattr(model, "__args__", ())) if hasattr(m, "model_fields"))
        assert set(shown[name]) == set(model.model_fields)


def test_spec_file_of_the_docs_is_read(tmp_path):
    _, example = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/spaces.md").read_text(), re.DOTALL)
    (tmp_path / "example.toml").write_text(example)
    assert load_spec(tmp_path / "example.toml").elastic_blocks == 0  # its only stage is the last
    assert set(re.findall(r'"(\w+)"', next(line for line in example.splitlines() if "family" in line))) == set(FAMILIES)
