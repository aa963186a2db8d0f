"""Pieces of an SVG drawing that is read downwards: text, boxes, lines, areas in series and in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from elastic_search.draw.sketch import INK, printable

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
FAINT, LINE, PAPER, PANEL = "#6a6f7a", "#555a66", "#ffffff", "#f3f4f7"
SIZE, SMALL = 12, 11
BOX, GAP, LANE, EDGE = 26, 18, 16, 14
"""Height of a box, length of an arrow, width of an empty lane, margin inside a frame."""

TALLEST = 1000
"""Pixels after which a new column begins."""


@dataclass(frozen=True)
class Area:
    """A piece of the drawing around a vertical axis: its extent on both sides, its height and its SVG."""

    left: float
    right: float
    height: float
    parts: tuple[str, ...] = ()

    @property
    def width(self) -> float:
        return self.left + self.right

    def at(self, x: float, y: float) -> str:
        """The SVG with the axis at ``x`` and the top at ``y``."""
        return f'<g transform="translate({number(x)} {number(y)})">{"".join(self.parts)}</g>'


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def text_width(text: str, size: float = SIZE) -> float:
    """Approximate width of a text."""
    return 0.6 * size * len(text)


def text(x: float, y: float, words: str, *, size: float = SIZE, fill: str = INK, anchor: str = "middle",
         bold: bool = False) -> str:  # fmt: skip
    """A line of text at its baseline."""
    weight = ' font-weight="bold"' if bold else ""
    place = f'x="{number(x)}" y="{number(y)}" font-size="{number(size)}" fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place}{weight}>{escape(printable(words))}</text>"


def rect(x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", radius: float = 4) -> str:
    """A rectangle with rounded corners."""
    place = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}" rx="{number(radius)}"'
    return f'<rect {place} fill="{fill}" stroke="{stroke}"/>'


def path(*points: tuple[float, float], arrow: bool = False) -> str:
    """A line with rounded corners."""
    points = tuple(point for i, point in enumerate(points) if not i or point != points[i - 1])
    if len(points) < 2:
        return ""
    drawn = [f"M{number(points[0][0])} {number(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        (ax, ay), (bx, by) = towards(corner, before), towards(corner, after)
        drawn.append(f"L{number(ax)} {number(ay)}Q{number(corner[0])} {number(corner[1])} {number(bx)} {number(by)}")
    drawn.append(f"L{number(points[-1][0])} {number(points[-1][1])}")
    end = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<path d="{"".join(drawn)}" fill="none" stroke="{LINE}" stroke-width="1.2"{end}/>'


def towards(corner: tuple[float, float], other: tuple[float, float], radius: float = 5) -> tuple[float, float]:
    """The point at the start of a rounded corner."""
    (x, y), (u, v) = corner, other
    length = abs(u - x) + abs(v - y)
    step = min(radius, length / 2) / length
    return x + (u - x) * step, y + (v - y) * step


def series(areas: Sequence[Area], enters: Callable[[Area], bool] = lambda area: True) -> Area:
    """Areas one below another, with arrows between them."""
    parts, y = [], 0.0
    for i, area in enumerate(areas):
        if i:
            parts.append(path((0, y), (0, y + GAP - 2 * enters(area)), arrow=enters(area)))
            y += GAP
        parts.append(area.at(0, y))
        y += area.height
    return Area(max((a.left for a in areas), default=0), max((a.right for a in areas), default=0), y, tuple(parts))


class Fan(Area):
    """An area that starts with a fork, so no arrow ends at its top."""


def parallel(lanes: Sequence[Area]) -> Area:
    """Areas side by side between a fork and a join; an empty area is a bare line."""
    bar = 9.0
    inner = max(lane.height for lane in lanes)
    x, centres = 0.0, []
    for lane in lanes:
        centres.append(x + lane.left)
        x += lane.width + LANE
    solid = [centre for centre, lane in zip(centres, lanes, strict=True) if lane.height] or centres
    axis = (solid[0] + solid[-1]) / 2
    bottom = inner + 2 * (bar + GAP)
    parts = []
    for centre, lane in zip(centres, lanes, strict=True):
        at = centre - axis
        if not lane.height:
            parts.append(path((0, 0), (0, bar), (at, bar), (at, bottom - bar), (0, bottom - bar), (0, bottom)))
            continue
        top = bar + GAP + (inner - lane.height) / 2
        enters = not isinstance(lane, Fan)
        parts.append(path((0, 0), (0, bar), (at, bar), (at, top - 2 * enters), arrow=enters))
        parts.append(lane.at(at, top))
        parts.append(path((at, top + lane.height), (at, bottom - bar), (0, bottom - bar), (0, bottom)))
    return Fan(axis, x - LANE - axis, bottom, tuple(parts))


def ladder(areas: Sequence[Area], edges: Iterable[tuple[int, int]]) -> Area:
    """Areas one below another; lines at the right lead to readers further down. IN is above the first."""
    tops, y = [], float(GAP)
    for area in areas:
        tops.append(y)
        y += area.height + GAP
    right = max(area.right for area in areas)
    parts = [area.at(0, top) for area, top in zip(areas, tops, strict=True)]
    far: dict[int, list[int]] = {}
    for source, target in edges:
        if target == source + 1:
            start = tops[source] + areas[source].height if source >= 0 else 0
            if target < len(areas):
                parts.append(path((0, start), (0, tops[target] - 2), arrow=True))
            else:
                parts.append(path((0, start), (0, y)))
        else:
            far.setdefault(source, []).append(target)
    lanes: list[int] = []
    arrivals: dict[int, int] = {}
    for source, targets in sorted(far.items()):
        lane = next((i for i, busy in enumerate(lanes) if busy <= source), len(lanes))
        lanes[lane : lane + 1] = [max(targets)]
        x = right + 12 + 9 * lane
        for target in sorted(targets):
            begin = (areas[source].right, tops[source] + areas[source].height - 7) if source >= 0 else (0.0, 4.0)
            if target == len(areas):
                parts.append(path(begin, (x, begin[1]), (x, y - 5), (0, y - 5), (0, y)))
                continue
            shift = 5 * arrivals.get(target, 0)
            arrivals[target] = arrivals.get(target, 0) + 1
            middle = tops[target] + 6 + shift % 15
            parts.append(path(begin, (x, begin[1]), (x, middle), (areas[target].right + 2, middle), arrow=True))
    left = max(area.left for area in areas)
    return Fan(left, right + 12 + 9 * len(lanes), y, tuple(parts))


def stacked(areas: Sequence[Area]) -> Area:
    """Areas in series, broken into columns when they are many."""
    columns: list[list[Area]] = [[]]
    height = 0.0
    for area in areas:
        if columns[-1] and height + area.height > TALLEST:
            columns.append([])
            height = 0.0
        columns[-1].append(area)
        height += area.height + GAP
    drawn = [series(column, lambda area: not isinstance(area, Fan)) for column in columns]
    if len(drawn) == 1:
        return drawn[0]
    parts, x, tallest = [], 0.0, max(area.height for area in drawn) + GAP
    first, gutter = drawn[0], 2.0 * LANE
    for i, area in enumerate(drawn):
        x += area.left if i else 0
        parts.append(area.at(x, GAP))
        if i < len(drawn) - 1:
            side, after = x + area.right + gutter / 2, x + area.right + gutter + drawn[i + 1].left
            end = GAP + area.height
            route = ((x, end), (x, end + 10), (side, end + 10), (side, 6), (after, 6), (after, GAP - 2))
            parts.append(path(*route, arrow=True))
            x += area.right + gutter
        else:
            low = GAP + tallest
            parts.append(path((x, GAP + area.height), (x, low), (0, low), (0, low + 8)))
            x += area.right
    return Area(first.left, x, GAP + tallest + 8, (path((0, 0), (0, GAP - 2), arrow=True), *parts))
