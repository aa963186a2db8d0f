"""Pictures of networks, and their text for graphviz and Mermaid."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from torch import nn

from elastic_search.arch import ops
from elastic_search.arch.graph import Builder
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.zoo import published
from elastic_search.draw.charts import dot, mermaid
from elastic_search.draw.picture import picture
from elastic_search.draw.pieces import path
from elastic_search.draw.sketch import LEVELS, colours, sketch, text_colour
from elastic_search.draw.svg import svg
from elastic_search.nn.trace.tracing import trace

NAMES = (
    "resnext50", "resnext50_elastic", "se_resnext50_elastic", "dla_x60", "dla_x60_elastic", "dla_x102_elastic",
    "densenet201", "densenet201_elastic",
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def drawn(name, size=(224, 224)):
    spec = published(name)
    return sketch(Network(name, spec.graph(), spec), image(*size))


def chain(*nodes, inputs=("x",)):
    b, y = Builder("", *inputs), "x"
    for i, op in enumerate(nodes):
        y = b.add(f"n{i}", op, y)
    return sketch(Network("net", b.done(y)), image(32, 32))


def rectangles(text):
    """Every rectangle of a picture in its coordinates: left, top, right, bottom, fill."""
    found = []

    def visit(element, x, y):
        if moved := element.get("transform"):
            dx, dy = map(float, re.findall(r"-?[\d.]+", moved))
            x, y = x + dx, y + dy
        if element.tag == f"{SVG}rect":
            left, top = x + float(element.get("x")), y + float(element.get("y"))
            size = float(element.get("width")), float(element.get("height"))
            found.append((left, top, left + size[0], top + size[1], element.get("fill")))
        for child in element:
            visit(child, x, y)

    visit(ET.fromstring(text), 0.0, 0.0)
    return found


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_boxes_lie_on_the_page_and_not_on_each_other(name):
    text = svg(drawn(name))
    page, *others = rectangles(text)
    assert all(a[0] >= 0 and a[1] >= 0 and a[2] <= page[2] and a[3] <= page[3] for a in others)
    fills = set(colours(drawn(name).resolutions).values())
    boxes = [box for box in others if box[4] in fills]
    assert len(boxes) > 20
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if overlap(a, b)]


@pytest.mark.parametrize("name", NAMES)
def test_words_fit_into_their_boxes(name):
    """By the same estimate of a text's width for all: boxes are made for their labels."""
    for box, words in re.findall(r'<rect x="[^"]*" y="0" width="([\d.]+)"[^>]*/><text[^>]*>([^<]*)<', svg(drawn(name))):
        assert float(box) >= 6 * len(words)


def test_block_of_figure_3_left():
    panel = drawn("resnext50_elastic").panels[1].folded()
    first, rest = panel.items
    assert (first.repeat, rest.repeat) == (1, 5)
    labels = [(box.label, box.resolution[0]) for box in rest.detail.boxes]
    assert labels == [
        ("1×1, 64", 56), ("3×3, 64, g16", 56), ("1×1, 256", 56),
        ("↓2 avg", 28), ("1×1, 64", 28), ("3×3, 64, g16", 28), ("1×1, 256", 28), ("↑2 bilinear", 56),
        ("+", 56), ("+", 56),
    ]  # fmt: skip
    assert rest.detail.edges == (
        (-1, 0), (0, 1), (1, 2), (-1, 3), (3, 4), (4, 5), (5, 6), (6, 7), (2, 8), (7, 8), (8, 9), (-1, 9),
    )  # fmt: skip
    assert rest.detail.resolutions == ((56, 56), (28, 28))


@pytest.mark.parametrize("name", NAMES)
def test_no_block_is_lost_by_folding(name):
    spec = published(name)
    panels = drawn(name).panels[1:-1]
    assert [panel.blocks for panel in panels] == [len(stage.splits) for stage in spec.stages]
    for panel in panels:
        folded = panel.folded()
        assert sum(item.repeat for item in folded.items) == len(panel.items)
        assert folded.is_chain == panel.is_chain == (not name.startswith("dla"))
    assert sum(panel.share for panel in drawn(name).panels) == pytest.approx(1)


def test_dense_layers_are_drawn_once_with_their_number():
    text = svg(drawn("densenet201_elastic"))
    assert all(f">× {depth}<" in text for depth in (10, 20, 40, 30))
    assert ">concat<" in text


def test_tree_shows_what_its_roots_aggregate():
    panel = drawn("dla_x60_elastic").panels[3]
    last = len(panel.items) - 1
    sources = [panel.items[source].kind for source, target in panel.edges if target == last]
    assert sorted(sources) == ["", "bottleneck", "bottleneck", "root", "root"]
    # The projections that nobody reads do not run, and one that the first block reads does.
    assert Counter(item.kind for item in panel.items)["shortcut"] == 1


def test_colours_differ_and_words_on_them_can_be_read():
    fills = colours([(224, 224), (112, 112), (56, 56), (28, 28), (14, 14), (7, 7), (1, 1)])
    assert len(set(fills.values())) == 7
    assert text_colour(fills[224, 224]) != text_colour(fills[7, 7])
    assert colours([(1, 1)]) == {(1, 1): fills[1, 1]}


@pytest.mark.parametrize("write", (svg, dot, mermaid))
@pytest.mark.parametrize("by", LEVELS)
def test_drawings_are_the_same_every_time(write, by):
    assert write(drawn("se_resnext50_elastic", (193, 257)), by) == write(drawn("se_resnext50_elastic", (193, 257)), by)


# Text for other tools.


