"""The command data, as users type it."""

import csv
import io
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from elastic_search.cli.main import cli
from elastic_search.report.data import bytes_text
from elastic_search.report.decoding import Decoding
from tests.data.array_files import Attack, cifar10, images, keras, medmnist, python3
from tests.data.staging import tree
from tests.staging import bare, on_a_terminal


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Runs the command beside a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))

    def run(*args):
        return CliRunner().invoke(cli, ["data", *map(str, args)])

    return run


def test_table_names_splits_classes_and_what_was_left_out(data, tmp_path):
    root = tree(tmp_path / "pets", 20, ("cat", "dog"))
    (root / "cat" / "broken.png").write_bytes(b"")
    done = data(root)
    assert done.exit_code == 0
    assert "pets: 40 images of 2 classes" in done.stdout
    assert re.search(
        r"images +28 train \(72% of images\), 4 rank \(8% of images\), 8 final \(20% of images\)", done.stdout
    )
    assert re.search(r"left out +1 \(cannot be read\)\n", done.stdout)
    assert re.search(r"classes +20 images each\n", done.stdout)
    assert re.search(r"originals +24x20 px; RGB\n", done.stdout)
    assert re.search(r"cat +21 +14 +2 +4\n", done.stdout)
    assert "cat/broken.png (empty)" in done.stdout
    assert str(tmp_path / "home" / "elastic-search" / "images") in done.stdout


