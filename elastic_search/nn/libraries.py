"""Other people's libraries that hold networks or count them, imported when asked for."""

from __future__ import annotations

import contextlib
import warnings
from importlib import import_module
from typing import Any

import torch

from elastic_search.errors import EnvironmentFault, UnknownNameError, missing_extra

OPERATORS = {
    f"torchvision::{name}": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" for name in ("nms", "qnms")
}
"""What torchvision's import asks of its compiled part, which fails beside a torch that it was not built for."""


def imported(module: str, extra: str) -> Any:
    """A module of a library, which may import torchvision.

    A torchvision built for another torch is imported without its compiled operators, which no network needs.

    Raises:
        EnvironmentFault: if it is not installed, or cannot be imported.
    """
    library = module.partition(".")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            try:
                return import_module(module)
            except RuntimeError as error:
                if "torchvision::" not in str(error):
                    raise
                declare_operators()
                return import_module(module)
        except ModuleNotFoundError:
            raise missing_extra(library, extra) from None
        except (ImportError, RuntimeError, OSError) as error:
            raise EnvironmentFault(f"{library} cannot be imported: {error}") from None


def declare_operators() -> None:
    """Declare torchvision's compiled operators, if nobody has."""
    for name, schema in OPERATORS.items():
        with contextlib.suppress(RuntimeError):
            torch.library.define(name, schema)


FACTORIES = ("timm", "torchvision")
"""Libraries whose networks have names on the command line: ``timm:resnet50``."""


def public_model(library: str, name: str) -> torch.nn.Module:
    """A network of timm or torchvision by name, without weights; nothing is downloaded.

    Raises:
        EnvironmentFault: if the library is not installed, or cannot be imported.
        UnknownNameError: if it has no network of that name.
    """
    models = imported("timm" if library == "timm" else "torchvision.models", "models")
    known = models.list_models()
    if name not in known:
        raise UnknownNameError(f"network of {library}", name, sorted(known))
    if library == "timm":
        made: torch.nn.Module = models.create_model(name, pretrained=False)
        return made
    more: dict[str, Any] = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if any(name in models.list_models(module=part) for part in (models.segmentation, models.detection)):
        more = {"weights_backbone": None}
    made = models.get_model(name, weights=None, **more)
    return made
