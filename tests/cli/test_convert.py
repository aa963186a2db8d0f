"""``elastic-search convert``, as users type it."""

import errno
import json
import os
import re

import pytest
import torch
from click.testing import CliRunner

from elastic_search import load_published, load_weights
from elastic_search.arch.zoo import published
from elastic_search.cli.main import cli
from tests.nn.authors import authors_network, released_form


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("release") / "dla60x_elastic.pth.tar"
    state = {
        f"module.{key}": value for key, value in released_form(authors_network(published("dla_x60_elastic"))).items()
    }
    torch.save({"epoch": 120, "state_dict": state}, path, _use_new_zipfile_serialization=False)
    yield path
    path.unlink()


def test_convert_tells_what_became_of_the_keys_and_writes_what_loads(command, checkpoint, tmp_path):
    output = tmp_path / "dla60x_elastic.safetensors"
    done = command("convert", "dla_x60_elastic", str(checkpoint))
    keys = {name: int(count) for name, count in re.findall(r"^(\S.*?)  +(\d+)$", done.stdout, re.MULTILINE)}
    total = keys.pop("total")
    assert keys["dropped: dead projection"] == 15
    assert keys["dropped: batch counter"] == 0
    assert sum(keys.values()) == total == 508
    assert all(keys[fate] for fate in ("same name", "renamed", "merged with its other half"))
    assert "elastic_search.load_weights('dla60x_elastic.safetensors')" in done.stdout
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(load_weights(output)(images), load_published("dla_x60_elastic", checkpoint)(images))
    output.unlink()


def test_convert_replaces_a_file_only_when_told_and_never_its_source(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "dla60x_elastic.safetensors"
    output.write_bytes(b"precious")
    args = ["convert", "dla_x60_elastic"]
    done = CliRunner().invoke(cli, [*args, str(checkpoint)])
    assert done.exit_code == 2
    assert "replace it with --force" in done.stderr
    done = CliRunner().invoke(cli, [*args, output.name, "-o", str(output), "--force"])
    assert done.exit_code == 2
    assert "is the file to be converted" in done.stderr
    assert output.read_bytes() == b"precious"
    done = CliRunner().invoke(cli, [*args, str(checkpoint), "--force", "--json"])
    assert done.exit_code == 0
    data = json.loads(done.stdout)
    assert data["schema"] == 2
    assert data["output"] == output.name
    assert data["dropped"] == {"dead projection": 15, "batch counter": 0}
    assert data["keys"] == data["same"] + data["renamed"] + data["merged"] + 15 == 508
    assert len(data["source_sha256"]) == 64
    load_weights(output)
    output.unlink()


@pytest.mark.parametrize(
    ("args", "expected"),
    (
        ("resnext5 x.pt", "did you mean resnext50"),
        ("resnext50 none.pt", "none.pt: no such file"),
        ("resnext50 bad.pth.tar", "cannot be read as a checkpoint"),
        ("resnext50 .", "not a file"),
        ("resnext50 bad.pth.tar -o no/where.safetensors", "not a file in an existing folder"),
        ("resnext50 bad.pth.tar -o .", "not a file in an existing folder"),
        ("resnext50 bad.pth.tar -o /dev/null --force", "not a file in an existing folder"),
    ),
)
def test_wrong_input_ends_with_a_message(command, tmp_path, args, expected):
    (tmp_path / "bad.pth.tar").write_bytes(b"abc")
    done = command("convert", *args.split(), check=2)
    assert expected in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"bad.pth.tar"}


def test_output_that_cannot_be_written_is_named(checkpoint, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["convert", "dla_x60_elastic", str(checkpoint), "-o", "x.safetensors"])
    assert done.exit_code == 3
    assert done.stderr == "error: x.safetensors: cannot be written (No space left on device)\n"
    assert not list(tmp_path.iterdir())


def test_checkpoint_of_another_network_is_refused_with_its_name(command, checkpoint, tmp_path):
    done = command("convert", "dla_x60", str(checkpoint), "-o", "x.safetensors", check=2)
    assert "this is a checkpoint of dla_x60_elastic" in done.stderr
    assert "more unknown" in done.stderr
    assert not list(tmp_path.iterdir())
