"""What is found in the folder of a user, and what is left out and said."""

import os

import pytest

from elastic_search.data import folder as folder_module
from elastic_search.data.folder import FolderSource
from elastic_search.data.source import BrokenImageError, printable, source_of
from elastic_search.errors import DataError
from tests.data.staging import encoded, fill, parted, picture, tree

BESIDE = "images beside the folders of classes are left out"
OUTSIDE = "links to files outside the folder are not followed"


def found(root):
    source = FolderSource(root)
    return {part: [entry.name for entry in source.entries if entry.part == part] for part in source.parts}


def test_one_tree_has_a_class_for_each_folder(tmp_path):
    source = FolderSource(tree(tmp_path / "pets", 3))
    assert (source.name, source.classes, source.notes) == ("pets", ("cat", "dog"), ())
    assert source.parts == {"": "images"}
    assert [(entry.label, entry.name) for entry in source.entries] == [
        (label, f"{name}/{at}.png") for label, name in enumerate(("cat", "dog")) for at in range(3)
    ]


@pytest.mark.parametrize("name", ("val", "valid", "validation", "test", "Test"))
def test_train_and_a_folder_for_the_end_are_parts(tmp_path, name):
    root = parted(tmp_path / "set", 3, 2, name)
    assert FolderSource(root).parts == {"train": "train/", "final": f"{name}/"}
    assert {part: len(names) for part, names in found(root).items()} == {"train": 6, "final": 4}


def test_val_is_used_before_test_which_is_named(tmp_path):
    root = parted(tmp_path / "set")
    tree(root / "test")
    source = FolderSource(root)
    assert source.parts["final"] == "val/"
    assert source.notes == ("beside train/ are other folders, which are left out: test/",)


def test_train_alone_is_split(tmp_path):
    tree(tmp_path / "train", 3)
    (tmp_path / "scripts").mkdir()
    assert FolderSource(tmp_path).parts == {"": "train/"}
    assert found(tmp_path)[""][0] == "train/cat/0.png"


def test_train_may_be_a_class(tmp_path):
    assert FolderSource(tree(tmp_path, 2, ("bus", "train"))).classes == ("bus", "train")


def test_imagenet_layout_is_read(tmp_path):
    for part in ("train", "val"):
        for at, wnid in enumerate(("n01440764", "n01443537")):
            fill(tmp_path / part / wnid, 2, at)
            for file in (tmp_path / part / wnid).iterdir():
                file.rename(file.with_suffix(".JPEG"))
    source = FolderSource(tmp_path)
    assert source.classes == ("n01440764", "n01443537")
    assert len(source.entries) == 8


def test_flat_validation_folder_is_an_error_that_says_what_to_do(tmp_path):
    tree(tmp_path / "train", 2)
    fill(tmp_path / "val", 3)
    with pytest.raises(DataError, match=r"val: 3 images, but no folder for each class; move each into a folder"):
        FolderSource(tmp_path)


def test_nested_folders_belong_to_their_class(tmp_path):
    tree(tmp_path, 2)
    fill(tmp_path / "cat" / "indoors" / "2024", 1, seed=9)
    assert "cat/indoors/2024/0.png" in found(tmp_path)[""]
    assert FolderSource(tmp_path).classes == ("cat", "dog")


def test_hidden_files_and_folders_are_left_out_unsaid(tmp_path):
    tree(tmp_path, 2)
    fill(tmp_path / ".thumbnails", 1)
    fill(tmp_path / "__MACOSX", 1)
    fill(tmp_path / "cat" / ".cache", 1)
    (tmp_path / "cat" / "._0.png").write_bytes(b"resource fork")
    assert len(FolderSource(tmp_path).entries) == 4
    assert FolderSource(tmp_path).notes == ()


def test_what_is_no_image_of_a_class_is_counted(tmp_path):
    tree(tmp_path, 2)
    (tmp_path / "labels.csv").write_text("")
    (tmp_path / "cat" / "notes.txt").write_text("")
    (tmp_path / "beside.jpg").write_bytes(encoded(picture()))
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")  # whoever opens it waits for ever
    assert len(FolderSource(tmp_path).entries) == 4
    assert FolderSource(tmp_path).notes == ("files that are no images are left out (2)", f"{BESIDE} (1)")


