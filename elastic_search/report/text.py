"""Sizes, times, shares, depths and splits as reports write them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape
    from elastic_search.arch.spec import Spec


def yes(value: bool) -> str:
    """``yes``, or a loud ``NO``, for something that should hold."""
    return "yes" if value else "NO"


def dashed(numbers: Iterable[int]) -> str:
    """Blocks or widths by stage: ``3-4-6-3``."""
    return "-".join(map(str, numbers))


def flat(value: Any) -> Any:
    """A value as CSV holds it: ``true``; numbers joined by dashes; resolutions by plus signs; ``key=value`` pairs."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return " ".join(f"{key}={flat(part)}" for key, part in value.items())
    if not isinstance(value, (list, tuple)):
        return value
    if value and isinstance(value[0], (list, tuple)):
        return "+".join("x".join(map(str, part)) for part in value)
    return (" " if value and isinstance(value[0], str) else "-").join(map(str, value))


def decimal(value: int, unit: int, places: int) -> str:
    """A whole number in a larger unit, rounded half up; exact, since a float cannot hold the largest counts."""
    scaled = (abs(value) * 10**places + unit // 2) // unit
    return f"{'-' if value < 0 else ''}{scaled // 10**places}.{scaled % 10**places:0{places}}"


def size(shape: Shape) -> str:
    """Height and width of an image or a map: ``224x224``."""
    return f"{shape.height}x{shape.width}"


def resolutions_text(resolutions: Iterable[tuple[int, int]]) -> str:
    """Resolutions: ``56+28``, or ``57x49 +29x25`` (which can be wrapped) if not square."""
    found = list(resolutions)
    if all(height == width for height, width in found):
        return "+".join(str(height) for height, _ in found)
    return " +".join(f"{height}x{width}" for height, width in found)


def share_text(part: int, whole: int) -> str:
    """A share in percent with four significant digits, however small."""
    return f"{float(100 * Fraction(part, whole)):.4g}%" if whole else "-"


def clock(seconds: float | None, after: str = "") -> str:
    """Seconds as H:MM:SS."""
    if seconds is None:
        return "no limit"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}{after}"


def split_text(spec: Spec) -> str:
    """Splits per stage in short form, without stages that cannot be split: ``1/2,1/2 | 1 | 3/4,1/4``."""
    texts = []
    for i, stage in enumerate(spec.stages[:-1]):
        splits = dict.fromkeys(split.short for j, split in enumerate(stage.splits) if spec.may_scale(i, j))
        texts.append(" ".join(splits) or "-")
    return texts[0] if len(set(texts)) == 1 else " | ".join(texts)


def edits_text(spec: Spec, base: Spec) -> str:
    """Changes to ``base`` other than depths: splits by stage, their types, widths, cardinality."""
    types = {f"{s.down}+{s.up}" for stage in spec.stages for s in stage.splits if s.scales_down}
    parts = [split_text(spec), *sorted(types if types != {"avgpool+bilinear"} else ())]
    widths = [[stage.width for stage in of.stages] for of in (spec, base)]
    if widths[0] != widths[1]:
        parts.append(f"widths {dashed(widths[0])}")
    paths = getattr(spec, "cardinality", None)
    if paths != getattr(base, "cardinality", None):
        parts.append(f"cardinality {paths}")
    return "; ".join(parts)
