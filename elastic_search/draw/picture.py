"""A drawing as PNG or PDF: the SVG that ``draw.svg`` writes, drawn again by matplotlib.

It reads the few elements that those drawings have, and no others.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

DPI = 72
"""Pixels of the drawing an inch."""

SHARP = 2
"""Pixels of a PNG for each of the drawing."""

ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def picture(svg: str, form: str) -> bytes:
    """An SVG of ours as ``form``, "png" or "pdf"."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    root = ElementTree.fromstring(svg)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    for order, (element, x, y) in enumerate(_elements(root, 0.0, 0.0)):
        _draw(axes, element, x, y, order)
    written = io.BytesIO()
    figure.savefig(written, format=form, dpi=SHARP * DPI, metadata={"CreationDate": None} if form == "pdf" else None)
    return written.getvalue()


def _elements(parent: ElementTree.Element, x: float, y: float) -> Iterator[tuple[ElementTree.Element, float, float]]:
    """What is drawn, in order, with where its coordinates start."""
    for element in parent:
        name = element.tag.rpartition("}")[2]
        if name == "g":
            moved = re.fullmatch(r"translate\((\S+) (\S+)\)", element.attrib["transform"])
            assert moved is not None
            yield from _elements(element, x + float(moved[1]), y + float(moved[2]))
        elif name not in ("defs", "title"):
            yield element, x, y


def _draw(axes: Any, element: ElementTree.Element, x: float, y: float, order: int) -> None:
    from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, PathPatch, Polygon

    name, has = element.tag.rpartition("}")[2], element.attrib
    style: dict[str, Any] = {
        "facecolor": has.get("fill", "none"),
        "edgecolor": has.get("stroke", "none"),
        "linewidth": float(has.get("stroke-width", 1)),
        "linestyle": "--" if "stroke-dasharray" in has else "-",
        "zorder": order,
    }
    if name == "text":
        weight = has.get("font-weight", "normal")
        place = (x + float(has["x"]), y + float(has["y"]))
        axes.text(
            *place, element.text or "", size=float(has["font-size"]) * 0.94, color=has["fill"], weight=weight,
            ha=ANCHORS[has["text-anchor"]], va="baseline", zorder=order, parse_math=False,
        )  # fmt: skip
    elif name == "rect":
        radius = float(has["rx"])
        corner = (x + float(has["x"]) + radius, y + float(has["y"]) + radius)
        inner = float(has["width"]) - 2 * radius, float(has["height"]) - 2 * radius
        axes.add_patch(FancyBboxPatch(corner, *inner, boxstyle=f"round,pad={radius},rounding_size={radius}", **style))
    elif name == "circle":
        axes.add_patch(Circle((x + float(has["cx"]), y + float(has["cy"])), float(has["r"]), **style))
    elif name == "polygon":
        points = [tuple(map(float, point.split(","))) for point in has["points"].split()]
        axes.add_patch(Polygon([(x + a, y + b) for a, b in points], **style))
    elif name == "path":
        line = _line(has["d"], x, y)
        axes.add_patch(PathPatch(line, **style))
        if "marker-end" in has:
            before, end = line.vertices[-2:]
            tip: dict[str, Any] = {**style, "facecolor": style["edgecolor"]}
            shape: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 9, "shrinkA": 0, "shrinkB": 0}
            axes.add_patch(FancyArrowPatch(before, end, **shape, **tip))
    else:
        raise NotImplementedError(name)


def _line(text: str, x: float, y: float) -> Any:
    """A path of lines and quadratic curves."""
    from matplotlib.path import Path

    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for letter, numbers in re.findall(r"([MLQ])([^MLQ]+)", text):
        values = list(map(float, numbers.split()))
        pairs = list(zip(values[::2], values[1::2], strict=True))
        points += [(x + a, y + b) for a, b in pairs]
        codes += [{"M": Path.MOVETO, "L": Path.LINETO, "Q": Path.CURVE3}[letter]] * len(pairs)
    return Path(points, codes)
