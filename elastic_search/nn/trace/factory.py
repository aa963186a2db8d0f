"""Modules named on the command line, and the user's code that makes them."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator

from torch import nn

from elastic_search.errors import ElasticError, UnknownNameError, UsageError
from elastic_search.nn.libraries import FACTORIES, public_model

_MODEL = re.compile(r"\w[\w.-]*", re.ASCII)
_SPEC = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def load_module(spec: str) -> nn.Module:
    """Make the module that ``package.module:factory`` names, which runs the user's code, or ``timm:NAME``.

    The current folder is searched last. ``factory`` is a function without arguments, a module class or a module.

    Raises:
        UsageError: if that fails; quotes the user's code.
    """
    library, _, model = spec.partition(":")
    if library in FACTORIES:
        if not _MODEL.fullmatch(model):
            raise UsageError(f"{spec!r} does not name a network of {library}", f"write {library}:resnet50")
        with users_code(f"{library}:{model}"):
            return public_model(library, model)
    if not _SPEC.fullmatch(spec) or "__" in spec:
        raise UsageError(f"{spec!r} does not name a factory", "write package.module:factory")
    home, _, name = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    with users_code(f"importing {home}", "the current folder and installed packages are searched"):
        found = importlib.import_module(home)
    if not hasattr(found, name):
        known = [key for key, value in vars(found).items() if callable(value) and not key.startswith("_")]
        raise UnknownNameError(f"factory of {home}", name, sorted(known))
    made = getattr(found, name)
    if not isinstance(made, nn.Module):
        if not callable(made):
            raise UsageError(
                f"{spec} is of type {type(made).__name__}, not a function", "name a function that returns a module"
            )
        with users_code(f"{spec}()", "name a function that takes no arguments and returns a module"):
            made = made()
    if not isinstance(made, nn.Module):
        raise UsageError(f"{spec}() returned {type(made).__name__}, not a torch.nn.Module")
    return made


@contextlib.contextmanager
def users_code(doing: str, hint: str | None = None) -> Iterator[None]:
    """Send the prints of a user's code to stderr, to keep our output clean; turn its exceptions into one line."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except ElasticError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{doing} failed: {said(error)}", hint) from error


def said(error: BaseException) -> str:
    """Type and first line of an error."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__
