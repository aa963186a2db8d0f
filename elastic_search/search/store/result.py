"""A training's result as a frozen record: the same on disk, in the table and in the report.

Records may have been damaged, or written by somebody else: they are treated as data that proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from elastic_search.errors import EnvironmentFault

_NETWORK = ("number", "values", "id", "seed", "cost", "params")
_TRAINED = ("accuracy", "accuracy_by_size", "seconds", "proxy_macs", "proxy_params", "curve", "epochs", "stopped")
_TESTED = "test_accuracy"
_BY_CLASS, _ERROR = "accuracy_by_class", "standard_error"

SCALED = -1
"""Stands for the number of a trial: the base network, scaled to a band that its own cost is not in."""

OF_BASE: dict[int | None, str] = {None: "base", SCALED: "scaled"}
"""What is trained besides the trials, by what stands for a number: names of their files."""


@dataclass(frozen=True)
class Result:
    """The result of training a network's proxy. Without accuracy and reason, the training has not ended yet.

    Attributes:
        number: of the trial; None for the base network, SCALED for the base scaled to the band.
        values: of the space's choices; None for the base network, depths by stage for the scaled one.
        id: of the network.
        cost: of the network, under the band's convention.
        params: of the network.
        seed: of the training; None if the record does not say.
        accuracy: of the proxy after its last epoch, on the split that ranks, or the metric that ranks in its place;
            None if it could not be trained.
        accuracy_by_size: share of right answers for small, medium and large objects.
        seconds: training and testing, over all starts of the trial.
        proxy_macs: multiply-adds of the proxy on its own input.
        proxy_params: its parameters.
        curve: accuracy after each epoch.
        stopped: whether it was stopped at a rung before the last.
        reason: why it could not be trained.
        traceback: of an unforeseen error.
        test_accuracy: on the test split after the recipe's last epoch, if another split ranks; None otherwise.
        accuracy_by_class: of the images that rank, in the data set's order; None for a class without one; empty if the
            record does not say.
        standard_error: of ``accuracy``, where it is another metric than a share of right answers.
        accuracies: in a ranking, one for each seed if there were several; ``accuracy`` is then their mean.
    """

    number: int | None
    values: dict[str, Any] | None
    id: str
    cost: int
    params: int
    seed: int | None = None
    accuracy: float | None = None
    accuracy_by_size: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    proxy_macs: int | None = None
    proxy_params: int | None = None
    curve: tuple[float, ...] = ()
    stopped: bool = False
    reason: str = ""
    traceback: str = ""
    test_accuracy: float | None = None
    accuracy_by_class: tuple[float | None, ...] = ()
    standard_error: float | None = None
    accuracies: tuple[float, ...] = ()

    @property
    def epochs(self) -> int:
        return len(self.curve)

    @property
    def seeds(self) -> int:
        return len(self.accuracies) or 1

    @property
    def is_whole(self) -> bool:
        """Whether the network was trained to the last epoch."""
        return self.accuracy is not None and not self.stopped

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of an epoch; None if it could not be trained."""
        return None if self.accuracy is None else self.seconds / max(1, self.epochs)

    def to_dict(self) -> dict[str, Any]:
        """The content of its file."""
        keys = [key for key in _NETWORK if key != "seed" or self.seed is not None]
        keys += _TRAINED if self.accuracy is not None else ("accuracy", "reason")
        keys += [_TESTED] if self.test_accuracy is not None else []
        keys += [_BY_CLASS] if self.accuracy_by_class else []
        keys += [_ERROR] if self.standard_error is not None else []
        keys += ["traceback"] if self.traceback else []
        return {key: getattr(self, key) for key in keys}

    @classmethod
    def of(cls, found: dict[str, Any]) -> Result:
        """The inverse of ``to_dict``."""
        trained = found.get("accuracy") is not None
        keys = (*_NETWORK, *((*_TRAINED, _TESTED, _BY_CLASS, _ERROR) if trained else ("reason", "traceback")))
        known = {key: found[key] for key in keys if key in found and key != "epochs"}
        lists = {key: tuple(found[key]) for key in ("curve", _BY_CLASS) if key in known}
        return cls(**known | lists)

    @classmethod
    def read(cls, found: dict[str, Any], number: int | None, where: str, hint: str) -> Result:
        """The record of trial ``number``, or of the base network.

        Raises:
            EnvironmentFault: if it is not a valid record; names ``where`` it was.
        """
        if fault := _fault(found, number):
            raise EnvironmentFault(f"{where}: damaged ({fault})", hint)
        return cls.of(found)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def is_accuracy(value: Any) -> bool:
    """Whether a value can be an accuracy: a number small enough that adding an epoch to it changes it."""
    return is_number(value) and abs(value) <= 1000


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _fault(found: dict[str, Any], number: int | None) -> str | None:
    """What is wrong with the record of a trial, or of the base network; None if it is valid."""
    for key in (*_NETWORK, "accuracy"):
        if key not in found and key != "seed":
            return f"{key} is missing"
    values, curve, by_size = found["values"], found.get("curve"), found.get("accuracy_by_size")
    by_class = found.get(_BY_CLASS, [])
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
        legal["traceback"] = isinstance(found.get("traceback", ""), str)
    else:
        legal |= {
            "accuracy": is_accuracy(found["accuracy"]),
            "curve": isinstance(curve, list) and all(map(is_accuracy, curve)),
            "seconds": is_number(found.get("seconds")) and found["seconds"] >= 0,
            "accuracy_by_size": isinstance(by_size, dict) and all(map(is_accuracy, by_size.values())),
            "stopped": isinstance(found.get("stopped", False), bool),
            _TESTED: is_accuracy(found.get(_TESTED, 0.0)),
            _BY_CLASS: isinstance(by_class, list) and all(each is None or is_accuracy(each) for each in by_class),
            _ERROR: is_accuracy(found.get(_ERROR, 0.0)),
        }
    return next((f"its {key} is not valid" for key, right in legal.items() if not right), None)
