"""The values of options are those that the rooms know."""

import json

import pytest

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


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["flops"], "missing argument 'NAME'", "elastic-search flops --help shows what it takes"),
        (["flops", "resnext50", "--foo"], "no such option '--foo'", "elastic-search flops --help"),
        (["flopz"], "no such command 'flopz'", "elastic-search --help"),
        (["flops", "resnext50", "--by", "x"], "invalid value for '--by'", "elastic-search flops --help"),
        (["flops", "qqqqq"], "unknown network 'qqqqq'", "the nearest of "),
        (["flops", "resnext5"], "unknown network 'resnext5'", "did you mean resnext50"),
        (["flops", "resnext50", "--dtype", "bf16"], "--dtype changes nothing without --training", "add --training"),
        (["flops", "resnext50", "--batch", "3"], "--batch changes nothing without", "add one of them"),
        (["draw", "resnext50", "-o", "x.svg", "--format", "dot"], "x.svg is the name of a svg file", "give one of"),
    ],
)
def test_every_error_has_one_style(command, arguments, message, hint):
    first, second = command(*arguments, check=2).stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert second.startswith(f"hint: {hint}") or hint in second
    assert len(second) < 200


def test_version_is_short_too(command):
    assert command("-V").stdout == command("--version").stdout


def test_match_takes_a_target(command):
    found = json.loads(command("match", "resnext50", "--target", "2G", "--json").stdout)
    assert found["networks"]
    assert all(abs(network["count"] - 2 * 10**9) <= 2 * 10**7 for network in found["networks"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("elastic-search flops resnext50_el", "resnext50_elastic"),
        ("elastic-search search resn", "resnext50_blocks"),
        ("elastic-search doctor ru", "run7"),
    ],
)
def test_shells_complete_networks_spaces_and_runs(command, tmp_path, words, expected):
    (tmp_path / "runs" / "run7").mkdir(parents=True)
    (tmp_path / "runs" / "run7" / "run.json").write_text("{}")
    done = command(
        COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1), _PYTHON_M_ELASTIC_SEARCH_COMPLETE="bash_complete",
        _ELASTIC_SEARCH_COMPLETE="bash_complete",
    )  # fmt: skip
    assert f"plain,{expected}" in done.stdout.splitlines()


def test_channels_of_the_input_are_taken_by_every_command(inside, tmp_path):
    (tmp_path / "user_channels.py").write_text(
        "from torch import nn\ndef net(): return nn.Sequential(nn.Conv2d(13, 8, 1))\n"
    )
    (tmp_path / "grey.toml").write_text(
        'schema = 1\nfamily = "resnet"\nin_channels = 1\nclasses = 10\n[[stages]]\nwidth = 64\ndepth = 1\n'
    )
    for name, more in (("user_channels:net", ["--input", "13x32x32"]), ("grey.toml", ["--input", "32"])):
        inside("compare", name, *more)
        inside("diff", name, name, *more)
        inside("draw", name, *more, "--format", "dot")
    inside("validate", "user_channels:net", "--input", "13x32x32")
