"""The points of the paper's Figure 4: Table 2 as accuracy against parameters and against FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from elastic_search.paper.reproduce import table2

TITLES = {
    "densenet201": "DenseNet201",
    "resnext50": "ResNeXt50",
    "se_resnext50": "SE-ResNeXt50",
    "resnext101": "ResNeXt101",
    "resnext50x2": "ResNeXt50x2",
    "dla_x60": "DLA-X60",
    "dla_x102": "DLA-X102",
}
"""Names of the families, in the order of Table 2."""


@dataclass(frozen=True)
class Point:
    """A network of the figure.

    Attributes:
        network: its name.
        family: the base's name; a key of ``TITLES``.
        elastic: whether it is the Elastic variant.
        source: source of its accuracy: "own", or "quoted" if the paper has no run of its own.
        params: our count of parameters.
        flops: our count under ``convention``.
        convention: name of the row's counter.
        top1_error: error in percent, as printed.
    """

    network: str
    family: str
    elastic: bool
    source: str
    params: int
    flops: int
    convention: str
    top1_error: Decimal

    @property
    def accuracy(self) -> Decimal:
        """Top-1 accuracy in percent."""
        return 100 - self.top1_error


@dataclass(frozen=True)
class Figure4:
    """The points that every form of the figure draws."""

    points: tuple[Point, ...]

    def family(self, name: str) -> tuple[Point | None, Point | None]:
        """Base and Elastic variant of a family."""
        found = {point.elastic: point for point in self.points if point.family == name}
        return found.get(False), found.get(True)

    @property
    def quoted(self) -> tuple[Point, ...]:
        """The points whose accuracy the paper took from another paper."""
        return tuple(point for point in self.points if point.source == "quoted")


def figure4() -> Figure4:
    """One point per network: the authors' own run if Table 2 has one, else the quoted row."""
    rows = table2().rows
    own = {row.name for row in rows if row.source == "own"}
    points = []
    for row in rows:
        if row.source == "own" or row.name not in own:
            family, costs = row.name.removesuffix("_elastic"), (row.params.ours, row.flops.ours, row.convention.name)
            points.append(Point(row.name, family, family != row.name, row.source, *costs, row.top1))
    return Figure4(tuple(points))
