"""A result as a record: what is written is read again, and what is not known is not written."""

import json
from dataclasses import replace

import pytest

from elastic_search.errors import EnvironmentFault
from elastic_search.search.store.result import Result

PLAIN = Result(3, {"depth": 4}, "a", 10, 20, 7, 0.5, {"small": 0.25}, 1.5, 30, 40, (0.25, 0.5))
RICH = replace(PLAIN, test_accuracy=0.625, accuracy_by_class=(0.5, None, 0.4), standard_error=0.02)


@pytest.mark.parametrize("result", (PLAIN, RICH))
def test_result_survives_its_file(result):
    assert Result.read(json.loads(json.dumps(result.to_dict())), 3, "trials/3.json", "") == result


def test_record_names_accuracies_of_classes_and_errors_only_where_there_are_some():
    assert set(RICH.to_dict()) - set(PLAIN.to_dict()) == {"test_accuracy", "accuracy_by_class", "standard_error"}


@pytest.mark.parametrize(
    ("key", "value"),
    (
        ("accuracy_by_class", None),
        ("accuracy_by_class", {"shirt": 0.5}),
        ("accuracy_by_class", [0.5, "0.5"]),
        ("standard_error", "0.1"),
        ("standard_error", None),
    ),
)
def test_damaged_record_is_refused_by_key(key, value):
    with pytest.raises(EnvironmentFault, match=f"its {key} is not valid"):
        Result.read(json.loads(json.dumps(RICH.to_dict())) | {key: value}, 3, "trials/3.json", "")
