"""What --input and package.module:factory may meet."""

import sys

import pytest

from elastic_search.errors import ElasticError
from elastic_search.nn.trace.factory import load_module

FACTORIES = """
import torch
from torch import nn
print("hello")
def net(): return nn.Conv2d(3, 4, 1)
made = nn.Conv2d(3, 5, 1)
class Net(nn.Conv2d):
    def __init__(self): super().__init__(3, 6, 1)
def broken(): raise ValueError("no weights\\nat all")
def leaves(): raise SystemExit(3)
def needs(width): return nn.Conv2d(3, width, 1)
def other(): return 5
number = 5
"""


@pytest.fixture
def factories(tmp_path, monkeypatch):
    (tmp_path / "user_factories.py").write_text(FACTORIES)
    (tmp_path / "user_broken.py").write_text("import no_such_library")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("user_factories", "user_broken"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("name", "channels"), (("net", 4), ("made", 5), ("Net", 6)))
def test_factory_function_class_and_module_load(factories, name, channels, capsys):
    assert load_module(f"user_factories:{name}").out_channels == channels
    assert not capsys.readouterr().out
    assert sys.path[-1] == str(factories)


@pytest.mark.parametrize(
    ("spec", "said"),
    (
        ("user_factories:broken", "failed: ValueError: no weights(;|$)"),
        ("user_factories:leaves", "failed: SystemExit: 3"),
        ("user_factories:needs", "failed: TypeError: needs.. missing 1 required"),
        ("user_factories:other", "returned int, not a torch.nn.Module"),
        ("user_factories:number", "is of type int, not a function"),
        ("user_factories:nett", "unknown factory of user_factories 'nett'"),
        ("user_broken:net", "importing user_broken failed: ModuleNotFoundError: No module named 'no_such_library'"),
        ("user_missing:net", "importing user_missing failed: ModuleNotFoundError"),
        ("user_factories:__import__", "does not name a factory"),
        ("user factories:net", "does not name a factory"),
        (":net", "does not name a factory"),
        ("user_factories:net.weight", "does not name a factory"),
    ),
)
def test_factory_that_fails_says_what_happened(factories, spec, said):
    with pytest.raises(ElasticError, match=said) as caught:
        load_module(spec)
    assert caught.value.exit_code == 2
