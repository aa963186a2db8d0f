"""All depths at which a network with a split meets a target cost: the paper's way from a base to an Elastic network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import log
from statistics import pvariance

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.spec import Spec
from elastic_search.arch.split import PLAIN, Split, as_split
from elastic_search.cost import tools
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import NothingFitsError, SpecError
from elastic_search.space.band import Band, Limit, around
from elastic_search.space.choice import Space
from elastic_search.space.match import Candidate, Matcher
from elastic_search.space.parts import Parts, Quantity

INPUT = image(224, 224)
MAX_DEPTH = 2048
REACH = 3  # blocks by which a stage of a scaled base may differ from an even change


@dataclass(frozen=True)
class Matches:
    """The depths that match.

    Attributes:
        band: the allowed costs.
        params: bounds on the number of parameters, or None.
        found: number of networks that match.
        networks: those nearest to the target, nearest first.
    """

    band: Band
    params: Limit | None
    found: int
    networks: list[Candidate]


def match(
    base: Spec,
    split: Split | str = HALVES,
    *,
    target: int | None = None,
    tolerance: Fraction = Fraction(1, 100),
    params_tolerance: Fraction | None = None,
    convention: Convention | str = FVCORE,
    input: tuple[int, int, int] = INPUT,
    limit: int | None = None,
) -> Matches:
    """Find all depths at which ``base``, with a split in every block that may scale, meets a target cost.

    Considers every combination of depths with at least one block per stage; costs are exact.

    Args:
        base: provides everything but the depths and splits.
        split: split of every block that may scale.
        target: cost in the convention's unit; None for the base's own cost.
        tolerance: allowed distance from the target, as a share of it.
        params_tolerance: the same for the base's number of parameters; None for no limit.
        convention: the counting rules, or their name.
        input: shape of the image.
        limit: most networks to list, or None for all.

    Raises:
        NothingFitsError: if no depths match; names the nearest costs.
        SpecError: if too many depths match to be listed, or the base cannot have the split.

    Wang et al. 2019, section 3: an Elastic network gets other depths, so that it costs as much as its base.
    """
    if not isinstance(base, Spec):
        raise TypeError(f"match takes a spec, not {base!r}: published(name) or load_spec(file)")
    rules, shape = tools.convention(convention), Shape(*input)
    own = tally(base.graph(), shape, rules)
    band = Band(own.total if target is None else target, tolerance, rules, shape)
    # Up to a quarter above the band too, so that the error for an empty band can name what is there.
    space = all_depths(base, as_split(split), band.high + band.target // 4, rules, shape)
    matcher = Matcher(space, rules, shape)
    found, bounds = matcher.some(band), None
    if params_tolerance is not None:
        bounds = around(own.params, params_tolerance, Quantity(None, shape))
        inside, matcher = found, Matcher(space, rules, shape, (bounds,))
        if not (found := matcher.count(band.low, band.high)):
            raise NothingFitsError(
                f"none of the {inside:,} depths that match in cost has {bounds.low:,} to {bounds.high:,} parameters",
                "raise --params-tolerance, in Python params_tolerance",
            )
    return Matches(band, bounds, found, matcher.inside(band, limit))


def scaled(base: Spec, band: Band) -> Spec:
    """The base at another cost: plain blocks, and the depths of all stages changed alike until its cost is in a band.

    Of the networks in the band that are near such a change, that whose stages keep their shares of the depth best. If
    none is, the band is widened twofold until one is: where a block is a large part of the cost, costs are coarse.
    """

    def at(factor: float) -> tuple[int, ...]:
        return tuple(max(1, round(factor * depth)) for depth in base.depths)

    low, high = 0.0, 1.0
    while tally(base.with_depths(at(high)).graph(), band.input, band.convention).total < band.target:
        if max(at(2 * high)) > MAX_DEPTH:
            break
        low, high = high, 2 * high
    for _ in range(30):
        middle = (low + high) / 2
        less = tally(base.with_depths(at(middle)).graph(), band.input, band.convention).total < band.target
        low, high = (middle, high) if less else (low, middle)
    near = tuple(tuple(range(max(1, depth - REACH), depth + REACH + 1)) for depth in at(high))
    matcher = Matcher(Space(base, near, (PLAIN,), (f"{PLAIN.down}+{PLAIN.up}",)), band.convention, band.input)
    wider = band
    while not matcher.count(wider.low, wider.high):
        wider = replace(wider, tolerance=2 * wider.tolerance + Fraction(1, 10**4))

    def uneven(candidate: Candidate) -> tuple[float, int]:
        """How differently the stages are scaled; the distance from the target."""
        depths = (option.depth for option in candidate.options)
        return pvariance([log(d / before) for d, before in zip(depths, base.depths, strict=True)]), abs(
            candidate.cost - band.target
        )

    return min(matcher.inside(wider), key=uneven).spec


def all_depths(base: Spec, split: Split, most: int, convention: Convention, input: Shape) -> Space:
    """A space that has every combination of depths that costs at most ``most``, with at least one block per stage.

    A stage is at most as deep as it can be while all others have one block; block costs are positive, so nothing that
    fits is left out.
    """
    parts = Parts(base, (Quantity(convention, input),))

    def cost(deep: int, depth: int) -> int:
        """Cost of the network whose stage ``deep`` has this depth, and all others one."""
        depths = tuple(depth if i == deep else 1 for i in range(len(base.stages)))
        return parts.network(elastic(base.with_depths(depths), split).stages, depths)[0]

    legal = []
    for i in range(len(base.stages)):
        fits, fails = 1, 2
        while cost(i, fails) <= most:
            fits, fails = fails, 2 * fails
            if fails > MAX_DEPTH:
                raise SpecError(
                    f"{base.stage_name(i)}: a depth above {MAX_DEPTH} fits the target: too many depths to match",
                    "lower --target",
                )
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if cost(i, middle) <= most else (fits, middle)
        legal.append(tuple(range(1, fits + 1)))
    return Space(base, tuple(legal), (split,), (f"{split.down}+{split.up}",))
