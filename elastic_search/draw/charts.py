"""A network as text for graphviz (dot) and for Mermaid, from the same vertices, clusters and edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from elastic_search.draw.pieces import LINE, PAPER
from elastic_search.draw.sketch import IN, Detail, Panel, Resolution, Sketch, colours, printable, size_text, text_colour


class _Vertex(NamedTuple):
    """A drawn vertex; ``group`` is the path of the clusters around it."""

    name: str
    label: str
    form: str
    resolution: Resolution
    group: tuple[str, ...]


class _Chart:
    """Vertices, clusters and edges of a sketch at one level."""

    def __init__(self, sketch: Sketch, by: str) -> None:
        self.vertices: list[_Vertex] = []
        self.groups: dict[str, str] = {}
        self.edges: dict[tuple[str, str], None] = {}
        ends: dict[int, list[str]] = {IN: self._add(_Vertex("image", "image", "image", sketch.input[1:], ()))}
        for i, panel in enumerate(panel.folded() for panel in sketch.panels):
            before = [name for source, target in sketch.edges if target == i for name in ends[source]]
            if by == "stage":
                resolution = (panel.resolutions or (panel.output[1:],))[0]
                label = "\n".join((panel.name, *panel.facts))
                ends[i] = self._add(_Vertex(f"s{i}", label, "layer", resolution, ()), before)
            else:
                ends[i] = self._panel(f"s{i}", panel, by, before)

    def _add(self, vertex: _Vertex, before: Iterable[str] = ()) -> list[str]:
        self.vertices.append(vertex)
        self.edges.update(dict.fromkeys((source, vertex.name) for source in before))
        return [vertex.name]

    def _panel(self, name: str, panel: Panel, by: str, before: list[str]) -> list[str]:
        self.groups[name] = panel.name
        ends = {IN: before}
        for j, item in enumerate(panel.items):
            sources = [end for source, target in panel.edges if target == j for end in ends[source]]
            inner, times = f"{name}b{j}", f" × {item.repeat}" if item.repeat > 1 else ""
            if by == "block" or len(item.detail.boxes) < 2:
                worked = item.detail.resolutions or (panel.output[1:],)
                label = f"{item.caption}{times}\n{'+'.join(map(size_text, worked))}"
                ends[j] = self._add(_Vertex(inner, label, "layer", worked[0], (name,)), sources)
                continue
            self.groups[inner] = f"{item.kind or 'layers'}{times}"
            ends[j] = self._boxes(inner, (name, inner), item.detail, sources)
        return ends[len(panel.items) - 1]

    def _boxes(self, name: str, group: tuple[str, ...], detail: Detail, before: list[str]) -> list[str]:
        ends = {IN: before}
        for k, box in enumerate(detail.boxes):
            sources = [end for source, target in detail.edges if target == k for end in ends[source]]
            ends[k] = self._add(_Vertex(f"{name}n{k}", box.label, box.form, box.resolution, group), sources)
        return [end for output in detail.outputs for end in ends[output]]


def _nested(vertices: Iterable[_Vertex], depth: int = 0) -> Iterator[tuple[str, str, str | _Vertex]]:
    """Indentation, "open", "close" or "vertex", and which cluster or vertex: clusters enclose their vertices."""
    indent = "  " * (depth + 1)
    for clusters, run in groupby(vertices, lambda vertex: vertex.group[depth : depth + 1]):
        if not clusters:
            yield from ((indent, "vertex", vertex) for vertex in run)
            continue
        yield indent, "open", clusters[0]
        yield from _nested(run, depth + 1)
        yield indent, "close", clusters[0]


_DOT_SHAPES = {"layer": "box", "unit": "box", "down": "invtrapezium", "up": "trapezium", "join": "circle",
               "image": "plaintext"}  # fmt: skip


def _dot_text(text: str) -> str:
    marks = {"\n": "\\n", "\\": "\\\\", '"': '\\"'}
    return '"' + "".join(marks.get(char, printable(char)) for char in text) + '"'


def dot(sketch: Sketch, by: str = "branch") -> str:
    """The drawing in graphviz's language; ``by`` is one of LEVELS."""
    chart, fills = _Chart(sketch, by), colours(sketch.resolutions)
    lines = [
        f"digraph {_dot_text(sketch.name)} {{",
        "  rankdir=TB;",
        '  graph [fontname="Helvetica", fontsize=12];',
        '  node [fontname="Helvetica", fontsize=11];',
    ]
    for indent, event, what in _nested(chart.vertices):
        if isinstance(what, _Vertex):
            fill = fills.get(what.resolution, PAPER) if what.form not in ("join", "image") else PAPER
            style = f'style=filled, fillcolor="{fill}", fontcolor="{text_colour(fill)}"'
            shape = "ellipse" if what.form == "join" and len(what.label) > 1 else _DOT_SHAPES[what.form]
            lines.append(f"{indent}{what.name} [label={_dot_text(what.label)}, shape={shape}, {style}];")
        elif event == "open":
            lines += [f"{indent}subgraph cluster_{what} {{", f"{indent}  label={_dot_text(chart.groups[what])};"]
        else:
            lines.append(f"{indent}}}")
    lines += [f"  {source} -> {target};" for source, target in chart.edges]
    return "\n".join([*lines, "}"]) + "\n"


_MERMAID_SHAPES = {"layer": ("[", "]"), "unit": ("[[", "]]"), "down": ("[\\", "/]"), "up": ("[/", "\\]"),
                   "join": ("((", "))"), "image": ("([", "])")}  # fmt: skip


def _mermaid_text(text: str) -> str:
    marks = {"#": "#35;", '"': "#quot;", "&": "#amp;", "<": "#lt;", ">": "#gt;", "`": "#96;", "\n": "<br/>"}
    return '"' + "".join(marks.get(char, char if char.isprintable() else "?") for char in text) + '"'


def mermaid(sketch: Sketch, by: str = "branch") -> str:
    """The drawing in Mermaid's language; ``by`` is one of LEVELS."""
    chart, fills = _Chart(sketch, by), colours(sketch.resolutions)
    lines, classes = ["flowchart TB"], dict[Resolution, None]()
    for indent, event, what in _nested(chart.vertices):
        if isinstance(what, _Vertex):
            left, right = _MERMAID_SHAPES[what.form]
            coloured = what.form not in ("join", "image") and what.resolution in fills
            if coloured:
                classes[what.resolution] = None
            suffix = f":::{_class(what.resolution)}" if coloured else ""
            lines.append(f"{indent}{what.name}{left}{_mermaid_text(what.label)}{right}{suffix}")
        elif event == "open":
            lines.append(f"{indent}subgraph {what}[{_mermaid_text(chart.groups[what])}]")
        else:
            lines.append(f"{indent}end")
    lines += [f"  {source} --> {target}" for source, target in chart.edges]
    for resolution in classes:
        fill = fills[resolution]
        lines.append(f"  classDef {_class(resolution)} fill:{fill},stroke:{LINE},color:{text_colour(fill)}")
    return "\n".join(lines) + "\n"


def _class(resolution: Resolution) -> str:
    return "r{}x{}".format(*resolution)