@pytest.mark.parametrize("by", LEVELS)
@pytest.mark.parametrize("name", ("se_resnext50_elastic", "dla_x60_elastic", "dla_x102", "densenet201_elastic"))
def test_dot_and_mermaid_are_sound(name, by):
    text = dot(drawn(name), by)
    bare = re.sub(r'"(\\.|[^"\\])*"', '""', text)
    assert (bare.count("{"), bare.count("[")) == (bare.count("}"), bare.count("]"))
    vertices = re.findall(r"^ *(\w+) \[label", text, re.MULTILINE)
    check(vertices, re.findall(r"cluster_(\w+)", text), re.findall(r"(\w+) -> (\w+);", text))
    lines = mermaid(drawn(name), by).splitlines()
    groups = [line.split("[")[0].split()[1] for line in lines if line.split()[0] == "subgraph"]
    assert [line.strip() for line in lines].count("end") == len(groups)
    declared = [found[1] for line in lines if (found := re.match(r" *(\w+)[\[(]", line))]
    assert declared == vertices
    check(declared, groups, [tuple(line.split(" --> ")) for line in map(str.strip, lines) if " --> " in line])
    used = set(re.findall(r":::(\w+)", "\n".join(lines)))
    assert used == set(re.findall(r"classDef (\w+)", "\n".join(lines)))


def check(vertices, groups, edges):
    assert len({*vertices, *groups}) == len(vertices) + len(groups)
    assert {name for edge in edges for name in edge} == set(vertices)
    targets = {target for _, target in edges}
    assert set(vertices) - targets == {"image"}


@pytest.mark.skipif(shutil.which("dot") is None, reason="no graphviz here")
@pytest.mark.parametrize("by", LEVELS)
def test_graphviz_reads_dot(by):
    done = subprocess.run(["dot", "-Tplain"], input=dot(drawn("dla_x60_elastic"), by), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# Graphs without a family.


def test_graph_without_kinds_is_a_chain_of_boxes():
    found = chain(ops.Conv(3, 8, 3, padding=1), ops.Relu(), ops.Pool("max", 2, 2), ops.Conv(8, 8, 1), ops.GlobalPool())
    (panel,) = found.panels
    labels = [box.label for box in panel.items[0].detail.boxes]
    assert labels == ["3×3, 8", "↓2 max", "1×1, 8", "global avg"]
    assert [box.resolution for box in panel.items[0].detail.boxes] == [(32, 32), (16, 16), (16, 16), (1, 1)]
    for write in (svg, dot, mermaid):
        assert all(write(found, by) for by in LEVELS)


def test_long_chain_is_broken_into_columns():
    text = svg(chain(*[ops.Conv(3, 3, 1)] * 100))
    _, _, right, bottom, _ = rectangles(text)[0]
    assert bottom < 1300
    assert right > 400


def test_joins_that_are_neither_series_nor_parallel_are_drawn():
    b = Builder("", "x")
    one = b.conv("one", "x", 3, 3)
    two = b.conv("two", "x", 3, 3)
    left = b.conv("left", one, 3, 3)
    middle = b.add("middle", ops.Add(), one, two)
    right = b.conv("right", two, 3, 3)
    found = sketch(Network("net", b.done(b.add("sum", ops.Add(), left, middle, right))), image(8, 8))
    text = svg(found)
    fills = colours(found.resolutions).values()
    boxes = [box for box in rectangles(text) if box[4] in fills]
    assert text.count("1×1, 3") == 4
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if overlap(a, b)]


def test_graph_that_does_nothing_is_drawn():
    for found in (chain(ops.Relu()), chain()):
        for write in (svg, dot, mermaid):
            assert all(write(found, by) for by in LEVELS)


def test_line_without_length_is_none():
    assert path((0, 0), (0, 0)) == ""


class ChannelsLast(nn.Module):
    """A block of ConvNeXt: its linear layers see the channels last."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x):
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return x + self.down(self.up(y)).permute(0, 3, 1, 2)


class Inverted(nn.Module):
    """A block of MobileNet, of which only some have a residual."""

    def __init__(self, residual):
        super().__init__()
        self.residual, self.layers = residual, nn.Sequential(nn.Sequential(nn.Conv2d(8, 16, 1)), nn.Conv2d(16, 8, 1))

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


def of_module(*layers):
    module = nn.Sequential(nn.Sequential(*layers), nn.Conv2d(8, 4, 1))
    return sketch(Network("own", trace(module, (8, 20, 12))), Shape(8, 20, 12))


def test_channels_last_layers_have_the_colour_of_their_resolution():
    boxes = of_module(ChannelsLast(), nn.LayerNorm([20, 12]), nn.Identity()).panels[0].items[0].detail.boxes
    assert [(box.label, box.resolution) for box in boxes if box.form == "layer"] == [
        ("3×3, 8", (20, 12)), ("linear, 32", (20, 12)), ("linear, 8", (20, 12)),
    ]  # fmt: skip
    assert of_module(ChannelsLast()).resolutions == ((20, 12),)


def test_blocks_of_one_kind_are_drawn_alike_and_norms_are_not_drawn():
    panel = of_module(Inverted(False), nn.Sequential(nn.BatchNorm2d(8), nn.ReLU()), Inverted(True)).panels[0]
    assert [(item.kind, len(item.detail.boxes)) for item in panel.items] == [("inverted", 2), ("inverted", 3)]


@pytest.mark.parametrize(("form", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_drawings_are_pictures_too(form, start):
    text = svg(drawn("dla_x60_elastic"))
    found = picture(text, form)
    assert found.startswith(start)
    assert found == picture(text, form)


def test_the_legend_names_every_colour():
    found = drawn("resnext50_elastic")
    assert (1, 1) in found.resolutions
    legend = svg(found).split("resolution in pixels")[1][:2000]
    assert all(f'fill="{fill}"' in legend for fill in colours(found.resolutions).values())
