"""The values of options are those that the rooms know."""

import csv
import io
import json
from dataclasses import replace

import pytest

from elastic_search.arch.ops import DTYPES
from elastic_search.arch.split import LEGAL_RESAMPLING
from elastic_search.arch.zoo import published
from elastic_search.cli.flops import flops
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.files import dump_spec


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
        (["flops", "resnext50", "--conventio", "x"], "no such option '--conventio'", "did you mean --convention?"),
        (["flops", "resnext50", "--input"], "option '--input' requires an argument", "elastic-search flops --help"),
        (["flops", "resnext50", "--convention", "fvcor"], "unknown convention 'fvcor'", "did you mean fvcore?"),
        (["flops", "resnext50", "--convention", "x"], "unknown convention 'x'", "the nearest of 9: "),
        (["flopz"], "unknown command 'flopz'", "did you mean flops?"),
        (["space", "cnt"], "unknown command 'cnt'", "did you mean count"),
        (["flops", "resnext50", "--by", "x"], "invalid value for '--by'", "elastic-search flops --help"),
        (["flops", "qqqqq"], "unknown network 'qqqqq'", "the nearest of "),
        (["flops", "resnext5"], "unknown network 'resnext5'", "did you mean resnext50"),
        (["flops", "resnext50", "--dtype", "bf16"], "--dtype changes nothing without --training", "add --training"),
        (["flops", "resnext50", "--batch", "3"], "--batch changes nothing without", "add one of them"),
        (["draw", "resnext50", "-o", "x.svg", "--format", "dot"], "x.svg is named as svg", "give one of"),
    ],
)
def test_every_error_has_one_style(command, arguments, message, hint):
    first, second = command(*arguments, check=2).stderr.splitlines()
    assert first.startswith(f"error: {message}")
    assert second.startswith(f"hint: {hint}") or hint in second
    assert len(second) < 200


@pytest.mark.parametrize("group", [[], ["space"]])
def test_a_group_alone_shows_its_help_and_no_error(command, group):
    said = command(*group, check=2).stderr
    assert said == command(*group, "--help").stdout


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


def test_every_network_takes_its_own_channels_unless_they_are_written(inside, tmp_path):
    text = 'schema = 1\nfamily = "resnet"\nin_channels = {}\nclasses = 10\n[[stages]]\nwidth = 64\ndepth = 1\n'
    for channels in (1, 3):
        (tmp_path / f"of{channels}.toml").write_text(text.format(channels))
    both = ("of1.toml", "of3.toml", "--input", "32")
    rows = list(csv.DictReader(io.StringIO(inside("compare", *both, "--format", "csv").stdout)))
    assert [row["input"] for row in rows] == ["1x32x32", "3x32x32"]
    assert inside("diff", *both).stdout.startswith("1 node differs")
    inside("validate", *both)
    (tmp_path / "wide.toml").write_text(dump_spec(replace(published("resnext50"), in_channels=13)))
    found = json.loads(inside("match", "wide.toml", "--json").stdout)
    assert found["input"] == [13, 224, 224]
    for arguments in (("flops", "of1.toml"), ("compare", "of3.toml", "of1.toml")):
        said = inside(*arguments, "--input", "3x32x32", check=2).stderr
        assert "Conv takes 1 channels, not the 3 of 3x32x32" in said
        assert "larger" not in said
    assert "take 3 channels" in inside("models", "--input", "13x32x32", check=2).stderr
    assert "Conv takes 3 channels" in inside("match", "resnext50", "--input", "13x32x32", check=2).stderr
    assert "an image and nothing else" in inside("match", "resnext50", "--input", "64+1x4", check=2).stderr
    said = inside("flops", "of1.toml", "--input", "32+1x4", check=2).stderr
    assert "of1.toml takes an image and nothing else" in said
