"""Optional dependencies: present, or one line that says how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from elastic_search.errors import missing_extra


def require(*modules: str, extra: str = "search") -> None:
    """Check that modules of an extra are installed, without importing them.

    Raises:
        EnvironmentFault: naming the first that is missing, with its cure.
    """
    for module in modules:
        if find_spec(module) is None:
            raise missing_extra(module, extra)
