"""elastic-search: what a convolutional network costs, and which network of that cost is better.

The public names below are resolved on first use; importing the package loads nothing heavy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elastic_search.arch.edit import elastic as elastic
    from elastic_search.arch.families.densenet import DenseNet as DenseNet
    from elastic_search.arch.families.dla import DLA as DLA
    from elastic_search.arch.families.resnext import ResNeXt as ResNeXt
    from elastic_search.arch.ops import Shape as Shape
    from elastic_search.arch.spec import Stage as Stage
    from elastic_search.arch.split import Split as Split
    from elastic_search.arch.split import parse_split as parse_split
    from elastic_search.arch.zoo import published as published
    from elastic_search.cost.tally import tally as tally
    from elastic_search.cost.tools import FVCORE as FVCORE
    from elastic_search.cost.tools import MACS as MACS
    from elastic_search.cost.tools import TORCH as TORCH
    from elastic_search.files import dump_spec as dump_spec
    from elastic_search.files import load_space as load_space
    from elastic_search.files import load_spec as load_spec
    from elastic_search.nn.elastic.elasticize import elasticize as elasticize
    from elastic_search.nn.net import Net as Net
    from elastic_search.nn.trace.rules import register_rule as register_rule
    from elastic_search.nn.trace.tracing import trace as trace
    from elastic_search.nn.weights.checkpoint import load_published as load_published
    from elastic_search.nn.weights.checkpoint import load_weights as load_weights
    from elastic_search.space.band import Band as Band
    from elastic_search.space.choice import Space as Space
    from elastic_search.space.depths import match as match
    from elastic_search.space.match import Matcher as Matcher

__version__ = "0.1.0"

_HOME = {
    "Shape": "elastic_search.arch.ops",
    "Split": "elastic_search.arch.split",
    "parse_split": "elastic_search.arch.split",
    "elastic": "elastic_search.arch.edit",
    "DLA": "elastic_search.arch.families.dla",
    "DenseNet": "elastic_search.arch.families.densenet",
    "ResNeXt": "elastic_search.arch.families.resnext",
    "Stage": "elastic_search.arch.spec",
    "published": "elastic_search.arch.zoo",
    "load_spec": "elastic_search.files",
    "dump_spec": "elastic_search.files",
    "load_space": "elastic_search.files",
    "Band": "elastic_search.space.band",
    "Space": "elastic_search.space.choice",
    "Matcher": "elastic_search.space.match",
    "match": "elastic_search.space.depths",
    "tally": "elastic_search.cost.tally",
    "MACS": "elastic_search.cost.tools",
    "FVCORE": "elastic_search.cost.tools",
    "TORCH": "elastic_search.cost.tools",
    "Net": "elastic_search.nn.net",
    "register_rule": "elastic_search.nn.trace.rules",
    "trace": "elastic_search.nn.trace.tracing",
    "elasticize": "elastic_search.nn.elastic.elasticize",
    "load_published": "elastic_search.nn.weights.checkpoint",
    "load_weights": "elastic_search.nn.weights.checkpoint",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'elastic_search' has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from elastic_search.errors import missing_extra

        raise missing_extra("torch", "search") from None


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
