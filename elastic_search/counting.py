"""One call that counts whatever is a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from elastic_search.arch.spec import Spec
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import Tally, tally
from elastic_search.cost.tools import MACS

if TYPE_CHECKING:
    from torch import Tensor, nn


def count(
    model: nn.Module | Spec | str,
    input: tuple[int, ...] | Tensor | Sequence[tuple[int, ...] | Tensor] = (3, 224, 224),
    convention: Convention | str = MACS,
    **keywords: tuple[int, ...] | Tensor,
) -> Tally:
    """Count a network for one image: ``count("resnext50").total``, ``count(my_module, (3, 96, 96), "fvcore")``.

    Args:
        model: a torch module, which is read at this input as ``trace`` reads it; a spec; or the name of a published
            network.
        input: (channels, height, width). For a module also a tensor that it is given as it is, or several of both, for
            its several inputs.
        convention: the rules, or their name; ``Tally.total`` is in ``convention.unit``.
        keywords: inputs that a module takes by name, written as ``input`` is.

    Raises:
        UnknownNameError: if there is no network, or no convention, of that name.
        ShapeError: if a node cannot take its input; names the node's path.
        ElasticError: if the module cannot be read.
    """
    if isinstance(model, str):
        from elastic_search.arch.zoo import published

        model = published(model)
    if isinstance(model, Spec):
        return tally(model.graph(), cast("tuple[int, int, int]", input), convention)
    from elastic_search.nn.trace.tracing import read

    reading = read(model, input, **keywords)
    return tally(reading.graph, reading.input, convention)