def test_links_are_followed_inside_the_folder_only(tmp_path):
    root, outside = tree(tmp_path / "set", 2), fill(tmp_path / "private", 2, seed=9)
    (root / "cat" / "inside.png").symlink_to(root / "dog" / "0.png")
    (root / "cat" / "outside.png").symlink_to(outside / "0.png")
    (root / "cat" / "device.png").symlink_to("/dev/zero")
    (root / "cat" / "broken.png").symlink_to("nowhere.png")
    (root / "cat" / "loop.png").symlink_to("loop.png")
    (root / "cat" / "more").symlink_to(outside)
    (root / "bird").symlink_to(outside)
    source = FolderSource(root)
    assert source.classes == ("cat", "dog")
    assert [entry.name for entry in source.entries if entry.label == 0] == ["cat/0.png", "cat/1.png", "cat/inside.png"]
    assert source.notes == (
        "links that lead to no file are left out (3)",
        f"{OUTSIDE} (1)",
        "links to folders are not followed (2)",
    )


def test_folder_may_itself_be_a_link(tmp_path):
    tree(tmp_path / "set", 2)
    (tmp_path / "link").symlink_to("set")
    assert len(FolderSource(tmp_path / "link").entries) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    (
        (lambda root: root.mkdir(), "there is no folder of images"),
        (lambda root: fill(root, 3), "3 images, but no folder for each class"),
        (lambda root: tree(root, 3, ("cat",)), "cat is the only class"),
        (lambda root: (tree(root, 3), (root / "bird").mkdir()), r"no image in bird/; remove these folders"),
        (lambda root: (parted(root), fill(root / "val" / "bird", 2)), r"different classes \(only in val/: bird\)"),
        (
            lambda root: (parted(root), fill(root / "train" / "ant", 2), fill(root / "val" / "bird", 2)),
            r"different classes \(only in train/: ant; only in val/: bird\)",
        ),
        (lambda root: (parted(root), (root / "val" / "cat").rename(root / "val" / "Cat")), "only in train/: cat"),
    ),
    ids=("nothing", "flat", "one class", "empty class", "more in val", "both differ", "case"),
)
def test_folders_without_usable_classes_are_errors_that_name_them(tmp_path, make, message):
    make(tmp_path / "set")
    with pytest.raises(DataError, match=message) as caught:
        FolderSource(tmp_path / "set")
    assert caught.value.exit_code == 3
    assert caught.value.hint


def test_error_of_an_empty_class_says_where_its_images_are(tmp_path):
    tree(tmp_path / "set", 2)
    (tmp_path / "set" / "bird").mkdir()
    (tmp_path / "set" / "bird" / "0.png").symlink_to(fill(tmp_path / "birds", 1) / "0.png")
    with pytest.raises(DataError, match=f"no image in bird/; {OUTSIDE}"):
        FolderSource(tmp_path / "set")


def test_many_names_are_cut_short(tmp_path):
    tree(tmp_path, 1, [f"class {at:02}" for at in range(12)])
    for at in range(12):
        (tmp_path / f"class {at:02}" / "0.png").unlink()
    with pytest.raises(DataError, match=r"class 00/, .*class 04/ and 7 more;"):
        FolderSource(tmp_path)


def test_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    tree(tmp_path, 2)
    listed = os.scandir

    def refused(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match=r"dog: cannot be read \(Permission denied\)"):
        FolderSource(tmp_path)


def test_paths_that_are_no_folder_are_errors(tmp_path):
    for name in ("file.zip", "file.txt"):
        (tmp_path / name).write_bytes(b"")
    wrong = {"nowhere": "there is no such folder", "file.zip": "is packed", "file.txt": "is no kind of file"}
    for name, what in wrong.items():
        with pytest.raises(DataError, match=f"{name}: {what}"):
            source_of(str(tmp_path / name))


def test_files_are_broken_where_the_system_does_not_give_them(tmp_path, monkeypatch):
    source = FolderSource(tree(tmp_path, 2))
    (tmp_path / "cat" / "0.png").unlink()
    with pytest.raises(BrokenImageError, match="No such file"):
        source.read(source.entries[0], 8)
    assert source.stamp(source.entries[0]) == "gone"
    monkeypatch.setattr(folder_module, "MOST_BYTES", 10)
    with pytest.raises(BrokenImageError, match="larger than"):
        source.read(source.entries[1], 8)


def test_names_that_a_terminal_would_not_print_are_escaped(tmp_path):
    name = os.fsdecode(b"c\xff\x1b[2J")
    source = FolderSource(tree(tmp_path, 2, ("dog", name)))
    assert source.classes == (r"c\udcff\x1b[2J", "dog")
    assert source.read(source.entries[0], 8)[0].shape == (8, 8, 3)
    assert printable("über 猫") == "über 猫"
