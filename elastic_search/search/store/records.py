"""A training's record, judged when it is read.

What is read here may have been damaged, or written by somebody else: it is data, whatever it says.
"""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_accuracy(value: Any) -> bool:
    """Whether a value can be an accuracy: a number, and none that swallows the epochs that ranks add to it."""
    return is_number(value) and abs(value) <= 1000


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def fault_of_result(found: dict[str, Any], number: int | None) -> str | None:
    """What is wrong with a training's record, of trial ``number`` or of the base network; None if nothing is."""
    missing = [key for key in ("number", "values", "id", "cost", "params", "accuracy") if key not in found]
    if missing:
        return f"{missing[0]} is missing"
    values, by_size = found["values"], found.get("accuracy_by_size")
    legal = {
        "number": found["number"] == number and type(found["number"]) in (int, type(None)),
        "values": values is None if number is None else isinstance(values, dict)
        and all(isinstance(value, int | str) for value in values.values()),
        "id": isinstance(found["id"], str),
        "cost": _is_count(found["cost"]),
        "params": _is_count(found["params"]),
        "seed": _is_count(found.get("seed", 0)),
    }  # fmt: skip
    if found["accuracy"] is None:
        legal["reason"] = isinstance(found.get("reason"), str)
    else:
        curve = found.get("curve")
        legal |= {
            "accuracy": is_accuracy(found["accuracy"]),
            "curve": isinstance(curve, list) and all(map(is_accuracy, curve)),
            "seconds": is_number(found.get("seconds")) and found["seconds"] >= 0,
            "accuracy_by_size": isinstance(by_size, dict) and all(map(is_accuracy, by_size.values())),
            "stopped": isinstance(found.get("stopped", False), bool),
        }
    wrong = [key for key, right in legal.items() if not right]
    return f"its {wrong[0]} is not one" if wrong else None
