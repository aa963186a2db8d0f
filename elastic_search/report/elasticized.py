"""What ``elasticize`` did to a user's module, and what it left and why."""

from __future__ import annotations

from typing import Any


def left_notes(change: Any) -> list[str]:
    """How many convolutions were replaced, and the others by the reason to leave them.

    Args:
        change: what ``elasticize`` returned; its type is torch's side of the law.
    """
    size = f"{change.input.height}x{change.input.width}"
    lines = [f"{len(change.replaced)} convolutions made Elastic at {size}, {len(change.left)} left"]
    reasons: dict[str, list[str]] = {}
    for left in change.left:
        reasons.setdefault(f"{left.reason} ({left.why})", []).append(left.path)
    return [*lines, *(f"left, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())]


def elasticized_json(change: Any) -> dict[str, Any]:
    """The machine form, under a key of its own; nothing if ``change`` is None."""
    if change is None:
        return {}
    replaced = [{"path": c.path, "before": c.before, "after": c.after} for c in change.replaced]
    left = [{"path": entry.path, "reason": entry.reason, "detail": entry.detail} for entry in change.left]
    found = {"split": str(change.split), "convention": change.convention, "unit": change.unit}
    return {"elasticized": {**found, "replaced": replaced, "left": left}}
