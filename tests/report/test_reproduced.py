import pytest

from elastic_search.report.searches import GPU_TOLERANCE, curves_report, reproduced


@pytest.mark.parametrize(
    ("again", "tolerance", "is_so"),
    (([0.1, 0.5], 0.0, True), ([0.1, 0.51], 0.0, False), ([0.3, 0.51], GPU_TOLERANCE, True),
     ([0.1, 0.46], GPU_TOLERANCE, False)),
)  # fmt: skip
def test_training_counts_as_reproduced_within_the_tolerance_of_its_device(again, tolerance, is_so):
    recorded = [0.1, 0.5]
    assert reproduced(recorded, again, tolerance) == is_so
    report = curves_report("one", "0", recorded, again, [], tolerance)
    assert ("differs" in report.title) != is_so
    assert report.head["equal"] == (recorded == again)
    assert any("may be 3 points" in note for note in report.notes) == bool(tolerance)
