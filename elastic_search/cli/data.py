"""``elastic-search data``: the images at a path, and the caches of decoded images."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import click

from elastic_search.cli.images import SHARE
from elastic_search.cli.options import format_options, option, require
from elastic_search.cli.output import write_output
from elastic_search.errors import UsageError


@click.command()
@click.argument("path", required=False, type=click.Path())
@click.option("--edge", type=click.IntRange(8, 1024), help="Edge of the decoded squares in pixels; 64 by default, as "
              "the proxies of most spaces take.")  # fmt: skip
@click.option("--subset", type=SHARE, help="Share of the images of each class to use, such as 10%.")
@click.option("--rank-on", type=click.Choice(["held-out", "val"]), help="Rank networks on images held out from the "
              "training images (the default), or on val/.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Contact sheet to write, as .png "
              "or .jpg: some images of each class as networks will see them.")  # fmt: skip
@click.option("--caches", is_flag=True, help="List the caches instead.")
@click.option("--remove", metavar="KEY", multiple=True, help="Remove the cache whose key begins so; with --caches.")
@click.option("--unused", metavar="TIME", help="Remove the caches that nobody has used for so long, such as 30d or "
              "12h; with --caches.")  # fmt: skip
@option("--cache", metavar="DIR", type=click.Path(path_type=Path), help="Folder of all caches; by default the user's "
        "cache folder.")  # fmt: skip
@format_options
def data(
    path: str | None,
    edge: int | None,
    subset: Fraction | None,
    rank_on: str | None,
    output: Path | None,
    caches: bool,
    remove: tuple[str, ...],
    unused: str | None,
    cache: Path | None,
    fmt: str,
) -> None:
    """Show what a folder of images holds, as a search with --data would use it.

    PATH holds a folder of images for each class, or train/ and val/ with such folders; or it holds CIFAR-10's or
    CIFAR-100's files; or it is an .npz file with the arrays of keras or MedMNIST (docs/data.md). The images are decoded
    into the cache, which a search at this size then uses. With --caches all caches are listed, and removed with
    --remove or --unused. Needs the 'search' extra.
    """
    about_images = {"--edge": edge, "--subset": subset, "--rank-on": rank_on, "--output": output, "PATH": path}
    about_caches = {"--remove": remove, "--unused": unused}
    if caches:
        _refuse(about_images, "is not for --caches")
        if remove and unused:
            raise UsageError("--remove and --unused contradict each other", "give one of them")
    else:
        _refuse(about_caches, "is for caches", "add --caches")
        if path is None:
            raise UsageError("no images were given", "give a folder or an .npz file, or --caches")
    require("PIL", "filelock", "numpy")
    if caches:
        _caches(cache, remove, unused, fmt)
    else:
        assert path is not None
        _images(path, 64 if edge is None else edge, subset or Fraction(1), rank_on or "held-out", output, cache, fmt)


def _refuse(options: Mapping[str, object], why: str, hint: str = "leave it out") -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"{given[0]} {why}", hint)


def _images(
    path: str, edge: int, subset: Fraction, rank_on: str, output: Path | None, cache: Path | None, fmt: str
) -> None:
    from elastic_search.data.sheet import SUFFIXES, contact_sheet, encoded
    from elastic_search.data.survey import survey
    from elastic_search.recipes import Data
    from elastic_search.report.data import data_report
    from elastic_search.report.decoding import Decoding
    from elastic_search.report.emit import emit

    if output is not None and output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{output}: unknown suffix", f"use one of {', '.join(SUFFIXES)}")
    if output is not None and not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: there is no folder {output.parent}", "choose a file in a folder that exists")
    decoding = Decoding(Path(path).name or path)
    try:
        wanted = Data(path, subset, rank_on=rank_on)  # type: ignore[arg-type]
        found, images = survey(wanted, edge, None if cache is None else cache.absolute(), watch=decoding)
    finally:
        decoding.clear()
    emit(data_report(found), fmt)
    if output is not None:
        write_output(output, encoded(contact_sheet(images, found), output.suffix))


def _caches(cache: Path | None, remove: tuple[str, ...], unused: str | None, fmt: str) -> None:
    from elastic_search.data import caches
    from elastic_search.data.cache import default_cache
    from elastic_search.report.data import bytes_text, caches_report
    from elastic_search.report.emit import emit

    folder = default_cache() if cache is None else cache.expanduser().absolute()
    found = caches.caches(folder)
    chosen = {info.key: info for info in (caches.chosen(found, key) for key in remove)}
    if unused is not None:
        chosen = {info.key: info for info in caches.unused(found, caches.seconds_of(unused))}
    removed = 0
    for info in chosen.values():
        freed = caches.remove(info)
        removed += freed
        click.echo(f"removed {info.key} {info.name}, {bytes_text(freed)}", err=True)
    if unused is not None and not chosen:
        click.echo(f"no cache has been unused for {unused}", err=True)
    emit(caches_report([info for info in found if info.key not in chosen], folder, removed), fmt)
