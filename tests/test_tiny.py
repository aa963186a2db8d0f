"""Read this first: the whole idea in a few lines, in a second."""

from elastic_search import FVCORE, MACS, Shape, elastic, parse_split, published, tally

IMAGE = Shape(3, 224, 224)


def test_base_and_elastic_cost_what_the_paper_says():
    base, variant = published("resnext50"), published("resnext50_elastic")
    assert tally(base.graph(), IMAGE, MACS).total == 4_230_479_872
    assert tally(variant.graph(), IMAGE, MACS).total == 4_176_891_904
    assert tally(base.graph(), IMAGE, MACS).params == 25_028_904


def test_elastic_edit_keeps_parameters_and_lowers_multiply_adds():
    base = published("resnext50")
    edited = elastic(base, parse_split("1/2,1/2"))
    before, after = tally(base.graph(), IMAGE), tally(edited.graph(), IMAGE)
    assert after.params == before.params
    assert after.total < before.total


def test_depths_spend_the_saving():
    deeper = elastic(published("resnext50").with_depths((6, 8, 5, 3)), parse_split("1/2,1/2"))
    assert deeper == published("resnext50_elastic")
    base, variant = (tally(spec.graph(), IMAGE, FVCORE).total for spec in (published("resnext50"), deeper))
    assert abs(variant / base - 1) < 0.003
