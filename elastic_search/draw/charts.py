"""A network as text for graphviz (dot) and for Mermaid: vertices, clusters and edges are made once for both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elastic_search.draw.sketch import (
    IN,
    Detail,
    Panel,
    Resolution,
    Sketch,
    colours,
    printable,
    size_text,
    text_colour,
)

LINE, PAPER = "#555a66", "#ffffff"


@dataclass(frozen=True)
class _Vertex:
    """A drawn vertex: ``group`` is the path of clusters that hold it."""

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
        ends: dict[int, list[str]] = {IN: [self._add("image", "image", "image", sketch.input[1:], ())]}
        for i, panel in enumerate(panel.folded() for panel in sketch.panels):
            before = [name for source, target in sketch.edges if target == i for name in ends[source]]
            if by == "stage":
                resolution = (panel.resolutions or (panel.output[1:],))[0]
                ends[i] = [self._add(f"s{i}", "\n".join((panel.name, *panel.facts)), "layer", resolution, (), before)]
            else:
                ends[i] = self._panel(f"s{i}", panel, by, before)

    def _add(self, name: str, label: str, form: str, resolution: Resolution, group: tuple[str, ...],
             before: Iterable[str] = ()) -> str:  # fmt: skip
        self.vertices.append(_Vertex(name, label, form, resolution, group))
        self.edges.update(dict.fromkeys((source, name) for source in before))
        return name

    def _panel(self, name: str, panel: Panel, by: str, before: list[str]) -> list[str]:
        self.groups[name] = panel.name
        ends = {IN: before}
        for j, item in enumerate(panel.items):
            sources = [end for source, target in panel.edges if target == j for end in ends[source]]
            times = f" × {item.repeat}" if item.repeat > 1 else ""
            if by == "block" or len(item.detail.boxes) < 2:
                worked = item.detail.resolutions or (panel.output[1:],)
                label = f"{item.caption}{times}\n{'+'.join(map(size_text, worked))}"
                ends[j] = [self._add(f"{name}b{j}", label, "layer", worked[0], (name,), sources)]
                continue
            inner = f"{name}b{j}"
            self.groups[inner] = f"{item.kind or 'layers'}{times}"
            ends[j] = self._boxes(inner, (name, inner), item.detail, sources)
        return ends[len(panel.items) - 1]

    def _boxes(self, name: str, group: tuple[str, ...], detail: Detail, before: list[str]) -> list[str]:
        ends = {IN: before}
        for k, box in enumerate(detail.boxes):
            sources = [end for source, target in detail.edges if target == k for end in ends[source]]
            ends[k] = [self._add(f"{name}n{k}", box.label, box.form, box.resolution, group, sources)]
        return [end for output in detail.outputs for end in ends[output]]

    def nested(self) -> Iterator[tuple[str, str, str | _Vertex]]:
        """Indentation, "open", "close" or "vertex", and which cluster or vertex: clusters enclose their vertices."""
        inside: tuple[str, ...] = ()
        for vertex in self.vertices:
            kept = next((i for i, (a, b) in enumerate(zip(inside, vertex.group, strict=False)) if a != b), None)
            kept = min(len(inside), len(vertex.group)) if kept is None else kept
            yield from self._closed(inside, kept)
            for depth in range(kept, len(vertex.group)):
                yield "  " * (depth + 1), "open", vertex.group[depth]
            yield "  " * (len(vertex.group) + 1), "vertex", vertex
            inside = vertex.group
        yield from self._closed(inside, 0)

    @staticmethod
    def _closed(inside: tuple[str, ...], kept: int) -> Iterator[tuple[str, str, str]]:
        for depth in range(len(inside), kept, -1):
            yield "  " * depth, "close", inside[depth - 1]


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
    for indent, event, what in chart.nested():
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
    for indent, event, what in chart.nested():
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
