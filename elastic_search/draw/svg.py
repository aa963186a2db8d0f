"""A network as a picture (SVG), in the manner of the paper's Figure 3.

Stages stand side by side and are read downwards, with the branches of a block next to each other. The colour of a box
is that of the resolution it works at.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from elastic_search.draw.pieces import (
    BOX,
    EDGE,
    FAINT,
    FONT,
    GAP,
    LINE,
    PANEL,
    PAPER,
    SMALL,
    Area,
    Fan,
    ladder,
    number,
    parallel,
    path,
    rect,
    stacked,
    text,
    text_width,
)
from elastic_search.draw.sketch import (
    IN,
    Box,
    Detail,
    Item,
    Panel,
    Resolution,
    Sketch,
    colours,
    printable,
    size_text,
    text_colour,
)


def _boxed(box: Box, fills: dict[Resolution, str]) -> Area:
    fill = fills[box.resolution]
    ink = text_colour(fill)
    if box.form == "join" and len(box.label) == 1:
        circle = f'<circle cx="0" cy="10" r="10" fill="{PAPER}" stroke="{LINE}" stroke-width="1.2"/>'
        return Area(10, 10, 20, (circle, text(0, 15, box.label, size=16)))
    half = max(46.0, text_width(box.label) / 2 + 8)
    if box.form == "join":
        half = text_width(box.label) / 2 + 8
        pill = rect(-half, 0, 2 * half, 20, PAPER, LINE, 10)
        return Area(half, half, 20, (pill, text(0, 14, box.label, size=SMALL)))
    if box.form in ("down", "up"):
        half += 8
        slant = 14
        top, bottom = (half, half - slant) if box.form == "down" else (half - slant, half)
        points = f"{number(-top)},0 {number(top)},0 {number(bottom)},{BOX} {number(-bottom)},{BOX}"
        shape = f'<polygon points="{points}" fill="{fill}" stroke="{LINE}" stroke-width="0.8"/>'
    else:
        shape = rect(-half, 0, 2 * half, BOX, fill, LINE)
        if box.form == "unit":
            shape = shape.replace("/>", ' stroke-dasharray="4 2"/>')
    return Area(half, half, BOX, (shape, text(0, 17, box.label, fill=ink)))


class _Layout:
    """Finds series and parallel parts of a detail."""

    def __init__(self, detail: Detail, fills: dict[Resolution, str]) -> None:
        self.detail, self.fills = detail, fills
        self.end = len(detail.boxes)
        self.next: dict[int, list[int]] = {i: [] for i in range(IN, self.end)}
        for source, target in detail.edges:
            self.next[source].append(target)
        for output in detail.outputs:
            self.next[output].append(self.end)
        # The boxes that every path from a box passes; computed backwards, since edges lead to later boxes.
        self.passed: dict[int, set[int]] = {self.end: {self.end}}
        for box in range(self.end - 1, IN - 1, -1):
            after = [self.passed[target] for target in self.next[box]] or [{self.end}]
            self.passed[box] = {box} | set.intersection(*after)

    def series(self) -> list[Area]:
        return self._region(self.next[IN], self.end)

    def _region(self, targets: list[int], end: int) -> list[Area]:
        """Areas in series, from boxes that are entered together up to the one before ``end``."""
        areas: list[Area] = []
        targets = sorted(set(targets))
        while targets != [end]:
            meet = min(set.intersection(*(self.passed[target] for target in targets)))
            if len(targets) > 1:
                groups = self._groups(targets, meet)
                if groups == [targets]:
                    return [*areas, self._tangle(targets, end)]
                areas.append(parallel([self._lane(self._region(group, meet)) for group in groups]))
            if meet == end:
                break
            areas.append(_boxed(self.detail.boxes[meet], self.fills))
            targets = sorted(set(self.next[meet]))
        return areas

    @staticmethod
    def _lane(areas: list[Area]) -> Area:
        if not areas:
            return Area(0, 0, 0)
        joined = stacked(areas)
        return Fan(*vars(joined).values()) if isinstance(areas[0], Fan) else joined

    def _before(self, targets: list[int], end: int) -> set[int]:
        """Boxes before ``end`` that paths from ``targets`` pass."""
        reached, pending = set[int](), list(targets)
        while pending:
            box = pending.pop()
            if box < end and box not in reached:
                reached.add(box)
                pending += self.next[box]
        return reached

    def _groups(self, targets: list[int], end: int) -> list[list[int]]:
        """Targets that share a box before ``end`` together; those that lead straight to ``end`` come last."""
        groups: list[tuple[list[int], set[int]]] = []
        for target in targets:
            reached = self._before([target], end)
            joined = [group for group in groups if group[1] & reached]
            groups = [group for group in groups if not group[1] & reached]
            members = sorted([target, *(member for group in joined for member in group[0])])
            groups.append((members, reached.union(*(group[1] for group in joined))))
        return [members for members, _ in sorted(groups, key=lambda group: group[0][0])]

    def _tangle(self, targets: list[int], end: int) -> Area:
        """Boxes that are neither in series nor in parallel: one below another, with lines at the side."""
        order = sorted(self._before(targets, end))
        areas = [_boxed(self.detail.boxes[box], self.fills) for box in order]
        edges = [(IN, order.index(target)) for target in targets]
        for i, box in enumerate(order):
            edges += [(i, order.index(t) if t in order else len(order)) for t in self.next[box]]
        return ladder(areas, edges)


def _frames(items: Sequence[Item], captions: Sequence[str], fills: dict[Resolution, str]) -> list[Area]:
    """Items in frames of equal width with aligned axes."""
    inner = [stacked(_Layout(item.detail, fills).series()) for item in items]
    badges = [f"× {item.repeat}" if item.repeat > 1 else "" for item in items]
    left, right = (max(extents) + EDGE for extents in zip(*((area.left, area.right) for area in inner), strict=True))
    least = max(text_width(c, SMALL) + text_width(b, 14) for c, b in zip(captions, badges, strict=True)) + 26
    more = max(0.0, least - left - right) / 2
    framed = zip(inner, captions, badges, strict=True)
    return [_framed(area, caption, badge, left + more, right + more) for area, caption, badge in framed]


def _framed(inner: Area, caption: str, badge: str, left: float, right: float) -> Area:
    top = 24.0 if caption or badge else 6.0
    height = top + GAP / 2 + inner.height + EDGE
    sheets = [8, 4] if badge else []
    parts = [rect(-left + s, s, left + right, height, PAPER, "#b9bdc9", 7) for s in (*sheets, 0)]
    parts.append(text(-left + 10, 17, caption, size=SMALL, fill=FAINT, anchor="start") if caption else "")
    parts.append(text(right - 9, 18, badge, size=14, anchor="end", bold=True) if badge else "")
    parts += [path((0, top), (0, top + GAP / 2)), inner.at(0, top + GAP / 2)]
    parts.append(path((0, height - EDGE), (0, height)))
    return Area(left, right + max(sheets, default=0), height + max(sheets, default=0), tuple(parts))


def _chips(items: Sequence[Item], captions: Sequence[str], fills: dict[Resolution, str]) -> list[Area]:
    """Items as boxes of equal width: name, repetitions, and squares in the colours of its resolutions."""
    labels = [f"{c} × {item.repeat}" if item.repeat > 1 else c for item, c in zip(items, captions, strict=True)]
    squares = [15 * len(item.detail.resolutions) for item in items]
    half = max(58.0, *((text_width(text, SMALL) + size + 24) / 2 for text, size in zip(labels, squares, strict=True)))
    chips = []
    for item, label, size in zip(items, labels, squares, strict=True):
        parts = [rect(-half, 0, 2 * half, BOX, PAPER, LINE, 5), text(8 - half, 17, label, size=SMALL, anchor="start")]
        for i, resolution in enumerate(item.detail.resolutions):
            parts.append(rect(half - 5 - size + 15 * i, 7, 12, 12, fills[resolution], LINE, 2))
        chips.append(Area(half, half, BOX, tuple(parts)))
    return chips


def _letters(panel: Panel) -> dict[tuple[str, Detail], str]:
    """Letters for the distinct items that have more than one box."""
    found: dict[tuple[str, Detail], str] = {}
    for item in panel.items:
        key = (item.kind, item.detail)
        if len(item.detail.boxes) > 1 and key not in found:
            found[key] = chr(ord("A") + len(found) % 26) * (1 + len(found) // 26)
    return found


def _inside(panel: Panel, by: str, fills: dict[Resolution, str]) -> Area:
    """The content of a panel below its heading."""
    if by == "branch" and panel.is_chain:
        # A stem or a head is its only item, and its name is above it.
        named = len(panel.items) > 1 or panel.items[0].repeat > 1
        return stacked(_frames(panel.items, [item.kind if named else "" for item in panel.items], fills))
    letters = _letters(panel) if by == "branch" else {}
    names = [f"{letters.get((item.kind, item.detail), '')}  {item.caption}".strip() for item in panel.items]
    chips = _chips(panel.items, names, fills)
    column = stacked(chips) if panel.is_chain else ladder(chips, panel.edges)
    parts, y, left, right = [column.at(0, 0)], column.height, column.left, column.right
    different = [Item(kind, detail) for kind, detail in letters]
    captions = [f"{letter}  {kind or 'layers'}" for (kind, _), letter in letters.items()]
    for frame in _frames(different, captions, fills) if different else ():
        y += GAP
        parts.append(frame.at(0, y))
        y, left, right = y + frame.height, max(left, frame.left), max(right, frame.right)
    return Area(left, right, y, tuple(parts))


HEAD = 62
"""Height of a panel's heading."""


