"""Optional dependencies: installed, or one line that says how to install them."""

from __future__ import annotations

from importlib.util import find_spec

from elastic_search.errors import missing_extra


def require(*modules: str, extra: str = "search") -> None:
    """Check that modules of an extra are installed, without importing them.

    Raises:
        EnvironmentFault: for the first that is missing, with the command that installs it.
    """
    for module in modules:
        if find_spec(module) is None:
            raise missing_extra(module, extra)
