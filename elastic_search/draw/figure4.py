"""Figure 4 as an image (matplotlib, without pyplot: no display is needed) and in the terminal (plotext)."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from elastic_search.paper.figure4 import TITLES, Figure4, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Style(NamedTuple):
    """How a family looks: one of Okabe and Ito's colours, which colour-blind readers can tell apart, and a shape."""

    colour: str
    marker: str
    letter: str


STYLES = {
    "densenet201": Style("#009E73", "^", "d"),
    "resnext50": Style("#0072B2", "o", "r"),
    "se_resnext50": Style("#56B4E9", "P", "e"),
    "resnext101": Style("#CC79A7", "s", "t"),
    "resnext50x2": Style("#000000", "*", "w"),
    "dla_x60": Style("#E69F00", "D", "a"),
    "dla_x102": Style("#D55E00", "v", "b"),
}


class Panel(NamedTuple):
    """One half of the figure: the attribute of a point on its x axis, its unit and title."""

    key: str
    unit: int
    title: str

    def place(self, point: Point) -> tuple[float, float]:
        return getattr(point, self.key) / self.unit, float(point.accuracy)


PANELS = (Panel("params", 10**6, "parameters (M)"), Panel("flops", 10**9, "FLOPs (G)"))
ACCURACY = "top-1 accuracy (%)"


def footnote(figure: Figure4) -> str:
    """Where the figures come from."""
    quoted = ", ".join(f"{TITLES[point.family]}'s base" for point in figure.quoted)
    return (
        "Costs are counted here, FLOPs by each row's counter; accuracy is 100 minus the error that the paper prints"
        + (f" (quoted from other work for {quoted})." if quoted else ".")
    )


def picture(figure: Figure4, fmt: str) -> bytes:
    """The figure as a file's content; equal figures give equal bytes.

    Args:
        figure: the points.
        fmt: "png", "svg" or "pdf".
    """
    import io

    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a reader's own settings do not change the paper's figure
        matplotlib.rcParams.update({"svg.hashsalt": "elastic-search", "svg.fonttype": "none", "font.size": 9})
        dateless: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
        _figure(figure).savefig(file, format=fmt, dpi=160, metadata=dateless[fmt])
    return file.getvalue()


def _figure(figure: Figure4) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    drawn = Figure(figsize=(10, 4.8))
    FigureCanvasAgg(drawn)
    axes = drawn.subplots(1, 2, sharey=True)
    drawn.subplots_adjust(left=0.07, right=0.985, top=0.91, bottom=0.2, wspace=0.06)
    for ax, panel in zip(axes, PANELS, strict=True):
        _draw_panel(ax, panel, figure)
    axes[0].set_ylabel(ACCURACY)
    drawn.suptitle("ImageNet accuracy against parameters and FLOPs", fontsize=11)
    style: dict[str, Any] = {"color": "none", "marker": "o", "markeredgecolor": "#444444", "markersize": 7}
    fills = {"base": "white", "Elastic": "#444444"}
    key = [Line2D([], [], markerfacecolor=fill, label=label, **style) for label, fill in fills.items()]
    axes[1].legend(handles=key, loc="lower right", frameon=False)
    drawn.text(0.07, 0.03, footnote(figure), fontsize=8, color="#444444")
    # Text has a size only after layout, so labels are placed last.
    drawn.canvas.draw()
    for ax, panel in zip(axes, PANELS, strict=True):
        _draw_labels(ax, panel, figure)
    return drawn


def _draw_panel(ax: Axes, panel: Panel, figure: Figure4) -> None:
    for family, style in STYLES.items():
        base, elastic = figure.family(family)
        if base and elastic:
            arrow = {"arrowstyle": "->", "color": style.colour, "shrinkA": 5, "shrinkB": 5, "linewidth": 1.2}
            ax.annotate("", panel.place(elastic), panel.place(base), arrowprops=arrow)
        for point in (base, elastic):
            if point:
                fill = style.colour if point.elastic else "white"
                size = 11 if style.marker == "*" else 8
                line: dict[str, Any] = {"color": style.colour, "linestyle": "none", "marker": style.marker}
                ax.plot(*panel.place(point), **line, markerfacecolor=fill, markersize=size, markeredgewidth=1.4)
    ax.margins(0.13, 0.12)
    ax.set_xlabel(panel.title)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_labels(ax: Axes, panel: Panel, figure: Figure4) -> None:
    """A label at each family's best point, on the first side where it touches nothing."""
    from matplotlib.colors import to_rgb
    from matplotlib.transforms import Bbox

    renderer = ax.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    legend = ax.get_legend()
    taken = [legend.get_window_extent(renderer)] if legend else []
    for family in STYLES:
        ends = [ax.transData.transform(panel.place(point)) for point in figure.family(family) if point]
        # The bounding box of a line would be too large, so labels avoid beads along it.
        steps = 12 if len(ends) == 2 else 0
        beads = [ends[0] + (ends[-1] - ends[0]) * i / steps for i in range(steps + 1)] if steps else ends
        taken += [Bbox.from_bounds(x - 3, y - 3, 6, 6) for x, y in beads]
        taken += [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in ends]
    sides = [(0, 9, "center", "bottom"), (9, 0, "left", "center"), (-9, 0, "right", "center"), (0, -9, "center", "top")]
    sides += [(x, y, h, v) for y, v in ((7, "bottom"), (-7, "top")) for x, h in ((7, "left"), (-7, "right"))]
    # A family with a single point has the fewest places, so it is placed first.
    for family in sorted(STYLES, key=lambda name: sum(point is not None for point in figure.family(name))):
        base, elastic = figure.family(family)
        places = ((f, point, s) for f in (1, 1.6, 2.4) for point in (elastic, base) if point for s in sides)
        for factor, anchor, (x, y, horizontal, vertical) in places:
            label = ax.annotate(
                TITLES[family],
                panel.place(anchor),
                (x * factor, y * factor),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                color=[0.7 * part for part in to_rgb(STYLES[family].colour)],  # thin strokes need more contrast
                fontsize=8.5,
            )
            box = label.get_window_extent(renderer).padded(3)
            inside = ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and ax.bbox.y0 <= box.y0 and box.y1 <= ax.bbox.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()
        else:
            raise AssertionError(f"no room for the label of {family}")


