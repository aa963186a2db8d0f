"""Costs of operations that the user registers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from elastic_search.arch.ops import Shape
from elastic_search.nn.trace.call import dotted

RuleOf = Callable[[tuple[Shape, ...], Shape], int]
RULES: dict[str, RuleOf] = {}
"""By dotted name."""
RULED: dict[str, Callable[..., Any]] = {}
"""The functions among them."""


def register_rule(target: str | type[nn.Module] | Callable[..., Any]) -> Callable[[RuleOf], RuleOf]:
    """Register what an operation costs; the decorated rule returns its multiply-adds for one image.

        @register_rule("mypackage.DeformConv")
        def deform_conv(inputs: tuple[Shape, ...], output: Shape) -> int:
            return output.numel * inputs[0].channels * 9

    Every convention counts the number as it is, except torch's, which doubles it. A module of the class is then read as
    one operation with its parameters, whatever it contains.

    Args:
        target: a module class, a function, or the dotted name under which ``opaque_nodes`` lists it.
    """

    def keep(rule: RuleOf) -> RuleOf:
        name = target if isinstance(target, str) else dotted(target)
        RULES[name] = rule
        if inspect.isfunction(target):
            RULED[name] = target
        return rule

    return keep
