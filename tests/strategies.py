"""Random networks and splits for property tests: narrow and shallow, so that building them is quick."""

from fractions import Fraction

from hypothesis import strategies as st

from elastic_search.arch.edit import with_splits
from elastic_search.arch.resnext import ResNeXt, Stage
from elastic_search.arch.split import LEGAL_RESAMPLING, PLAIN, Branch, Split

SCALES = (Fraction(1), Fraction(1, 2), Fraction(1, 4))


@st.composite
def splits(draw, paths: int) -> Split:
    """One to three branches whose shares are whole numbers of ``paths``."""
    number = draw(st.integers(1, min(3, paths)))
    cuts = sorted(
        draw(st.lists(st.integers(1, max(1, paths - 1)), min_size=number - 1, max_size=number - 1, unique=True))
    )
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, paths], strict=True)]
    branches = tuple(
        Branch(Fraction(share, paths), draw(st.sampled_from(SCALES)), draw(st.sampled_from((1, 1, 1, 2))))
        for share in shares
    )
    return Split(branches, *draw(st.sampled_from(LEGAL_RESAMPLING)))


@st.composite
def specs(draw) -> ResNeXt:
    """A narrow ResNeXt of one to three stages with a split of its own in every block that may scale."""
    cardinality = draw(st.sampled_from((1, 2, 3, 4, 6)))
    stages = tuple(
        Stage(cardinality * draw(st.integers(1, 3)), (PLAIN,) * draw(st.integers(1, 3)))
        for _ in range(draw(st.integers(1, 3)))
    )
    expansion = draw(st.integers(1, 4))
    narrowest = min(stage.width for stage in stages) * expansion
    spec = ResNeXt(
        stages,
        cardinality=cardinality,
        expansion=expansion,
        stem_width=draw(st.integers(1, 8)),
        stem=draw(st.sampled_from(("imagenet", "small"))),
        se_reduction=draw(st.integers(0, min(4, narrowest))),
        classes=draw(st.integers(1, 12)),
    )
    return with_splits(spec, lambda i, j, split: draw(splits(cardinality)))
