"""Operations in execution order, turned into a Graph nested like the modules around them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count, groupby

from torch import nn

from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Shape

IMAGE = -1
"""The source of a value that is the image itself."""


@dataclass
class Item:
    """A future node; ``stack`` names the module calls around it, outermost first."""

    stack: tuple[str, ...]
    name: str
    op: Op
    sources: tuple[int, ...]
    output: Shape
    weights: tuple[str, ...] = ()
    weights_of: int | None = None
    spelling: str = "module"
    recorded: tuple[tuple[str, int], ...] = ()


def levels(stack: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of module calls and of the containers between them: ("blocks.3",) gives blocks, then blocks.3."""
    levels: dict[str, None] = {}
    for key in stack:
        path, at, call = key.partition("@")
        parts = path.split(".")
        # A later call of a module is a call of its own; the containers around it are not called.
        for depth in range(1, len(parts)):
            prefix = ".".join(parts[:depth])
            if not any(level.partition("@")[0] == prefix for level in levels):
                levels[prefix] = None
        levels[path + at + call] = None
    return tuple(levels)


@dataclass
class _Group:
    """A future nested graph; children are items or groups."""

    name: str
    kind: str
    children: list[_Group | int]
    leaves: tuple[int, ...]


def live(items: list[Item], outputs: tuple[int, ...]) -> set[int]:
    """The items whose value can reach an output."""
    found = set(outputs)
    for i in reversed(range(len(items))):
        if i in found:
            found.update(items[i].sources)
    return found


class Nesting:
    """Groups items by the module calls around them.

    A nested graph's outputs are all live or all dead, so a call of which only some values are read is spread over its
    parent.
    """

    def __init__(self, items: list[Item], outputs: tuple[int, ...], module: nn.Module) -> None:
        self.items, self.outputs = items, outputs
        modules = module.named_modules(remove_duplicate=False)
        self.kinds = {path: type(part).__name__.lower() for path, part in modules}
        self.readers: dict[int, list[int]] = {}
        for i, item in enumerate(items):
            for source in item.sources:
                self.readers.setdefault(source, []).append(i)
        self.live = live(items, outputs)
        self.names: dict[int, str] = {}
        self.paths: dict[int, str] = {}

    def graph(self) -> Graph:
        children = self._children(list(range(len(self.items))), 0, "")
        root = _Group("", self.kinds[""], children, self.outputs)
        self._name(root, "")
        return self._freeze(root)[0]

    def _children(self, indices: list[int], depth: int, spread: str) -> list[_Group | int]:
        found: list[_Group | int] = []
        for calls, members in groupby(indices, lambda i: self.items[i].stack[depth : depth + 1]):
            inside = list(members)
            if not calls:
                self.names |= {i: spread + self.items[i].name for i in inside}
                found += inside
                continue
            path = calls[0].partition("@")[0]
            name = path.rpartition(".")[2]
            leaves = self._leaving(inside)
            if len({leaf in self.live for leaf in leaves}) > 1:
                found += self._children(inside, depth + 1, f"{spread}{name}_")
                continue
            group = self._children(inside, depth + 1, "")
            found.append(_Group(spread + name, self.kinds.get(path, "unused"), group, leaves or (inside[-1],)))
        return found

    def _leaving(self, inside: list[int]) -> tuple[int, ...]:
        members = set(inside)
        return tuple(
            i for i in inside if i in self.outputs or any(reader not in members for reader in self.readers.get(i, ()))
        )

    def _name(self, group: _Group, prefix: str) -> None:
        """Names that are unique in their group, and the path of every item."""
        taken = set[str]()
        numbers: defaultdict[str, count[int]] = defaultdict(lambda: count(2))
        for child in group.children:
            name = own = child.name if isinstance(child, _Group) else self.names[child]
            while name in taken:
                name = f"{own}_{next(numbers[own])}"
            taken.add(name)
            if isinstance(child, _Group):
                child.name = name
                self._name(child, f"{prefix}{name}.")
            else:
                self.names[child], self.paths[child] = name, f"{prefix}{name}"

    def _freeze(self, group: _Group) -> tuple[Graph, tuple[int, ...]]:
        """The graph of a group, and the sources from outside that it reads."""
        names = {child.name if isinstance(child, _Group) else self.names[child] for child in group.children}
        local: dict[int, str] = {}
        outside: dict[int, str] = {}

        def named(source: int) -> str:
            if source not in local:
                name = f"x{len(outside) + 1}" if outside else "x"
                while name in names:
                    name = f"{name}_"
                local[source] = outside[source] = name
            return local[source]

        if not group.name:
            named(IMAGE)
        nodes = []
        for child in group.children:
            if isinstance(child, _Group):
                graph, sources = self._freeze(child)
                nodes.append(Node(child.name, graph, tuple(named(source) for source in sources)))
                local.update(zip(child.leaves, nodes[-1].results, strict=True))
            else:
                item = self.items[child]
                inputs = tuple(named(source) for source in item.sources)
                of = None if item.weights_of is None else self.paths[item.weights_of]
                nodes.append(Node(self.names[child], item.op, inputs, of, item.spelling, item.recorded))
                local[child] = self.names[child]
        outputs = tuple(local[leaf] for leaf in group.leaves)
        return Graph(group.kind, tuple(outside.values()), tuple(nodes), outputs), tuple(outside)
