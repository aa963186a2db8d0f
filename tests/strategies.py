"""Random networks and splits for property tests: narrow and shallow, so that building them is quick."""

from fractions import Fraction

from hypothesis import strategies as st

from elastic_search.arch.edit import with_splits
from elastic_search.arch.families.densenet import DenseNet
from elastic_search.arch.families.dla import DLA
from elastic_search.arch.families.resnet import ResNet
from elastic_search.arch.families.resnext import ResNeXt
from elastic_search.arch.heads import Classifier
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import LEGAL_RESAMPLING, PLAIN, Branch, Split

DILATIONS = ((1, False), (1, False), (1, False), (2, False), (2, True), (3, True))
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
        Branch(Fraction(share, paths), draw(st.sampled_from(SCALES)), *draw(st.sampled_from(DILATIONS)))
        for share in shares
    )
    return Split(branches, *draw(st.sampled_from(LEGAL_RESAMPLING)))


def split_up(draw, spec: Spec) -> Spec:
    """A split of its own in every block that may scale."""
    return with_splits(spec, lambda i, j, split: draw(splits(spec.paths(i))))


@st.composite
def resnexts(draw) -> Spec:
    """A narrow ResNeXt of one to three stages."""
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
        stem=draw(STEMS),
        se_reduction=draw(st.integers(0, min(4, narrowest))),
        head=Classifier(draw(st.integers(1, 12))),
    )
    return split_up(draw, spec)


@st.composite
def dlas(draw) -> Spec:
    """A DLA of one to three levels of 32 or 64 channels."""
    stages = tuple(
        Stage(draw(st.sampled_from((32, 64))), (PLAIN,) * 2 ** draw(st.integers(1, 2)))
        for _ in range(draw(st.integers(1, 3)))
    )
    spec = DLA(
        stages,
        cardinality=draw(st.integers(1, 4)),
        residual_root=draw(st.booleans()),
        stem_width=draw(st.sampled_from((1, 16, 32))),
        stem=draw(STEMS),
        head=Classifier(draw(st.integers(1, 12))),
    )
    return split_up(draw, spec)


@st.composite
def densenets(draw) -> Spec:
    """A DenseNet of one to three blocks."""
    stages = tuple(
        Stage(draw(st.integers(1, 8)), (PLAIN,) * draw(st.integers(1, 3))) for _ in range(draw(st.integers(1, 3)))
    )
    spec = DenseNet(
        stages,
        growth=draw(st.integers(1, 4)),
        stem_width=draw(st.integers(2, 8)),
        stem=draw(STEMS),
        head=Classifier(draw(st.integers(1, 12))),
    )
    return split_up(draw, spec)


@st.composite
def resnets(draw) -> Spec:
    """A ResNet of one to three stages of basic blocks."""
    stages = tuple(
        Stage(draw(st.integers(1, 8)), (PLAIN,) * draw(st.integers(1, 3))) for _ in range(draw(st.integers(1, 3)))
    )
    head = Classifier(draw(st.integers(1, 12)))
    return split_up(draw, ResNet(stages, stem_width=draw(st.integers(1, 8)), stem=draw(STEMS), head=head))


STEMS = st.sampled_from(("imagenet", "small"))


def specs() -> st.SearchStrategy[Spec]:
    """A narrow, shallow network of any family, with a split of its own in every block that may scale."""
    return st.one_of(resnexts(), dlas(), densenets(), resnets())
