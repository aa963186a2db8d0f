"""The families of networks: one file each, which is all that a family touches.

``families/NAME.py`` is the family NAME of spec files. It holds ``FAMILY``, its spec: the graphs of stem, stages and
classifier, the bounds of its fields, the kind of its blocks, the initialisation rule and the names of released weights;
and ``PUBLISHED``, the networks that ``zoo.published`` knows by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from os import listdir
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from elastic_search.arch.heads import Head
    from elastic_search.arch.spec import Spec


@dataclass(frozen=True)
class Published:
    """A network that is known by name.

    Attributes:
        make: makes the spec.
        tables: of the paper, that report it.
        elastic: name of its published Elastic variant, if there is one.
        note: what a reader should know of where the description comes from.
        head: what it ends in, if that is not the spec's own.
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


def modules() -> dict[str, ModuleType]:
    """The files of this folder (of every folder in ``__path__``) by family, in the order in which people list them."""
    files = (file for folder in __path__ for file in listdir(folder) if file.endswith(".py") and file[0] != "_")
    found = {file[:-3]: import_module(f"{__name__}.{file[:-3]}") for file in sorted(files)}
    return dict(sorted(found.items(), key=lambda item: item[1].FAMILY.RANK))
