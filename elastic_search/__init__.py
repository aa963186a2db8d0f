"""elastic-search: what a convolutional network costs, and which network of that cost is better.

The public names are resolved on first use; importing the package loads nothing heavy. In the order in which they are
met: ``count``, ``tally``, ``MACS``, ``FVCORE``, ``TORCH``: what a network costs. ``published``, ``load_spec``,
``dump_spec``, ``ResNeXt``, ``ResNet``, ``DLA``, ``DenseNet``: networks as specs; ``elastic``, ``parse_split``,
``Split``, ``Branch``, ``Stage``: their edits; ``Classifier``, ``WindowClassifier``, ``network``: what they end in.
``build``, ``Net``: torch modules of them; ``save_weights``, ``load_weights``, ``load_published``: their weights.
``trace``, ``register_rule``, ``elasticize``: your own modules. ``load_space``, ``SearchSpace``, ``Space``, ``match``,
``search``, ``Silent``: which networks of a cost there are, and which is better. ``ElasticError``: every error that a
user can cause.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elastic_search.arch.edit import elastic as elastic
    from elastic_search.arch.families.densenet import DenseNet as DenseNet
    from elastic_search.arch.families.dla import DLA as DLA
    from elastic_search.arch.families.resnet import ResNet as ResNet
    from elastic_search.arch.families.resnext import ResNeXt as ResNeXt
    from elastic_search.arch.heads import Classifier as Classifier
    from elastic_search.arch.heads import WindowClassifier as WindowClassifier
    from elastic_search.arch.heads import network as network
    from elastic_search.arch.ops import Shape as Shape
    from elastic_search.arch.spec import Stage as Stage
    from elastic_search.arch.split import Branch as Branch
    from elastic_search.arch.split import Split as Split
    from elastic_search.arch.split import parse_split as parse_split
    from elastic_search.arch.zoo import published as published
    from elastic_search.cost.tally import tally as tally
    from elastic_search.cost.tools import FVCORE as FVCORE
    from elastic_search.cost.tools import MACS as MACS
    from elastic_search.cost.tools import TORCH as TORCH
    from elastic_search.counting import count as count
    from elastic_search.errors import ElasticError as ElasticError
    from elastic_search.files.space import SearchSpace as SearchSpace
    from elastic_search.files.space import load_space as load_space
    from elastic_search.files.spec import dump_spec as dump_spec
    from elastic_search.files.spec import load_spec as load_spec
    from elastic_search.nn.elastic.elasticize import elasticize as elasticize
    from elastic_search.nn.init import build as build
    from elastic_search.nn.net import Net as Net
    from elastic_search.nn.trace.rules import register_rule as register_rule
    from elastic_search.nn.trace.tracing import trace as trace
    from elastic_search.nn.weights.checkpoint import load_published as load_published
    from elastic_search.nn.weights.checkpoint import load_weights as load_weights
    from elastic_search.nn.weights.checkpoint import save_weights as save_weights
    from elastic_search.search.run import Silent as Silent
    from elastic_search.search.run import search as search
    from elastic_search.space.band import Band as Band
    from elastic_search.space.choice import Space as Space
    from elastic_search.space.depths import match as match
    from elastic_search.space.match import Matcher as Matcher

__version__ = "0.1.0"

_HOME = {
    "arch.edit": ("elastic",),
    "arch.families.densenet": ("DenseNet",),
    "arch.families.dla": ("DLA",),
    "arch.families.resnet": ("ResNet",),
    "arch.families.resnext": ("ResNeXt",),
    "arch.heads": (
        "Classifier",
        "WindowClassifier",
        "network",
    ),
    "arch.ops": ("Shape",),
    "arch.spec": ("Stage",),
    "arch.split": (
        "Split",
        "parse_split",
    ),
    "arch.zoo": ("published",),
    "cost.tally": ("tally",),
    "cost.tools": (
        "FVCORE",
        "MACS",
        "TORCH",
    ),
    "counting": ("count",),
    "errors": ("ElasticError",),
    "files.space": ("SearchSpace", "load_space"),
    "files.spec": (
        "dump_spec",
        "load_spec",
    ),
    "nn.elastic.elasticize": ("elasticize",),
    "nn.init": ("build",),
    "nn.net": ("Net",),
    "nn.trace.rules": ("register_rule",),
    "nn.trace.tracing": ("trace",),
    "nn.weights.checkpoint": (
        "load_published",
        "load_weights",
        "save_weights",
    ),
    "search": ("search",),
    "search.run": ("Silent",),
    "space.band": ("Band",),
    "space.choice": ("Space",),
    "space.depths": ("match",),
    "space.match": ("Matcher",),
}
"""Modules and the public names that they hold."""

_MODULES = {name: f"elastic_search.{module}" for module, names in _HOME.items() for name in names}
__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'elastic_search' has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_MODULES[name]), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "optuna"):
            raise
        from elastic_search.errors import missing_extra

        raise missing_extra(error.name, "search") from None


def __dir__() -> list[str]:
    return sorted([*_MODULES, "__version__"])
