"""Figure 4 as an image."""

import subprocess
import sys

import numpy as np
import pytest

from elastic_search.paper.figure4 import TITLES, figure4


@pytest.mark.parametrize("fmt", ("pdf", "png", "svg"))
def test_pictures_are_reproducible(fmt):
    pytest.importorskip("matplotlib")
    from elastic_search.draw.figure4 import picture

    first = picture(figure4(), fmt)
    assert first == picture(figure4(), fmt)
    assert fmt != "pdf" or first.startswith(b"%PDF-")


def test_labels_touch_neither_one_another_nor_a_point():
    pytest.importorskip("matplotlib")
    from elastic_search.draw.figure4 import PANELS, _figure

    figure = figure4()
    drawn = _figure(figure)
    renderer = drawn.canvas.get_renderer()
    for ax, panel in zip(drawn.axes, PANELS, strict=True):
        labels = [text for text in ax.texts if text.get_text()]
        assert sorted(text.get_text() for text in labels) == sorted(TITLES.values())
        # Of an annotation only the text: its extent would hold the point that it belongs to.
        boxes = [text.get_window_extent(renderer) for text in labels]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        for point in figure.points:
            x, y = ax.transData.transform(panel.place(point))
            assert not any(box.contains(x, y) for box in boxes)
        assert all(ax.bbox.x0 <= box.x0 and box.x1 <= ax.bbox.x1 and box.y1 <= ax.bbox.y1 for box in boxes)


def test_points_lie_at_their_costs_and_arrows_lead_to_elastic():
    pytest.importorskip("matplotlib")
    from elastic_search.draw.figure4 import _figure

    figure = figure4()
    drawn = _figure(figure)
    for ax, key, unit in zip(drawn.axes, ("params", "flops"), (10**6, 10**9), strict=True):
        place = {p.network: (getattr(p, key) / unit, float(100 - p.top1_error)) for p in figure.points}
        filled = {line.get_xydata()[0].tobytes(): line.get_markerfacecolor() != "white" for line in ax.lines}
        expected = {np.array(place[point.network]).tobytes(): point.elastic for point in figure.points}
        assert filled == expected
        arrows = {(text.xyann, text.xy) for text in ax.texts if text.arrow_patch}
        assert arrows == {(place[name], place[f"{name}_elastic"]) for name in TITLES if name in place}


def test_no_display_and_no_pyplot_is_needed():
    pytest.importorskip("matplotlib")
    code = (
        "import sys; from elastic_search.paper.figure4 import figure4\n"
        "from elastic_search.draw.figure4 import picture\n"
        "picture(figure4(), 'png'); picture(figure4(), 'svg')\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
