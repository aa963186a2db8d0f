"""``search`` on images of the user's own, as users run it."""

import json
import os
import random
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from elastic_search.files import load_spec
from tests.cli.staging import SPACE, launch, space, wait_for  # noqa: F401
from tests.data.staging import encoded, parted, picture

OWN = ("search", "tiny.toml", "--device", "cpu", "--data", "set", "--cache", "caches")
CLASSES = 2


@pytest.fixture
def images(space):  # noqa: F811
    """A folder of JPEGs and others, of all the modes that people have, turned and broken ones among them."""
    root = parted(space / "set", count=24, held_out=6)
    some = root / "train/cat"
    for at, mode in enumerate(("L", "CMYK", "RGBA", "P", "1", "LA", "I;16")):
        image = picture(500 + at).convert("I" if mode == "I;16" else mode)
        (some / f"mode{at}.png").write_bytes(encoded(image, "TIFF" if mode in ("CMYK", "I;16") else "PNG"))
    turned = Image.Exif()
    turned[0x0112] = 6
    (some / "turned.jpg").write_bytes(encoded(picture(600), "JPEG", exif=turned))
    (some / "broken.jpg").write_bytes(encoded(picture(601), "JPEG")[:300])
    (some / "empty.png").write_bytes(b"")
    (some / "notes.txt").write_text("not an image")
    return root


def tree_of(folder):
    return {path.relative_to(folder) for path in folder.rglob("*")}


def networks(done):
    rows = json.loads(done.stdout)["networks"]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def test_a_search_on_a_folder_ranks_on_held_out_images_and_reads_val_at_the_end(command, images):
    folder, before = images.parent, tree_of(images)
    done = command(*OWN, "--trials", "4", "--no-halving", columns=200)
    head = next(line for line in done.stdout.splitlines() if line.startswith("#"))
    assert "held-out acc" in head
    assert "val acc" in head
    assert "testing 4 networks on val/" in done.stderr
    assert "a proxy, not a full training" in done.stdout
    rows = networks(command(*OWN, "--trials", "4", "--no-halving", "--json"))
    assert [row["test_accuracy"] is not None for row in rows] == [True] * 4 + [False]
    assert all(row["spec"]["classes"] == CLASSES for row in rows)
    assert load_spec(folder / "runs/tiny/best.toml").head.classes == CLASSES
    assert tree_of(images) == before
    assert {path.name for path in folder.iterdir()} == {"set", "caches", "runs", "tiny.toml"}
    kept = {path.stem for path in (folder / "runs/tiny/kept").iterdir()}
    assert kept == {"base", "0", "1", "2", "3"}
    again = command("reproduce", "tiny", "0", "--device", "cpu", "--cache", "caches")
    assert "reproduced" in again.stdout


def test_a_search_on_files_of_cifars_format_takes_their_size_and_classes(inside, space):  # noqa: F811
    rows = np.random.default_rng(0).integers(0, 256, (3, 60, 3073), np.uint8)
    rows[:, :, 0] = np.arange(60) % 10
    folder = space / "cifar-10-batches-bin"
    folder.mkdir()
    for name, part in zip(("data_batch_1", "data_batch_2", "test_batch"), rows, strict=True):
        (folder / f"{name}.bin").write_bytes(part.tobytes())
    (space / "tiny.toml").write_text(SPACE.replace("[band]\ninput = 64\n", ""))
    arguments = [str(folder) if word == "set" else word for word in OWN]
    found = json.loads(inside(*arguments, "--trials", "1", "--json").stdout)
    assert found["band"]["input"] == [3, 32, 32]
    assert [row["spec"]["classes"] for row in found["networks"]] == [10, 10]
    assert all(len(row["accuracy_by_class"]) == 10 for row in found["networks"])
    assert all(row["test_accuracy"] is not None for row in found["networks"])


