"""The images that a search trains on, as its options and its space give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from elastic_search.cli.options import Written, require
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from fractions import Fraction

    from elastic_search.files import SearchSpace
    from elastic_search.recipes import Data


def _share(text: str) -> Fraction:
    from elastic_search.arch.written import parse_percent

    share = parse_percent(text)
    if not share:
        raise ValueError(f"{text!r} is nothing: write 10% or 0.1")
    return share


def _workers(text: str) -> int | str:
    if text != "auto" and not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= 64):
        raise ValueError(f"{text!r} is neither a number from 1 to 64 nor auto")
    return text if text == "auto" else int(text)


SHARE, WORKERS = Written("SHARE", _share), Written("N|auto", _workers)


def images_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options --data, --subset, --rank-on and --cache."""
    for decorate in reversed((
        click.option("--data", metavar="PATH", type=click.Path(), help="Folder with a folder of images a class, or "
                     "with CIFAR's files, or an .npz file, to train on; by default the embedded scenes."),
        click.option("--subset", type=SHARE, help="Share of the images of each class to use, such as 10%."),
        click.option("--rank-on", type=click.Choice(["held-out", "val"]), help="Rank networks on images held out from "
                     "the training images (the default), or on val/, which then shows nothing new at the end."),
        click.option("--cache", metavar="DIR", type=click.Path(), help="Folder of decoded images; by default the "
                     "user's cache folder."),
    )):  # fmt: skip
        command = decorate(command)
    return command


def with_images(
    space: SearchSpace,
    data: str | None = None,
    subset: Fraction | None = None,
    rank_on: str | None = None,
    cache: str | None = None,
) -> tuple[SearchSpace, dict[str, Any]]:
    """The space for the images that options and its ``[data]`` name, and what an evaluator's job says about them.

    Raises:
        UsageError: if there are options for images, but none are named.
        DataError: if the images cannot be used, or are not those that a stored run was started with.
    """
    source = _source(space, data, subset, rank_on)
    if source is None:
        if cache is not None:
            raise UsageError("--cache is for images of your own", "give --data")
        return space, {}
    require("PIL", "filelock", "torch")
    from pathlib import Path

    from elastic_search.proxy.images import on_images
    from elastic_search.report.waiting import Waiting

    waiting = Waiting(Path(source.path).name or source.path)

    def watch(done: int, total: int) -> None:
        waiting(f"decoding {total:,} images", done / max(1, total))

    try:
        found, job = on_images(space, source, None if cache is None else Path(cache).absolute(), watch)
    finally:
        waiting.clear()
    return found, {"data": job}


def _source(space: SearchSpace, path: str | None, subset: Fraction | None, rank_on: str | None) -> Data | None:
    from pathlib import Path

    from elastic_search.recipes import Data

    source = space.data
    if path is not None:
        source = Data(path) if source is None else replace(source, path=path)
    if source is None:
        if subset is not None or rank_on is not None:
            option = "--subset" if subset is not None else "--rank-on"
            raise UsageError(f"{option} is for images of your own", "give --data")
        return None
    changes: dict[str, Any] = {"path": str(Path(source.path).absolute())}
    if subset is not None:
        changes["subset"] = subset
    if rank_on is not None:
        changes["rank_on"] = rank_on
    return replace(source, **changes)