def _paneled(panel: Panel, by: str, fills: dict[Resolution, str]) -> Area:
    """A panel; its axis is its left edge."""
    facts = panel.facts
    inner = Area(0, 0, 0) if by == "stage" else _inside(panel, by, fills)
    heading = text_width(panel.name, 15) + 18 * len(panel.resolutions)
    width = max(30 + max(heading, *(text_width(fact, SMALL) for fact in facts)), inner.width + 28)
    height = HEAD + (inner.height + 16 if by != "stage" else 4)
    parts = [rect(0, 0, width, height, PANEL, "#d7dae2", 9)]
    parts.append(text(14, 22, panel.name, size=15, anchor="start", bold=True))
    for i, resolution in enumerate(reversed(panel.resolutions)):
        parts.append(rect(width - 28 - 18 * i, 10, 14, 14, fills[resolution], LINE, 2))
    for i, fact in enumerate(facts):
        parts.append(text(14, 40 + 15 * i, fact, size=SMALL, fill=FAINT, anchor="start"))
    parts.append(inner.at((width - inner.width) / 2 + inner.left, HEAD + 4))
    return Area(0, width, height, tuple(parts))


def svg(sketch: Sketch, by: str = "branch") -> str:
    """The drawing as one SVG document; ``by`` is one of LEVELS."""
    fills = colours(sketch.resolutions)
    panels = [_paneled(panel.folded(), by, fills) for panel in sketch.panels]
    far = [(source, target) for source, target in sketch.edges if source >= 0 and target != source + 1]
    margin, gutter = 24.0, 34.0
    top = 92.0 + 12 * len(far)
    parts, x, places = [], margin, []
    for i, panel in enumerate(panels):
        places.append(x)
        parts.append(panel.at(x, top))
        if (i - 1, i) in sketch.edges and i:
            parts.append(path((x - gutter, top + 20), (x - 2, top + 20), arrow=True))
        x += panel.width + gutter
    for i, (source, target) in enumerate(far):
        start, end, y = places[source] + panels[source].width - 16, places[target] + 16, top - 12 * (i + 1)
        parts.append(path((start, top), (start, y), (end, y), (end, top - 2), arrow=True))
    legend, reach = _legend(sketch, fills, margin)
    title = f"{sketch.name} at {sketch.input.height}×{sketch.input.width}"
    width = max(x - gutter, reach, margin + text_width(title, 20)) + margin
    height = top + max((panel.height for panel in panels), default=0) + margin
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(width)}" height="{number(height)}" '
            f'viewBox="0 0 {number(width)} {number(height)}" font-family="{FONT}">',
            f"<title>{escape(printable(title))}</title>",
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="6" markerHeight="6" '
            f'orient="auto"><path d="M0 0.5L8 4L0 7.5z" fill="{LINE}"/></marker></defs>',
            rect(0, 0, width, height, PAPER, radius=0),
            text(margin, 34, title, size=20, anchor="start", bold=True),
            *legend,
            *parts,
            "</svg>\n",
        ]
    )


def _legend(sketch: Sketch, fills: dict[Resolution, str], margin: float) -> tuple[list[str], float]:
    """Squares with their resolutions, and where they end."""
    parts = [text(margin, 66, "resolution in pixels", fill=FAINT, anchor="start")]
    x = margin + text_width("resolution in pixels") + 4
    for resolution in sketch.resolutions:
        shown = size_text(resolution)
        parts.append(rect(x, 53, 17, 17, fills[resolution], LINE, 3))
        parts.append(text(x + 23, 66, shown, anchor="start"))
        x += 23 + text_width(shown) + 18
    return parts, x
