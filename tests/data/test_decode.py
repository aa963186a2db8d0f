"""Any image file as a small upright square, and whatever else is called an image as one error."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from elastic_search.data import decode
from elastic_search.data.decode import UPRIGHT, decoded, quietly, squared
from elastic_search.data.source import BrokenImageError
from tests.data.staging import encoded, picture

RED, GREEN = (255, 0, 0), (0, 255, 0)


def flat(mode, colour, **info):
    image = Image.new(mode, (12, 8), colour)
    image.info.update(info)
    return image


def levels(image, edge=4, channels=3):
    """The one colour of a picture that has one."""
    pixels = squared(image, edge, channels)
    assert pixels.shape == (edge, edge, channels)
    assert pixels.dtype == np.uint8
    assert (pixels == pixels[0, 0]).all()
    return tuple(pixels[0, 0].tolist())


@pytest.mark.parametrize("size", ((30, 10), (10, 30)))
def test_central_square_is_what_is_kept(size):
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, ((size[0] - 10) // 2, (size[1] - 10) // 2, (size[0] + 10) // 2, (size[1] + 10) // 2))
    assert levels(image, 10) == GREEN


def test_small_images_are_enlarged_and_equal_ones_kept():
    assert squared(picture(0, (5, 3)), 32).shape == (32, 32, 3)
    image = picture(0, (16, 16))
    assert (squared(image, 16) == np.asarray(image)).all()


def test_shrinking_averages_all_pixels():
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    pixels = squared(Image.fromarray(checks.astype(np.uint8)), 8)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


@pytest.mark.parametrize(
    ("image", "expected"),
    (
        (flat("L", 90), (90, 90, 90)),
        (flat("1", 1), (255, 255, 255)),
        (flat("CMYK", (0, 255, 255, 0)), RED),
        (flat("I;16", 257 * 100), (100, 100, 100)),
        (flat("I", 257 * 100), (100, 100, 100)),
        (flat("I", 100), (100, 100, 100)),
        (flat("F", 0.4), (102, 102, 102)),
        (flat("F", 100.2), (100, 100, 100)),
        (flat("F", float("nan")), (0, 0, 0)),
        (flat("LA", (255, 0)), (128, 128, 128)),
        (flat("RGBA", (255, 0, 0, 0)), (128, 128, 128)),
        (flat("RGBA", (255, 0, 0, 255)), RED),
        (flat("RGBA", (255, 0, 0, 128)), (192, 64, 64)),
        (flat("P", 0).convert("RGB").convert("P"), (0, 0, 0)),
        (flat("L", 7, transparency=7), (128, 128, 128)),
        (flat("RGB", RED, transparency=RED), (128, 128, 128)),
        (flat("RGB", RED).convert("YCbCr"), (254, 0, 0)),
    ),
    ids=lambda value: value.mode if isinstance(value, Image.Image) else None,
)
def test_every_mode_becomes_rgb_over_mid_grey(image, expected):
    assert levels(image) == expected


def test_palette_with_transparency_is_over_mid_grey():
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.info["transparency"] = b"\xff\x00"
    assert levels(image) == (128, 128, 128)
    assert levels(Image.open(io.BytesIO(encoded(image)))) == (128, 128, 128)
    assert levels(flat("RGBA", (0, 0, 255, 0)).convert("PA")) == (128, 128, 128)


def test_transparent_pixels_lend_no_colour_to_their_neighbours():
    """A resize that weighs colours without opacity leaves a rim of the colour under what cannot be seen."""
    image = Image.new("RGBA", (16, 16), (0, 255, 0, 0))
    image.paste((128, 128, 128, 255), (0, 0, 7, 16))
    assert np.abs(squared(image, 4).astype(int) - 128).max() <= 2


def test_one_channel_is_grey():
    assert levels(flat("RGB", (90, 90, 90)), channels=1) == (90,)
    assert decoded(encoded(picture()), 8, 1).shape == (8, 8, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ("PNG", "JPEG", "TIFF"))
def test_turned_images_are_upright(orientation, format):
    upright = picture(1, (40, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    inverse = {6: UPRIGHT[8], 8: UPRIGHT[6]}.get(orientation, UPRIGHT.get(orientation))
    stored = upright if inverse is None else upright.transpose(inverse)
    options = {"quality": 100, "subsampling": 0} if format == "JPEG" else {}
    found = decoded(encoded(stored, format, exif=exif, **options), 12).astype(int)
    assert np.abs(found - squared(upright, 12)).max() <= (6 if format == "JPEG" else 1)


def test_images_with_damaged_exif_are_used():
    jpeg = encoded(picture(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    with quietly():
        assert (decoded(jpeg, 8) == decoded(encoded(picture(), "JPEG"), 8)).all()


def test_large_jpegs_are_decoded_in_part_and_look_the_same():
    image = picture(2, (900, 700))
    jpeg = encoded(image, "JPEG", quality=95)
    assert np.abs(decoded(jpeg, 32).astype(int) - squared(image, 32)).max() <= 8


@pytest.mark.parametrize("format", ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "MPO"))
def test_formats_are_read(format):
    found = decoded(encoded(picture(3, (32, 32)), format), 8).astype(int)
    assert np.abs(found - squared(picture(3, (32, 32)), 8)).max() <= 40


def test_cmyk_jpegs_and_sixteen_bit_pngs_are_read():
    cmyk = decoded(encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=95), 4)
    assert np.abs(cmyk[0, 0].astype(int) - RED).max() <= 6
    deep = Image.fromarray(np.full((8, 8), 257 * 200, np.uint16))
    assert decoded(encoded(deep), 4)[0, 0].tolist() == [200] * 3


def png_of(width, height):
    """A PNG of a few bytes that says how large it is."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", ((60_000, 60_000), (9_000, 9_000), (12_000, 8_000)))
def test_bombs_are_refused_before_they_are_decoded(size, monkeypatch):
    monkeypatch.setattr(decode, "squared", None)  # whoever comes there would decode it
    with quietly(), pytest.raises(BrokenImageError, match="than are decoded"):
        decoded(png_of(*size), 8)


@pytest.mark.parametrize(
    ("content", "reason"),
    (
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/out) (w) file\n", "not an image"),
        (encoded(picture())[:-400], "runcated|broken"),
        (encoded(picture(), "JPEG")[:400], "runcated|broken"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ),
)
def test_files_that_are_no_whole_image_are_broken(content, reason):
    with pytest.raises(BrokenImageError, match=reason):
        decoded(content, 8)


FILES = [encoded(picture(), format) for format in ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(FILES), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_files_are_an_image_or_broken(content, edits):
    damaged = bytearray(content)
    for where, value in edits:
        damaged[int(where * len(damaged))] = value
    try:
        with quietly():
            assert decoded(bytes(damaged), 8).shape == (8, 8, 3)
    except BrokenImageError as error:
        assert str(error)
        assert "\n" not in str(error)
