"""The independent count that a search's best network must pass before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elastic_search.errors import ElasticError

if TYPE_CHECKING:
    from collections.abc import Callable

    from elastic_search.arch.spec import Spec
    from elastic_search.files import SearchSpace
    from elastic_search.search.store.winner import Counter


def counter_of(plan: SearchSpace, tell: Callable[[str], None] = lambda what: None) -> Counter:
    """Counts a network by the tool of the band's convention on the built module, or by fvcore.

    Args:
        plan: its band has the convention and the input.
        tell: hears that the count begins: it takes seconds.
    """
    name = plan.band.convention.name

    def count(spec: Spec) -> tuple[str, int, int]:
        from elastic_search.nn.verify import verify

        tell("counting the best network with an independent tool")
        try:
            return _check(verify(spec.graph(), plan.band.input, (name,)), name)
        except (KeyError, ElasticError):
            # No tool has the convention, or it is not installed.
            return _check(verify(spec.graph(), plan.band.input, ("fvcore",)), "fvcore")

    return count


def _check(checks: list[Any], quantity: str) -> tuple[str, int, int]:
    check = next(check for check in checks if check.quantity == quantity)
    return check.tool, check.ours, check.theirs
