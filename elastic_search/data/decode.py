"""Any image file as a small square of uint8, upright.

Files come from anywhere. Only decoders that are code of Pillow's own are tried, whatever a file is called (its reader
of EPS starts another program), sizes are looked at before anything is decoded, and whatever goes wrong is one
``BrokenImageError``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from elastic_search.data.source import BrokenImageError, Pixels

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF")

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jp2", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".avif"}
)
"""Of files that are taken for images, in lower case."""

MOST_PIXELS = 2**26
"""Of an image that is decoded whole: 256 MiB at four bytes each. Of larger JPEGs a part of the detail is decoded."""

GROUND = 128
"""Grey level under transparent pixels: neither black nor white outlines show on it."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its EXIF orientation."""

_ORIENTATION = 0x0112


@contextmanager
def quietly() -> Iterator[None]:
    """Keep Pillow from warning about odd files; around all threads that decode, as filters belong to the process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def decoded(content: bytes, edge: int, channels: int = 3) -> Pixels:
    """The central square of an image file, upright and antialiased: uint8 [edge, edge, channels].

    Args:
        content: of the file.
        edge: in px; smaller images are enlarged.
        channels: 3 for RGB or 1 for grey.

    Raises:
        BrokenImageError: if it is no whole image of a known format, or too large to be decoded.
    """
    if not content:
        raise BrokenImageError("empty")
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            # A JPEG is decoded at 1/2, 1/4 or 1/8 where that leaves at least twice the detail that is kept.
            keep = 2 * edge / max(1, min(image.size))
            if keep < 1:
                image.draft(None, (max(1, int(image.width * keep)), max(1, int(image.height * keep))))
            if image.width * image.height > MOST_PIXELS:
                raise BrokenImageError(f"{image.width} x {image.height} px are more than are decoded")
            return squared(image, edge, channels, _orientation(image))
    except BrokenImageError:
        raise
    except UnidentifiedImageError:
        raise BrokenImageError("not an image of a known format") from None
    except Image.DecompressionBombError:
        raise BrokenImageError("more pixels than are decoded") from None
    except MemoryError:
        raise BrokenImageError("no memory to decode it") from None
    except Exception as error:  # whatever a decoder trips over: OSError, SyntaxError, ValueError, struct.error, …
        raise BrokenImageError(" ".join(str(error).split())[:100] or type(error).__name__) from None


def squared(image: Image.Image, edge: int, channels: int = 3, orientation: int = 1) -> Pixels:
    """The central square of an image, antialiased: uint8 [edge, edge, channels].

    Args:
        image: of any mode.
        edge: in px.
        channels: 3 for RGB or 1 for grey.
        orientation: as EXIF numbers them; what is not upright is turned.
    """
    plain = _plain(image)
    side = min(plain.size)
    left, top = (plain.width - side) / 2, (plain.height - side) / 2
    small = plain.resize((edge, edge), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    if orientation in UPRIGHT:  # the central square of an image turned is the central square, turned
        small = small.transpose(UPRIGHT[orientation])
    if small.mode == "RGBA":
        ground = Image.new("RGBA", small.size, (GROUND, GROUND, GROUND, 255))
        small = Image.alpha_composite(ground, small)
    pixels: Pixels = np.asarray(small.convert("RGB" if channels == 3 else "L"))
    return pixels.reshape(edge, edge, channels)


def _plain(image: Image.Image) -> Image.Image:
    """The same image in a mode that can be resized: L, RGB, or RGBA where some of it may be transparent."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode in ("La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.has_transparency_data:
        return image.convert("RGBA")  # which resize weighs by opacity
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of more than 8 bits as 8 bits, where Pillow would clip them.

    Of 16 bits where the mode says so, or where some level exceeds 255; fractions where a floating-point image has no
    level above 1.
    """
    levels: NDArray[np.floating] = np.nan_to_num(np.asarray(image, np.float32))
    highest = float(levels.max())
    if image.mode.startswith("I;16") or highest > 255:
        levels = levels / 257
    elif image.mode == "F" and highest <= 1:
        levels = levels * 255
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a picture with damaged EXIF data is still a picture
        return 1
    return found if isinstance(found, int) else 1


@cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow reads."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)