WIDE = 110
"""Columns that side-by-side panels need."""

ROWS = 20
"""Lines of a panel."""

_ASCII = str.maketrans({"·": ".", "─": "-", "│": "|", "┤": "+", "┬": "+", **dict.fromkeys("┌┐└┘├┴┼", "+")})


def terminal(figure: Figure4) -> str:
    """The figure as text of the terminal's width: one letter per network, small for a base, capital for Elastic.

    In colour on a terminal unless ``NO_COLOR`` is set; in ASCII if stdout cannot encode more.
    """
    import shutil
    from textwrap import wrap

    import plotext

    columns = max(40, shutil.get_terminal_size((80, 24)).columns)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    beside = columns >= WIDE
    plotext.terminal.limit(False, False)  # a figure higher than the terminal is scrolled
    panels = [_text_panel(panel, figure, columns // 2 if beside else columns) for panel in PANELS]
    drawings = [panels[0] + panels[1]] if beside else panels
    lines = [drawing.string(colorless=not coloured) for drawing in drawings]
    lines += _text_key(figure, columns, coloured)
    text = "\n".join([*lines, *wrap(footnote(figure), columns)])
    text = "\n".join(line.rstrip() for line in text.splitlines())
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return text.translate(_ASCII)
    return text


def _rgb(family: str) -> tuple[int, int, int] | None:
    """A family's colour; None for black, which is invisible on a dark terminal."""
    red, green, blue = bytes.fromhex(STYLES[family].colour[1:])
    return (red, green, blue) if red + green + blue else None


def _text_panel(panel: Panel, figure: Figure4, width: int) -> Any:
    """One panel as plotext's matrix of characters."""
    import plotext

    places = [panel.place(point) for point in figure.points]
    low, high = (tuple(pick(values) for values in zip(*places, strict=True)) for pick in (min, max))
    span = [b - a for a, b in zip(low, high, strict=True)]
    limits = [(a - 0.06 * d, b + 0.06 * d) for a, b, d in zip(low, high, span, strict=True)]
    # Size of a character cell, after subtracting frame, ticks and labels.
    cells = [1.12 * d / count for d, count in zip(span, (width - 8, ROWS - 5), strict=True)]
    plot = plotext.figure
    plot.clear()
    plot.theme("colorless")
    plot.plot_size(width, ROWS)
    plot.title(f"{ACCURACY} by {panel.title}")
    for axis, step in enumerate((5 if panel.key == "params" else 1, 0.5)):
        lower, upper = limits[axis]
        ticks = [step * i for i in range(round(lower / step), round(upper / step) + 1) if lower <= step * i <= upper]
        plot.ruler(axis, 0).lim(lower, upper).ticks(ticks, [f"{tick:g}" for tick in ticks])
    for family in STYLES:
        ends = [panel.place(point) for point in figure.family(family) if point]
        if len(ends) == 2:
            line = plot.signal(*zip(*ends, strict=True), marker=plotext.marker("·", plotext.pixel(_rgb(family))))
            plot.draw(line.lines())
    drawn: list[tuple[float, float]] = []
    for point in figure.points:
        x, y = panel.place(point)
        # If two networks share a character cell, the later one moves a cell to the right.
        while any(abs(x - a) < cells[0] and abs(y - b) < cells[1] for a, b in drawn):
            x += cells[0]
        drawn.append((x, y))
        letter = STYLES[point.family].letter
        marker = plotext.marker(letter.upper() if point.elastic else letter, plotext.pixel(_rgb(point.family)))
        plot.draw(plot.signal([x], [y], marker=marker))
    return plot.build()


def _text_key(figure: Figure4, columns: int, coloured: bool) -> list[str]:
    """The legend of the letters, in as many columns as fit."""
    cell = max(map(len, TITLES.values())) + 7
    a_line = max(1, columns // cell)
    entries = []
    for family, style in STYLES.items():
        base, elastic = figure.family(family)
        letters = f"{style.letter if base else ' '} {style.letter.upper() if elastic else ' '}"
        colour = _rgb(family)
        shown = f"\x1b[38;2;{colour[0]};{colour[1]};{colour[2]}m{letters}\x1b[0m" if coloured and colour else letters
        entries.append(shown + f"  {TITLES[family]}".ljust(cell - len(letters)))
    rows = [entries[i : i + a_line] for i in range(0, len(entries), a_line)]
    return ["small letter: base; capital: Elastic", *("".join(row) for row in rows)]