def test_json_and_csv_count_the_same_images(data, tmp_path):
    file = medmnist(tmp_path / "set.npz")
    said = json.loads(data(file, "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(data(file, "--format", "csv").stdout)))
    assert [{key: str(value) for key, value in one.items()} for one in said["classes"]] == rows
    assert {one["split"]: one["images"] for one in said["splits"]} == {"train": 30, "rank": 30, "final": 30}
    assert (said["images"], said["listed"], said["imbalance"]) == (90, 90, 1)
    assert said["sizes"] == [[28, 28], [28, 28], [28, 28]]


def test_options_decide_what_is_decoded(data, tmp_path):
    root = cifar10(tmp_path / "set")
    said = json.loads(data(root, "--edge", "16", "--subset", "50%", "--rank-on", "val", "--json").stdout)
    assert (said["edge"], said["subset"], said["rank_on"]) == (16, 0.5, "val")
    assert [one["split"] for one in said["splits"]] == ["train", "rank"]
    assert said["images"] == 45
    assert {one["final"] for one in said["classes"]} == {None}


@pytest.mark.parametrize("fmt", ("markdown", "latex"))
def test_documents_hold_both_tables(data, tmp_path, fmt):
    done = data(tree(tmp_path / "pets"), "--format", fmt)
    assert "Images of each class" in done.stdout
    assert "72" in done.stdout


def test_a_thousand_classes_stay_readable(data, tmp_path):
    count = 1000
    extra = np.repeat([3, 5], (9, 4))
    marks = np.concatenate([np.tile(np.arange(count), 3), extra])
    np.savez(tmp_path / "set.npz", images=images(len(marks), 0, (2, 2)), labels=marks)
    text = bare(on_a_terminal("data", str(tmp_path / "set.npz"), "--edge", "8", columns=80))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) < 40
    assert "Images of the 8 largest and the 8 smallest classes" in text
    assert "(984 more)" in text
    first = next(i for i, line in enumerate(lines) if line.startswith("class ")) + 2
    assert [line.split()[:2] for line in lines[first : first + 3]] == [["3", "12"], ["5", "7"], ["0", "3"]]
    assert "3 images (0) to 12 (3), largest : smallest 4" in text


def test_sheet_is_written_as_its_name_says(data, tmp_path):
    done = data(keras(tmp_path / "set.npz"), "-o", tmp_path / "sheet.png")
    assert done.exit_code == 0
    assert "wrote" in done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 8 * 48


WRONG = {
    "": ("no images were given", 2),
    "{set} --edge 7": ("--edge", 2),
    "{set} --edge x": ("--edge", 2),
    "{set} --subset 0": ("is nothing", 2),
    "{set} --subset 200%": ("more than 100%", 2),
    "{set} --rank-on test": ("--rank-on", 2),
    "{set} --remove abcd": ("--remove is for caches", 2),
    "{set} --unused 3d": ("--unused is for caches", 2),
    "{set} --caches": ("PATH is not for --caches", 2),
    "--caches --edge 8": ("--edge is not for --caches", 2),
    "--caches -o x.png": ("--output is not for --caches", 2),
    "--caches --remove abcd --unused 3d": ("contradict each other", 2),
    "--caches --unused soon": ("'soon': not a time", 2),
    "--caches --remove ab": ("too short to name a cache", 2),
    "--caches --remove abcdef": ("unknown cache 'abcdef'", 2),
    "{set} -o sheet.gif": ("sheet.gif: unknown suffix", 2),
    "{set} -o nowhere/sheet.png": ("there is no folder nowhere", 2),
    "{set} --cache {set}/caches": ("would lie among the images", 2),
    "{tmp}/nowhere": ("nowhere: there is no such folder or file", 3),
    "{tmp}/attack": ("refused, as it wants sys.exit", 3),
    "{tmp}/bad.npz": ("x_train is an array of objects", 3),
    "{tmp}/chest.npz": ("several for an image", 3),
    "{tmp}/empty": ("there is no folder of images", 3),
    "{tmp}/data.tar.gz": ("data.tar.gz: is packed", 3),
}


@pytest.mark.parametrize("line", WRONG)
def test_wrong_input_is_one_line_and_writes_nothing(data, tmp_path, line):
    message, code = WRONG[line]
    tree(tmp_path / "set", 3)
    (tmp_path / "attack").mkdir()
    (tmp_path / "attack" / "data_batch_1").write_bytes(python3({b"data": Attack()}))
    np.savez(tmp_path / "bad.npz", x_train=np.array([Attack()], object), y_train=np.array([0]))
    np.savez(tmp_path / "chest.npz", train_images=images(3), train_labels=np.zeros((3, 14), int))
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.tar.gz").write_bytes(b"")
    done = data(*line.format(set=tmp_path / "set", tmp=tmp_path).split())
    assert done.exit_code == code
    error, *hint = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert all(line.startswith("hint: ") for line in hint)
    assert done.stdout == ""
    assert not list(tmp_path.rglob("meta.json"))


def test_caches_are_listed_and_removed(data, tmp_path):
    one, other = tree(tmp_path / "one"), keras(tmp_path / "other.npz")
    for args in ((one, "--edge", 8), (one, "--edge", 16), (other,)):
        assert data(*args).exit_code == 0
    said = json.loads(data("--caches", "--json").stdout)
    assert sorted((cache["name"], cache["edge"], cache["state"]) for cache in said["caches"]) == [
        ("one", 8, "whole"), ("one", 16, "whole"), ("other.npz", 64, "whole")
    ]  # fmt: skip
    assert said["bytes"] == sum(cache["bytes"] for cache in said["caches"])
    first = said["caches"][0]
    done = data("--caches", "--remove", first["key"][:8], "--json")
    assert done.stderr.startswith(f"removed {first['key']} {first['name']}, ")
    left = json.loads(done.stdout)
    assert (left["removed"], len(left["caches"])) == (first["bytes"], 2)
    done = data("--caches", "--unused", "1d")
    assert done.exit_code == 0
    assert "no cache has been unused for 1d" in done.stderr
    assert "just now" in done.stdout
    done = data("--caches", "--unused", "0h")
    assert "0 caches in" in done.stdout
    assert not list(tmp_path.rglob("pixels.npy"))


def test_unfinished_and_damaged_caches_are_listed_as_such(data, tmp_path):
    data(tree(tmp_path / "set"))
    (meta,) = tmp_path.rglob("meta.json")
    meta.write_text("{}")
    assert re.search(r"^[0-9a-f]{8} +- +- .* damaged$", data("--caches").stdout, re.MULTILINE)
    (cache,) = json.loads(data("--caches", "--json").stdout)["caches"]
    assert (cache["name"], cache["edge"], cache["state"]) == (None, None, "damaged")


def test_bar_is_shown_on_a_terminal_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    decoding = Decoding("[bold]pets")
    decoding(3, 10)
    decoding(10, 10)
    decoding.clear()
    assert "[bold]pets: decoding" in shown.getvalue()
    assert "10/10" in shown.getvalue()
    piped = io.StringIO()
    monkeypatch.setattr("sys.stderr", piped)
    decoding = Decoding("pets")
    decoding(3, 10)
    decoding.clear()
    assert piped.getvalue() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    ((0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (12_340_000, "12.3 MB"), (10**12, "1000.0 GB")),
)
def test_bytes_are_written_as_people_do(count, text):
    assert bytes_text(count) == text
