"""Operations in execution order as a Graph that nests as the modules around them do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Shape

IMAGE = -1
"""The source of a value that is the image itself."""


@dataclass
class Item:
    """A node to be: ``stack`` names the module calls around it, outermost first."""

    stack: tuple[str, ...]
    name: str
    op: Op
    sources: tuple[int, ...]
    output: Shape
    weights: tuple[str, ...] = ()
    weights_of: int | None = None
    spelling: str = "module"


def levels(stack: tuple[str, ...]) -> tuple[str, ...]:
    """Paths of module calls with those of the containers between them: ("blocks.3",) is blocks, then blocks.3."""
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
    """A nested graph to be: children are items or groups."""

    name: str
    kind: str
    children: list[_Group | int]
    leaves: tuple[int, ...]

    def items(self) -> Iterator[int]:
        for child in self.children:
            if isinstance(child, _Group):
                yield from child.items()
            else:
                yield child


def live(items: list[Item], outputs: tuple[int, ...]) -> set[int]:
    """The items whose value can reach an output."""
    found = set(outputs)
    for i in reversed(range(len(items))):
        if i in found:
            found.update(items[i].sources)
    return found


class Nesting:
    """Groups items by the module calls around them.

    A call whose values are read partly in vain is spread over its parent: of a nested graph, all outputs are live or
    none is.
    """

    def __init__(self, items: list[Item], outputs: tuple[int, ...], module: nn.Module) -> None:
        self.items, self.outputs, self.module = items, outputs, module
        self.readers: dict[int, list[int]] = {}
        for i, item in enumerate(items):
            for source in item.sources:
                self.readers.setdefault(source, []).append(i)
        self.live = live(items, outputs)
        self.names: dict[int, str] = {}
        self.paths: dict[int, str] = {}

    def graph(self) -> Graph:
        children = self._children(list(range(len(self.items))), 0, "")
        root = _Group("", type(self.module).__name__.lower(), children, self.outputs)
        self._name(root, "")
        return self._freeze(root)[0]

    def _children(self, indices: list[int], depth: int, spread: str) -> list[_Group | int]:
        found: list[_Group | int] = []
        at = 0
        while at < len(indices):
            i = indices[at]
            stack = self.items[i].stack
            if len(stack) <= depth:
                self.names[i] = spread + self.items[i].name
                found.append(i)
                at += 1
                continue
            end = at
            while end < len(indices) and self.items[indices[end]].stack[depth : depth + 1] == (stack[depth],):
                end += 1
            inside, at = indices[at:end], end
            name = _last(stack[depth])
            leaves = self._leaving(inside)
            if len({leaf in self.live for leaf in leaves}) > 1:
                found += self._children(inside, depth + 1, f"{spread}{name}_")
                continue
            group = self._children(inside, depth + 1, "")
            found.append(_Group(spread + name, self._kind(stack[depth]), group, leaves or (inside[-1],)))
        return found

    def _leaving(self, inside: list[int]) -> tuple[int, ...]:
        members = set(inside)
        return tuple(
            i for i in inside if i in self.outputs or any(reader not in members for reader in self.readers.get(i, ()))
        )

    def _kind(self, key: str) -> str:
        try:
            return type(self.module.get_submodule(key.partition("@")[0])).__name__.lower()
        except AttributeError:
            return "unused"

    def _name(self, group: _Group, prefix: str) -> None:
        """Names that are unique in their group, and the path of every item."""
        taken: dict[str, int] = {}
        for child in group.children:
            name = child.name if isinstance(child, _Group) else self.names[child]
            count = taken[name] = taken.get(name, 0) + 1
            while count > 1 and f"{name}_{count}" in taken:
                count += 1
            if count > 1:
                taken[name], name = count, f"{name}_{count}"
                taken[name] = 1
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
                number = len(outside) + 1
                name = "x" if number == 1 else f"x{number}"
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
                nodes.append(Node(self.names[child], item.op, inputs, of, item.spelling))
                local[child] = self.names[child]
        outputs = tuple(local[leaf] for leaf in group.leaves)
        return Graph(group.kind, tuple(outside.values()), tuple(nodes), outputs), tuple(outside)


def _last(key: str) -> str:
    return key.partition("@")[0].rpartition(".")[2]
