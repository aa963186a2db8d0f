"""The families of networks: one file each, which is all that a family touches.

``families/NAME.py`` is the family NAME of spec files. It holds ``FAMILY``, its spec: the graphs of stem, stages and
classifier, the bounds of its fields, the kind of its blocks, the initialisation rule and the names of released weights;
and ``PUBLISHED``, the networks that ``zoo.published`` knows by name. ``tests/toy/toy.py`` is a short example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from os import listdir
from typing import TYPE_CHECKING

from elastic_search.arch.frozen import Frozen
from elastic_search.arch.heads import Classifier, Head

if TYPE_CHECKING:
    from types import ModuleType

    from elastic_search.arch.spec import Spec

COCO = Classifier(80)
"""A score for each class of MS COCO, of the networks of Table 3."""


class Published(Frozen):
    """A network that is known by name.

    Attributes:
        make: makes the spec.
        tables: numbers of the paper's tables that report it.
        elastic: name of its published Elastic variant, if there is one.
        note: what a reader should know about the source of the description.
        head: its head, if it is not the one that ``make`` gives.
    """

    make: Callable[[], Spec]
    tables: tuple[int, ...] = ()
    elastic: str | None = None
    note: str = ""
    head: Head | None = None

    @property
    def spec(self) -> Spec:
        """The network, with its head."""
        return self.make() if self.head is None else replace(self.make(), head=self.head)


def multi_label(networks: dict[str, Published], **tables: tuple[int, ...]) -> dict[str, Published]:
    """Networks with a score for each of the 80 classes of MS COCO: NAME_coco for each NAME that has ``tables``."""
    return {
        f"{name}_coco": Published(
            networks[name].make, reported, networks[name].elastic and f"{networks[name].elastic}_coco", head=COCO
        )
        for name, reported in tables.items()
    }


def names() -> list[str]:
    """Names of the families: the files of this folder, and of every other folder in ``__path__``."""
    return sorted(
        file[:-3] for folder in __path__ for file in listdir(folder) if file.endswith(".py") and file[0] != "_"
    )


def module(name: str) -> ModuleType:
    """The file of a family."""
    return import_module(f"{__name__}.{name}")
