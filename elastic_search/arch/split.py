"""How a block divides its paths over scales, and the paper's edit.

A split is written as branches ``share[@scale][~dilation[ap]]`` joined by commas, for example
``1/2,1/4@1/2,1/4@1/4``. In the short form the i-th bare share has scale 1/2^i, so ``1/2,1/2``
means ``1/2@1,1/2@1/2``. ``ap`` puts an average pool before a dilated branch. Wang et al. 2019, section 3.2, equation 3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache

from elastic_search.errors import SplitError

LEGAL_RESAMPLING = (("avgpool", "bilinear"), ("avgpool", "nearest"), ("trained", "trained"))
DILATED, POOLED = "dilated", "dilated+avgpool"
TYPES = (*map("+".join, LEGAL_RESAMPLING), DILATED, POOLED)
"""What a low branch is in the paper's Table 6: resampled in three ways, or dilated in two."""
MAX_FACTOR = 16
MAX_TEXT = 200

# Compiled by ``re`` when the first split is read: published networks start without.
_BRANCH = r"(?P<share>\d+(?:/\d+|\.\d+)?)(?:@(?P<scale>\d+(?:/\d+|\.\d+)?))?(?:~(?P<dilation>\d+)(?P<pooled>ap)?)?"


@dataclass(frozen=True)
class Branch:
    """A share of a block's paths that works at one scale.

    Attributes:
        share: part of the block's paths, in (0, 1].
        scale: resolution relative to the block's, 1/r with a whole r.
        dilation: of the branch's wide convolution.
        pooled: whether a 3 × 3 average pool of stride 1 stands before a dilated branch.
    """

    share: Fraction
    scale: Fraction = Fraction(1)
    dilation: int = 1
    pooled: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise SplitError(f"share {self.share}: must be above 0 and at most 1")
        if self.scale.numerator != 1 or self.scale.denominator > MAX_FACTOR:
            raise SplitError(f"scale {self.scale}: must be 1/r, with r a whole number from 1 to {MAX_FACTOR}")
        if self.dilation < 1:
            raise SplitError(f"dilation {self.dilation}: must be at least 1")
        if self.pooled and self.dilation == 1:
            raise SplitError("an average pool (ap) needs a dilated branch", "as in 1/2@1,1/2@1~2ap")

    @property
    def factor(self) -> int:
        """The r of scale 1/r."""
        return self.scale.denominator

    @property
    def name(self) -> str:
        """Name of the branch's node in its block: ``at2`` at scale 1/2, ``at1d2ap`` pooled with dilation 2."""
        dilated = f"d{self.dilation}" if self.dilation > 1 else ""
        return f"at{self.factor}{dilated}" + ("ap" if self.pooled else "")

    def __str__(self) -> str:
        dilated = f"~{self.dilation}" if self.dilation > 1 else ""
        return f"{self.share}@{self.scale}{dilated}" + ("ap" if self.pooled else "")


@dataclass(frozen=True, repr=False)
class Split:
    """Branches of a block and how those below the block's resolution are resampled.

    Equal splits are equal values: branches equal in all but their share are merged, the order is by
    scale, and a split without a low branch has the default resampling, since it has none.
    """

    branches: tuple[Branch, ...]
    down: str = "avgpool"
    up: str = "bilinear"

    def __post_init__(self) -> None:
        shares: dict[tuple[Fraction, int, bool], Fraction] = {}
        for branch in self.branches:
            key = (branch.scale, branch.dilation, branch.pooled)
            shares[key] = shares.get(key, Fraction(0)) + branch.share
        if sum(shares.values()) != 1:
            raise SplitError(f"shares {', '.join(str(b.share) for b in self.branches)} must add up to 1")
        merged = tuple(
            Branch(share, *key) for key, share in sorted(shares.items(), key=lambda item: (-item[0][0], *item[0][1:]))
        )
        object.__setattr__(self, "branches", merged)
        if (self.down, self.up) not in LEGAL_RESAMPLING:
            legal = ", ".join(f"{down} + {up}" for down, up in LEGAL_RESAMPLING)
            raise SplitError(f"down {self.down} and up {self.up} cannot be combined", f"legal: {legal}")
        if not self.scales_down:
            object.__setattr__(self, "down", "avgpool")
            object.__setattr__(self, "up", "bilinear")
        if self.up == "trained":
            for branch in merged:
                if branch.factor > 1 and branch.factor % 2:
                    raise SplitError(f"scale {branch.scale}: trained up-sampling needs an even factor")

    @cached_property
    def _hash(self) -> int:
        return hash((self.branches, self.down, self.up))

    def __hash__(self) -> int:
        # Splits are parts of many cache keys, and fractions are slow to hash.
        return self._hash

    def __reduce__(self) -> tuple[type[Split], tuple[object, ...]]:
        # Another process hashes strings in its own way: what is cached here stays here.
        return Split, (self.branches, self.down, self.up)

    def __repr__(self) -> str:
        return f"<Split {self}{f', {self.down}, {self.up}' if self.scales_down else ''}>"

    @cached_property
    def scales_down(self) -> bool:
        """Whether any branch works below the block's resolution."""
        return any(branch.factor > 1 for branch in self.branches)

    @cached_property
    def is_plain(self) -> bool:
        """Whether this is the base network's block: one branch, full resolution, no dilation."""
        return self.branches == (Branch(Fraction(1)),)

    def __str__(self) -> str:
        return ",".join(map(str, self.branches))

    @property
    def short(self) -> str:
        """The short form where there is one, else the full one."""
        bare = ",".join(str(branch.share) for branch in self.branches)
        # i-th share at scale 1/2^i and no dilation is what bare shares mean.
        plain = all(b.scale == Fraction(1, 2**i) and b.dilation == 1 for i, b in enumerate(self.branches))
        return bare if plain else str(self)