def test_ranking_on_val_leaves_nothing_new_and_says_so(inside, images):
    done = inside(*OWN, "--trials", "1", "--rank-on", "val", "--keep", "0", columns=200)
    assert "rank_on in [data] ranks on others" in done.stdout
    assert "held-out" not in done.stdout
    assert not (images.parent / "runs/tiny/kept").exists()


def test_val_is_read_for_the_best_three_however_few_proxies_are_kept(inside, images):
    done = inside(*OWN, "--trials", "3", "--no-halving", "--keep", "1", "--json")
    assert [row["test_accuracy"] is not None for row in networks(done)] == [True] * 4
    best = next(row["trial"] for row in networks(done) if row["rank"] == 1)
    assert {path.stem for path in (images.parent / "runs/tiny/kept").iterdir()} == {"base", str(best)}


def test_a_space_file_names_its_images(inside, images):
    (images.parent / "tiny.toml").write_text(SPACE + '[data]\npath = "set"\nsubset = "50%"\n')
    done = inside("search", "tiny.toml", "--device", "cpu", "--trials", "1", "--cache", "caches", "--dry-run", "--json")
    assert json.loads(done.stdout)["trials"] == 1
    assert not (images.parent / "runs").exists()


def test_a_run_knows_its_images_by_content(inside, images):
    folder = images.parent
    inside(*OWN, "--trials", "1")
    images.rename(folder / "moved")
    moved = [arg if arg != "set" else "moved" for arg in OWN]
    inside(*moved, "--trials", "1")
    other = inside("search", "tiny.toml", "--device", "cpu", "--trials", "1", check=2)
    assert "images: " in other.stderr
    assert "the embedded scenes now" in other.stderr
    (folder / "moved/train/cat/3.png").write_bytes(encoded(picture(77)))
    changed = inside(*moved, "--trials", "2", check=2)
    assert "images: " in changed.stderr
    stored = ("search", "runs/tiny", "--device", "cpu", "--trials", "2", "--cache", "caches")
    assert "not the images that the run was started with" in inside(*stored, "--data", "moved", check=3).stderr
    assert "no such folder" in inside(*stored, check=3).stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    ((("--subset", "10%"), 2, "--subset is for images of your own"), (("--cache", "x"), 2, "--cache is for images"),
     (("--rank-on", "val"), 2, "--rank-on is for images"), (("--data", "nowhere"), 3, "nowhere"),
     (("--subset", "none", "--data", "x"), 2, "is not a share"), (("--workers", "many"), 2, "nor auto"),
     (("--trainers-per-gpu", "2"), 2, "--trainers-per-gpu needs CUDA")),
)  # fmt: skip
def test_wrong_options_are_one_line(inside, space, options, code, said):  # noqa: F811
    done = inside("search", "tiny.toml", "--trials", "1", "--device", "cpu", *options, check=code)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4
    assert not (space / "runs").exists()


@pytest.mark.slow
def test_a_search_on_images_killed_and_resumed_ends_as_the_uninterrupted_one(command, images):
    folder = images.parent
    whole = networks(command(*OWN, "--trials", "3", "--name", "whole", "--json"))
    shutil.rmtree(folder / "caches")
    generator = random.Random(3)
    for _ in range(4):
        process = launch(folder, "--trials", "3", "--name", "killed", *OWN[4:])
        try:
            process.wait(generator.uniform(1.0, 6.0))
        except Exception:
            process.send_signal(signal.SIGKILL)
        process.communicate()
    resumed = networks(command(*OWN, "--trials", "3", "--name", "killed", "--json"))
    assert resumed == whole


@pytest.mark.slow
def test_several_workers_share_one_cache(command, images):
    done = command(*OWN, "--trials", "4", "--workers", "auto", "--no-halving", "--json")
    assert len(networks(done)) == 5
    caches = [path for path in (images.parent / "caches").iterdir() if path.is_dir()]
    assert len(caches) == 1
    assert os.path.getsize(caches[0] / "pixels.npy")
