"""elastic-search: what a convolutional network costs, and which network of that cost is better.

The public names below are resolved on first use; importing the package loads nothing heavy.
"""

__version__ = "0.1.0"

_HOME = {
    "Shape": "elastic_search.arch.ops",
    "Split": "elastic_search.arch.split",
    "parse_split": "elastic_search.arch.split",
    "elastic": "elastic_search.arch.edit",
    "ResNeXt": "elastic_search.arch.resnext",
    "Stage": "elastic_search.arch.resnext",
    "published": "elastic_search.arch.zoo",
    "load_spec": "elastic_search.files",
    "tally": "elastic_search.cost.tally",
    "MACS": "elastic_search.cost.conventions",
    "FVCORE": "elastic_search.cost.conventions",
    "TORCH": "elastic_search.cost.conventions",
    "Net": "elastic_search.nn.net",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'elastic_search' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*_HOME, "__version__"])