PLAIN = Split((Branch(Fraction(1)),))


@lru_cache(maxsize=1024)
def parse_split(text: str, down: str = "avgpool", up: str = "bilinear") -> Split:
    """Read a split such as ``1/2,1/2`` or ``1/2@1,1/4@1/2,1/4@1/4``.

    Raises:
        SplitError: if the text is malformed, or the shares do not add up to 1.
    """
    if len(text) > MAX_TEXT:
        raise SplitError(f"split of {len(text)} characters: must be at most {MAX_TEXT}")
    branches = []
    for i, part in enumerate(text.replace(" ", "").split(",")):
        found = re.fullmatch(_BRANCH, part)
        if found is None:
            raise SplitError(
                f"split {text!r}: cannot read branch {part!r}",
                "write share[@scale][~dilation[ap]], as in 1/2@1,1/2@1/2",
            )
        try:
            scale = Fraction(found["scale"]) if found["scale"] else Fraction(1, 2**i)
            branches.append(Branch(Fraction(found["share"]), scale, int(found["dilation"] or 1), bool(found["pooled"])))
        except ZeroDivisionError:
            raise SplitError(f"split {text!r}: branch {part!r} divides by zero") from None
        except SplitError as error:
            raise SplitError(f"split {text!r}: {error.message}", error.hint) from None
    try:
        return Split(tuple(branches), down, up)
    except SplitError as error:
        raise SplitError(f"split {text!r}: {error.message}", error.hint) from None


def as_split(split: Split | str) -> Split:
    """A split, or the text of one."""
    return parse_split(split) if isinstance(split, str) else split


def resampled(split: Split, down: str | None, up: str | None) -> Split:
    """The split with other types of down- or up-sampling, where it has a low branch.

    One type given alone brings its only legal partner, so that ``up="trained"`` is enough.
    """
    if not split.scales_down or (down is None and up is None):
        return split
    down, up = resampling_pair(down, up, (split.down, split.up))
    return replace(split, down=down, up=up)


@lru_cache(maxsize=4096)
def typed(split: Split, kind: str) -> Split:
    """The split with its low branches made as one of the ``TYPES`` of Table 6.

    The dilated types keep a low branch's resolution, and dilate it by the factor of its scale instead.
    """
    if kind not in (DILATED, POOLED):
        down, up = kind.split("+")
        return resampled(split, down, up)
    branches = (
        Branch(b.share, dilation=b.factor * b.dilation, pooled=kind == POOLED) if b.factor > 1 else b
        for b in split.branches
    )
    return Split(tuple(branches))


def resampling_pair(
    down: str | None, up: str | None, current: tuple[str, str] = ("avgpool", "bilinear")
) -> tuple[str, str]:
    """Complete a pair of down- and up-sampling types of which one may be missing."""
    if down is not None and up is not None:
        return down, up
    for pair in (current, *LEGAL_RESAMPLING):
        if pair in LEGAL_RESAMPLING and down in (None, pair[0]) and up in (None, pair[1]):
            return pair
    return down or current[0], up or current[1]


def whole_groups(share: Fraction, paths: int, where: str) -> int:
    """Number of paths that a share of ``paths`` is.

    Raises:
        SplitError: if it is not whole; suggests shares that are.
    """
    count = share * paths
    if paths == 1 and share != 1:
        rule = f"split at {where}: a block of one path, as in a ResNet, cannot be divided"
        raise SplitError(rule, "take a network with several paths per block, such as resnext50")
    if count.denominator != 1:
        legal = [Fraction(n, d) for d in (2, 3, 4, 5, 6, 8, 10, 16, 32) if d <= paths for n in range(1, d)]
        whole = {s for s in legal if (s * paths).denominator == 1}
        near = sorted(whole, key=lambda s: (s.denominator, abs(s - share)))[:3]
        hint = f"try {', '.join(map(str, sorted(near)))}" if near else "no share below 1 is possible"
        raise SplitError(
            f"share {share} of {paths} paths is {float(count):.2f} at {where}; shares must give whole groups", hint
        )
    return count.numerator
