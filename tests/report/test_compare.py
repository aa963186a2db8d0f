"""Bars and sparks in a comparison."""

from elastic_search.report.compare import bar, spark


def test_bars_are_as_long_as_their_shares():
    assert (bar(0.5), bar(1.0), bar(0.0), bar(0.05)) == ("█████", "██████████", "", "▌")
    assert bar(0.0001) == "▏"
    assert (bar(0.34, blocks=False), bar(0.001, blocks=False)) == ("###", "#")
    assert (spark((0.5, 0.25, 0.25)), spark((0.5, 0.25, 0.0), blocks=False)) == ("█▅▅", "520")
    assert spark(()) == ""
