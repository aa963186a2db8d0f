"""What is said of the images at a path, and the contact sheet."""

import io
import shutil
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from elastic_search.data import sheet as sheet_module
from elastic_search.data import survey as survey_module
from elastic_search.data.sheet import EACH, contact_sheet, encoded
from elastic_search.data.source import source_of
from elastic_search.data.survey import looks, survey
from elastic_search.recipes import Data
from tests.data.array_files import images, keras, medmnist
from tests.data.staging import encoded as file_of
from tests.data.staging import fill, picture, tree


def of(path, edge=16, **how):
    return survey(Data(str(path), **how), edge, path.with_name("caches"))


@pytest.fixture
def pets(tmp_path):
    """20 cats, of which one is broken and one a double; 10 dogs, one grey and larger; 5 birds."""
    root = tree(tmp_path / "pets", 10)
    fill(root / "cat", 18, 50)
    fill(root / "bird", 5, 60)
    (root / "cat" / "broken.png").write_bytes(b"x")
    shutil.copy(root / "cat" / "3.png", root / "cat" / "double.png")
    (root / "dog" / "9.png").write_bytes(file_of(picture(9, (40, 60)).convert("L")))
    return root


def test_every_image_that_is_there_is_accounted_for(pets):
    found, _ = of(pets)
    assert [(one.name, one.found, one.used) for one in found.classes] == [
        ("bird", 5, 5),
        ("cat", 20, 18),
        ("dog", 10, 10),
    ]
    assert (found.listed, found.broken, found.doubles) == (35, 1, 1)
    assert [name for name, _ in found.broken_files] == ["cat/broken.png"]
    assert found.listed == sum(found.about.images.values()) + found.broken + found.doubles
    for split, count in found.about.images.items():
        assert sum(one.images[split] for one in found.classes) == count
    assert found.imbalance == 18 / 5
    assert found.folder.parent == pets.with_name("caches")


def test_sizes_and_modes_are_those_of_the_originals(pets):
    found, _ = of(pets)
    assert found.looks.sizes == ((24, 20), (24, 20), (40, 60))
    assert found.looks.modes == {"RGB": 33, "L": 1}
    assert found.looks.looked_at == 35


def test_arrays_have_one_size_and_mode(tmp_path):
    found, _ = of(medmnist(tmp_path / "set.npz"))
    assert found.looks.sizes == 3 * ((28, 28),)
    assert found.looks.modes == {"RGB": 90}


def test_of_many_originals_evenly_spread_ones_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(survey_module, "MOST_LOOKED_AT", 5)
    source = source_of(tree(tmp_path / "set", 10))
    asked = []
    monkeypatch.setattr(type(source), "look", lambda self, entry: (asked.append(entry.name), (1, 1, "L"))[1])
    assert looks(source).looked_at == 5
    assert asked == [source.entries[at].name for at in (0, 5, 10, 14, 19)]


def test_subset_is_what_is_counted(tmp_path):
    found, _ = of(tree(tmp_path / "set", 20), subset=Fraction(1, 2))
    assert (found.listed, sum(found.about.images.values()), found.doubles) == (40, 20, 0)


def test_sheet_shows_the_pixels_that_networks_see(tmp_path):
    found, cached = of(keras(tmp_path / "set.npz", shape=(28, 28, 3), count=60), 48)
    picture = np.asarray(contact_sheet(cached, found))
    pixels, labels = cached.arrays("train")
    for label in range(3):
        for one in pixels[np.flatnonzero(labels == label)[:EACH]]:
            corner = np.argwhere((picture[:-47, :-47] == one[0, 0]).all(-1))
            assert any(np.array_equal(picture[y : y + 48, x : x + 48], one) for y, x in corner)


@pytest.mark.parametrize(("edge", "tile"), ((8, 48), (28, 56), (32, 64), (64, 64), (100, 100), (224, 160)))
def test_images_on_the_sheet_are_large_enough_to_see(edge, tile):
    assert sheet_module._tile(edge) == tile


def test_sheet_of_grey_images_of_many_classes_stays_a_picture_that_can_be_opened(tmp_path):
    count = 400
    np.savez(tmp_path / "set.npz", images=images(8 * count, 0, (8, 8)), labels=np.arange(8 * count) % count)
    found, cached = of(tmp_path / "set.npz", 8)
    sheet = contact_sheet(cached, found)
    assert max(sheet.size) < 4000
    assert 0.5 < sheet.width / sheet.height < 3
    assert len(sheet_module._shown(found)) == sheet_module.MOST_CLASSES


def test_long_names_are_cut_on_the_sheet(tmp_path):
    name = sheet_module._fitting("an endless name " * 9, 200)
    assert name.endswith("…")
    assert sheet_module._font(sheet_module.TEXT).getlength(name) <= 200
    assert sheet_module._fitting("cat", 200) == "cat"


@pytest.mark.parametrize(("suffix", "format"), ((".png", "PNG"), (".PNG", "PNG"), (".jpg", "JPEG"), (".jpeg", "JPEG")))
def test_sheet_has_the_format_of_its_name(suffix, format):
    with Image.open(io.BytesIO(encoded(Image.new("RGB", (9, 9)), suffix))) as image:
        assert image.format == format
