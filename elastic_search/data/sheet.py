"""A contact sheet: some images of each class as the network will see them, in one picture.

Classes run down the columns. An image is enlarged by whole steps, so that a pixel of the sheet is a pixel of an image:

    cat  1,200 images        eagle  900 images
    [] [] [] [] [] [] []     [] [] [] [] [] [] []
"""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from elastic_search.data.cache import CachedImages
from elastic_search.data.survey import Survey

EACH = 8
"""Images of a class."""

MOST_CLASSES = 120
"""Of more classes, evenly spread ones are shown, by their size."""

LEAST_TILE = 48
"""px, edge of an image on the sheet; smaller ones are enlarged."""

MOST_TILE = 160
"""px; larger ones are shrunk."""

GAP, MARGIN, TEXT, LINE = 4, 16, 14, 20
"""px, between images, around the sheet, size of the text, and height of a line."""

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""The format that a file's name asks for."""

PAPER, INK, PALE = (255, 255, 255), (32, 32, 32), (112, 112, 112)

Tiles = NDArray[np.uint8]


def contact_sheet(found: CachedImages, survey: Survey) -> Image.Image:
    """Images of each class, from those that networks are trained on.

    Args:
        found: the images.
        survey: what is said of them.
    """
    pixels, labels = found.arrays("train")
    shown = _shown(survey)
    tile = _tile(survey.edge)
    width, height = EACH * (tile + GAP) - GAP, LINE + tile + 2 * GAP
    columns = _columns(len(shown), width, height)
    down = math.ceil(len(shown) / columns)
    head = 2 * TEXT + MARGIN
    sheet = Image.new("RGB", (columns * (width + MARGIN) + MARGIN, head + down * height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN // 2), _title(survey, len(shown)), INK, _font(TEXT + 2))
    for at, label in enumerate(shown):
        left = MARGIN + at // down * (width + MARGIN)
        top = head + at % down * height
        one = survey.classes[label]
        name = _fitting(one.name, width * 2 // 3)
        draw.text((left, top), name, INK, _font(TEXT))
        after = left + draw.textlength(f"{name}  ", _font(TEXT))
        draw.text((after, top), f"{one.used:,} images", PALE, _font(TEXT))
        for place, row in enumerate(np.flatnonzero(labels == label)[:EACH]):
            corner = (left + place * (tile + GAP), top + LINE)
            sheet.paste(_picture(pixels[row], tile), corner)
    return sheet


def encoded(sheet: Image.Image, suffix: str) -> bytes:
    """A sheet as a file of the format that a suffix, one of ``SUFFIXES``, asks for."""
    file = io.BytesIO()
    sheet.save(file, SUFFIXES[suffix.lower()], **({} if suffix == ".png" else {"quality": 92}))
    return file.getvalue()


def _shown(survey: Survey) -> list[int]:
    """The labels that are shown, in their order."""
    number = len(survey.classes)
    if number <= MOST_CLASSES:
        return list(range(number))
    by_size = sorted(range(number), key=lambda label: (-survey.classes[label].used, label))
    spread = np.linspace(0, number - 1, MOST_CLASSES).round().astype(int).tolist()
    return sorted(by_size[at] for at in spread)


def _tile(edge: int) -> int:
    """Edge of an image on the sheet: a whole multiple of its own, or less if it is large."""
    return edge * math.ceil(LEAST_TILE / edge) if edge < MOST_TILE else MOST_TILE


def _columns(number: int, width: int, height: int) -> int:
    """Columns that make the sheet about 4:3."""
    return max(1, min(number, round(math.sqrt(number * height * 4 / 3 / width))))


def _picture(pixels: Tiles, tile: int) -> Image.Image:
    plain = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    image = Image.fromarray(np.ascontiguousarray(plain)).convert("RGB")
    way = Image.Resampling.NEAREST if tile >= image.width else Image.Resampling.BOX
    return image.resize((tile, tile), way)


def _title(survey: Survey, shown: int) -> str:
    number = len(survey.classes)
    classes = f"{shown} of {number:,} classes" if shown < number else f"{number} classes"
    return f"{survey.about.name}: {classes}, images of {survey.edge} px to train on"


def _fitting(name: str, width: int) -> str:
    """A name that is cut where it is too wide."""
    font = _font(TEXT)
    if font.getlength(name) <= width:
        return name
    while name and font.getlength(f"{name}…") > width:
        name = name[:-1]
    return f"{name}…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
