"""Tables 2, 6 and 7 of the paper, each printed cost next to the count of our graph.

No single rule gives all of Table 2: the rows of ResNeXt are multiply-adds, those of DLA and DenseNet come from the
authors' own counter. Each row is counted as it was in the paper. Cells that still differ are shown with the reason,
never fitted.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.resnext import ResNeXt
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.spec import Spec
from elastic_search.arch.split import Split, parse_split
from elastic_search.arch.zoo import published
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import AUTHORS, MACS
from elastic_search.paper.tables import tables

INPUT: Shape = image(224, 224)
MILLION, BILLION = 10**6, 10**9
ABLATED = "dla_x60"
"""The network of Tables 6 and 7."""

METHODS: dict[str, tuple[str, str, str] | None] = {
    "original": None,
    "bilinear_ap": (str(HALVES), "avgpool", "bilinear"),
    "nearest_ap": (str(HALVES), "avgpool", "nearest"),
    "trained_filter": (str(HALVES), "trained", "trained"),
    "trained_dilated_filter": ("1/2@1,1/2@1~2", "avgpool", "bilinear"),
    "trained_dilated_filter_ap": ("1/2@1,1/2@1~2ap", "avgpool", "bilinear"),
}
"""(split, down, up) of each method in Table 6; None is the plain network."""


def round_half_up(value: int, unit: int, places: int) -> Decimal:
    """``value / unit`` to ``places`` decimals, halves up, without a float; ``value`` is not negative."""
    scaled = (2 * value * 10**places + unit) // (2 * unit)
    return Decimal((0, tuple(map(int, str(scaled))), -places))


@dataclass(frozen=True)
class Cell:
    """One cost of a row.

    Attributes:
        ours: counted from the graph.
        unit: value of a printed unit, 10^6 or 10^9.
        printed: the paper's figure, or None if it prints none.
        reason: why the two differ, if known.
    """

    ours: int
    unit: int
    printed: Decimal | None = None
    reason: str | None = None

    @property
    def places(self) -> int:
        """Number of printed decimals; 0 if nothing is printed."""
        return 0 if self.printed is None else -int(self.printed.as_tuple().exponent)

    @property
    def rounded(self) -> Decimal | None:
        """Ours at the printed number of decimals."""
        return None if self.printed is None else round_half_up(self.ours, self.unit, self.places)

    @property
    def equal(self) -> bool | None:
        """Whether ours rounds to the printed digits; None if nothing is printed."""
        return None if self.printed is None else self.rounded == self.printed


@dataclass(frozen=True)
class Row:
    """A row of the paper, counted.

    Attributes:
        name: network (Table 2), method (Table 6) or shares (Table 7).
        network: the published network that is counted or edited.
        split: split of the edit; None for the published network itself.
        spec: the network that was counted.
        convention: how the paper counted this row's FLOPs.
        params: parameters; Tables 6 and 7 print none.
        flops: FLOPs under ``convention``.
        top1: top-1 error in percent as printed.
        top5: top-5 error in percent as printed.
        source: "own" or "quoted" from another paper by this one.
    """

    name: str
    network: str
    split: Split | None
    spec: Spec
    convention: Convention
    params: Cell
    flops: Cell
    top1: Decimal
    top5: Decimal | None = None
    source: str = "own"


@dataclass(frozen=True)
class Reproduction:
    """A table of the paper next to ours."""

    number: int
    rows: tuple[Row, ...]

    @property
    def cells(self) -> tuple[tuple[Row, str, Cell], ...]:
        """The cells for which the paper prints a figure: (row, "params" or "flops", cell)."""
        every = ((row, kind, getattr(row, kind)) for row in self.rows for kind in ("params", "flops"))
        return tuple(entry for entry in every if entry[2].printed is not None)

    @property
    def differing(self) -> tuple[tuple[Row, str, Cell], ...]:
        """The cells that do not round to the printed digits."""
        return tuple(entry for entry in self.cells if not entry[2].equal)


def _in(value: int, unit: int, places: int = 2) -> str:
    return f"{round_half_up(value, unit, places)} {'M' if unit == MILLION else 'G'}"


def _reason(name: str, kind: str) -> str | None:
    """Why no rule reproduces a cell, for the cells that none does; the figures in it are counted, like all others."""

    def flops(network: str, convention: Convention) -> str:
        return _in(tally(published(network).graph(), INPUT, convention).total, BILLION)

    if (name, kind) == ("densenet201_elastic", "flops"):
        base = "densenet201"
        return (
            f"the base's figure is the authors' counter, {flops(base, AUTHORS)}, under which this network "
            f"has {flops(name, AUTHORS)}; multiply-adds are {flops(name, MACS)}, but then "
            f"the base has {flops(base, MACS)}: no one rule gives both rows"
        )
    if (name, kind) == ("dla_x102_elastic", "params"):
        graph = published(name).graph()
        return (
            f"the network has {_in(graph.params, MILLION, 3)}, unused projections included as in the other DLA rows "
            f"({_in(graph.params_live, MILLION, 3)} without them)"
        )
    if (name, kind) == ("dla_x102_elastic", "flops"):
        authors, macs = flops(name, AUTHORS), flops(name, MACS)
        return f"the authors' counter gives {authors} and multiply-adds are {macs}: neither rounds to it"
    return None


def table2() -> Reproduction:
    """ImageNet: every network with its parameters and FLOPs."""
    rows = []
    for entry in tables().table2:
        spec = published(entry.model)
        convention, graph = MACS if isinstance(spec, ResNeXt) else AUTHORS, spec.graph()
        name, total = entry.model, tally(graph, INPUT, convention).total
        params = Cell(graph.params, MILLION, entry.params, _reason(name, "params"))
        flops = Cell(total, BILLION, entry.flops, _reason(name, "flops"))
        rows.append(Row(name, name, None, spec, convention, params, flops, entry.top1, entry.top5, entry.source))
    return Reproduction(2, tuple(rows))


def _ablation(name: str, split: Split | None, flops: Decimal, top1: Decimal) -> Row:
    base = published(ABLATED)
    spec = base if split is None else elastic(base, split)
    graph = spec.graph()
    total = tally(graph, INPUT, AUTHORS).total
    return Row(name, ABLATED, split, spec, AUTHORS, Cell(graph.params, MILLION), Cell(total, BILLION, flops), top1)


def table6() -> Reproduction:
    """DLA-X60 by the resampling of its low branch."""
    rows = []
    for entry in tables().table6:
        method = METHODS[entry.method]
        rows.append(_ablation(entry.method, method and parse_split(*method), entry.flops, entry.top1))
    return Reproduction(6, tuple(rows))


def table7() -> Reproduction:
    """DLA-X60 by the share of the paths at each resolution."""
    rows = []
    for entry in tables().table7:
        shares = f"{Fraction(entry.high, 100)}@1,{Fraction(entry.low, 100)}@1/2"
        split = parse_split(shares) if entry.low else None
        rows.append(_ablation(f"{entry.high}/{entry.low}", split, entry.flops, entry.top1))
    return Reproduction(7, tuple(rows))


TABLES = {"table2": table2, "table6": table6, "table7": table7}
"""Tables by name."""
