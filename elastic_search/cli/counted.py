"""The independent count that a search's best network must pass before it is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from elastic_search.errors import ElasticError

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec
    from elastic_search.files import SearchSpace
    from elastic_search.search.winner import Counter


def counter_of(plan: SearchSpace) -> Counter:
    """Counts a network by the tool of the band's convention on the built module, or by fvcore."""
    name = plan.band.convention.name

    def count(spec: Spec) -> tuple[str, int, int]:
        from elastic_search.nn.verify import verify

        try:
            return _check(verify(spec.graph(), plan.band.input, (name,)), name)
        except (KeyError, ElasticError):
            # No tool has the convention, or it is not installed.
            return _check(verify(spec.graph(), plan.band.input, ("fvcore",)), "fvcore")

    return count


def _check(checks: list[Any], quantity: str) -> tuple[str, int, int]:
    check = next(check for check in checks if check.quantity == quantity)
    return check.tool, check.ours, check.theirs
