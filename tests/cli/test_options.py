"""The values of options are those that the rooms know."""

from elastic_search.arch.ops import DTYPES
from elastic_search.arch.split import LEGAL_RESAMPLING
from elastic_search.cli.flops import flops
from elastic_search.cost.tools import CONVENTIONS


def test_choices_are_what_can_be_counted():
    choices = {parameter.name: getattr(parameter.type, "choices", ()) for parameter in flops.params}
    assert list(choices["dtype"]) == list(DTYPES) == ["fp32", "bf16", "fp16"]
    assert list(choices["convention"]) == [*CONVENTIONS, "all"]
    assert {(down, up) for down in choices["down"] for up in choices["up"]} >= set(LEGAL_RESAMPLING)
    assert list(choices["up"]) == ["bilinear", "nearest", "trained"]
