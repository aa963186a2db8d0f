"""What to narrow in a space that is too large to be counted: one change at a time, each of them known to suffice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from elastic_search.errors import SpecError
from elastic_search.space.band import Limit
from elastic_search.space.chain import Chain
from elastic_search.space.choice import Space
from elastic_search.space.parts import Quantity
from elastic_search.space.work import MAX_STAGES, Work

TRIED = MAX_STAGES // 10
"""Most effort of the stages of all narrower spaces that are tried: an answer is due in two seconds."""


def narrowings(space: Space, cost: Quantity, limits: tuple[Limit, ...], measure: str, rows: int) -> str:
    """The changes to the space's file that each make it small enough for so many ``rows``, as a hint."""
    left = TRIED

    def fits(narrow: Space, kept: tuple[Limit, ...] = limits) -> bool:
        nonlocal left
        work = Work(left, rows=rows)
        try:
            Chain(narrow, cost, kept, measure, work).planned()
        except SpecError:
            return False
        finally:
            left = work.left
        return True

    found = []
    if space.splits_per == "block" and fits(replace(space, splits_per="stage")):
        found.append('[splits] per = "stage"')
    for ways in (_widths(space), _splits(space), _cardinality(space), _resampling(space), _depths(space)):
        wide_enough = None
        for text, narrow in ways:  # from the narrowest on
            if not fits(narrow):
                break
            wide_enough = text
        if wide_enough:
            found.append(wide_enough)
    if limits and fits(space, ()):
        found.append("[band] without params and inputs")
    if not found:
        return "narrow several of [depths], [widths], [splits], [cardinality] and [resampling]"
    return f"narrow one of these: {'; or '.join(found)}"


def _fewer(number: int) -> list[int]:
    """Numbers of values to try in place of ``number``, in ascending order."""
    return sorted({1, number // 2, number - 1} - {0, number})


def _text(number: int, what: str) -> str:
    return f"one {what}" if number == 1 else f"at most {number} {what}s"


def _widths(space: Space) -> Iterator[tuple[str, Space]]:
    for most in _fewer(max(map(len, space.widths), default=0)):
        narrow = tuple(widths[:most] for widths in space.widths)
        yield f"[widths] {_text(most, 'width')} a stage", replace(space, widths=narrow)


def _splits(space: Space) -> Iterator[tuple[str, Space]]:
    for most in _fewer(len(space.splits)):
        yield f"[splits] {_text(most, 'choice')}", replace(space, splits=space.splits[:most])


def _cardinality(space: Space) -> Iterator[tuple[str, Space]]:
    for most in _fewer(len(space.cardinality)):
        yield f"[cardinality] {_text(most, 'choice')}", replace(space, cardinality=space.cardinality[:most])


def _resampling(space: Space) -> Iterator[tuple[str, Space]]:
    for most in _fewer(len(space.resampling)):
        yield f"[resampling] {_text(most, 'choice')}", replace(space, resampling=space.resampling[:most])


def _depths(space: Space) -> Iterator[tuple[str, Space]]:
    number = max(map(len, space.depths))
    for most in sorted({number // 4, number // 2, 3 * number // 4} - {0, number}):
        narrow = tuple(tuple(sorted(depths)[:most]) for depths in space.depths)
        yield f"[depths] the {most} smallest of each stage", replace(space, depths=narrow)
