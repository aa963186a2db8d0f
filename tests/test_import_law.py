"""Who may import whom, and what a command never loads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import elastic_search
from tests.staging import HEAVY, loaded_by

PACKAGE = Path(elastic_search.__file__).parent

ROOMS = {
    "arch": {"arch"},
    "cost": {"arch", "cost"},
    "space": {"arch", "cost", "space"},
    "paper": {"arch", "cost", "paper"},
    "report": {"arch", "cost", "space", "paper", "recipes", "report"},
    "draw": {"arch", "cost", "space", "paper", "recipes", "draw"},
    "nn": {"arch", "cost", "nn"},
    "recipes": {"recipes"},
    "data": {"data", "recipes"},
    "tasks": {"arch", "nn", "tasks"},
    "train": {"arch", "cost", "nn", "data", "tasks", "recipes", "train"},
    "proxy": {"arch", "cost", "nn", "data", "tasks", "recipes", "train", "proxy", "search.evaluator"},
    "search": {"arch", "cost", "space", "search", "files", "recipes"},
    "files": {"arch", "cost", "space", "files", "recipes"},
    # Thin, but it starts everything; inside its commands only.
    "cli": {"arch", "cost", "space", "paper", "report", "draw", "nn", "data", "train", "proxy", "search", "files"}
    | {"recipes", "cli"},
    "errors": set(),
    "atomic": set(),
    "counting": {"arch", "cost", "nn"},
    "__init__": {"arch", "cost", "space", "files", "nn", "search", "counting"},  # by name only, when first used
    "__main__": {"cli"},
}
THIRD_PARTIES = {
    "numpy": ("space", "search", "data", "nn.trace.heard.fvcore"),  # the last by the rule of fvcore for einsum
    "pydantic": ("files",),
    "optuna": ("search.propose", "search.store", "search.trials", "search.shared"),
    "sqlalchemy": ("search.store", "search.trials", "search.shared"),
    "filelock": ("search.store", "search.claims", "data"),
    "torch": ("nn", "data", "tasks", "train", "proxy"),
    "PIL": ("data",),
    "fvcore": ("nn.tools",),
    "ptflops": ("nn.tools",),
    "thop": ("nn.tools",),
    "torchinfo": ("nn.tools",),
    "safetensors": ("nn.weights",),
    "matplotlib": ("draw.figure4", "draw.picture"),
    "plotext": ("draw.figure4",),
    "rich": ("report",),
    "click": ("cli",),
}


def imports(file):
    """What a file imports when it runs: annotations alone are free of the law."""
    tree = ast.parse(file.read_text())
    free = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for part in node.body
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if node in free:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import"
            yield node.module


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_obey_the_law(file):
    module = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    legal = ROOMS[module.split(".")[0]] | {"errors", "atomic"}
    for name in imports(file):
        top, _, rest = name.partition(".")
        if top == "elastic_search":
            if rest:
                assert any(rest == room or rest.startswith(f"{room}.") for room in legal), f"{module} imports {name}"
        elif top not in sys.stdlib_module_names:
            rooms = THIRD_PARTIES[top]
            assert any(module == room or module.startswith(f"{room}.") for room in rooms), f"{module} imports {name}"


@pytest.mark.parametrize("command", ("flops resnext50 --elastic", "flops resnext50 --json", "models", "models --json"))
def test_counting_loads_nothing_heavy(command):
    assert not loaded_by(*command.split()) & HEAVY


def test_matching_loads_no_torch():
    assert not loaded_by("match", "resnext50") & {"torch", "optuna", "pydantic", "fvcore"}


def test_importing_the_package_loads_nothing_of_it():
    code = "import sys, elastic_search; print([m for m in sys.modules if m.startswith('elastic_search.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_resolve():
    for name in dir(elastic_search):
        assert getattr(elastic_search, name) is not None
