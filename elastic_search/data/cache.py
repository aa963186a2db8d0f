"""A user's images, decoded once into a file that all runs and processes map into memory.

A cache is a folder that is named by its key: what was decoded how, by names, sizes and times of files, so that nothing
is read to find out whether there is one. It holds

    pixels.npy   uint8 [N, edge, edge, channels]: the splits one after the other, each by hash of the originals
    labels.npy   int64 [N]
    meta.json    what that is, with checksums; written last, so a cache without it is none
    used         touched whenever the cache is opened

How the images of a set are known to a training is another matter: ``About.key`` names the pixels and labels of the
splits, whatever the files are called and whenever they were written.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

import numpy as np
import PIL
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from elastic_search.atomic import read_sealed, sealed, write_atomically
from elastic_search.data.build import PARTS, Watch, blocks, decode_all, put_in_order, row_bytes, rows_done
from elastic_search.data.division import Division, divided, subset_of
from elastic_search.data.source import Entry, Source, named, source_of
from elastic_search.errors import DataError, EnvironmentFault, UsageError
from elastic_search.recipes import About, Data, Split

if TYPE_CHECKING:
    from elastic_search.data.dataset import Examples

VERSION = 1
"""Of what decoding and splitting do: part of the key."""

PIXELS, LABELS, META, USED = FILES = ("pixels.npy", "labels.npy", "meta.json", "used")
SOURCE = "source.json"
"""What is being decoded, while it is."""

TEMPORARY = re.compile(rf"({'|'.join(map(re.escape, (*FILES, SOURCE)))})\.[0-9]+-[0-9]+\.tmp")
"""Names of files that are being written."""

SPLITS = get_args(Split)
"""In the order in which their images lie in the file."""

CHECKED_BLOCKS = 16
"""Most blocks of pixels (512 MiB) whose checksums are compared when a cache is opened; of more, evenly spread ones."""

MOST_LISTED = 1000
"""Most broken files that are remembered by name."""

ANOTHER = "free space, or choose another folder with --cache"

_BAR_EVERY = 0.5  # seconds between looks at what another process has decoded


class CachedImages:
    """Images of a user, as a ``Dataset`` in a memory-mapped file. Cheap to send to another process.

    Args:
        folder: of the cache, whole.

    Raises:
        EnvironmentFault: if it is damaged or missing.
    """

    def __init__(self, folder: Path) -> None:
        meta = read_sealed(folder / META, ANOTHER)
        if meta is None or meta.get("version") != VERSION:
            raise EnvironmentFault(f"{folder}: not a whole cache of images", "run the command again that made it")
        self.folder = folder
        self.about = About.of(meta["about"])
        self.broken: list[tuple[str, str]] = [(name, reason) for name, reason in meta["broken"]]
        """Files that were left out, with the reason; a thousand at most."""
        self.broken_count = int(meta["broken_count"])
        self.bytes = _check(folder, self.about, meta)
        with suppress(OSError):  # a cache that others share may be read only
            (folder / USED).touch()

    def examples(self, split: Split) -> Examples:
        """The images of a split, in the memory map; a write to them stays in this process."""
        import torch

        from elastic_search.data.dataset import Examples

        pixels, labels = self.arrays(split)
        return Examples(torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels))

    def arrays(self, split: Split) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The same without torch: pixels [N, S, S, C], in the memory map, and labels [N].

        Raises:
            KeyError: if there is no such split.
        """
        images = self.about.images
        start = sum(images.get(before, 0) for before in SPLITS[: SPLITS.index(split)]) if split in images else 0
        rows = slice(start, start + images[split])
        # Copy-on-write, as torch warns of a map that is read only.
        pixels = np.load(self.folder / PIXELS, mmap_mode="c")[rows]
        return pixels, np.load(self.folder / LABELS)[rows]


def load(data: Data, edge: int, cache: Path | None = None, *, watch: Watch = lambda done, total: None) -> CachedImages:
    """The images that a user named, decoded to squares of ``edge`` px, from the cache or into it.

    Args:
        data: where they are, and how they are split.
        edge: in px, of the squares.
        cache: folder of all caches; None means ``default_cache()``.
        watch: is told how many images of how many are decoded, now and then; not called where nothing is.

    Raises:
        DataError: if the images cannot be used as they are.
        EnvironmentFault: if the cache cannot be written.
    """
    return cached(source_of(data.path), data, edge, cache, watch=watch)


def cached(
    source: Source, data: Data, edge: int, cache: Path | None = None, *, watch: Watch = lambda done, total: None
) -> CachedImages:
    """The same for the images of any source; ``data.path`` is not looked at."""
    root = default_cache() if cache is None else cache.expanduser()
    entries = subset_of(source.entries, data.subset)
    folder = root / _key(source, entries, data, edge)
    found = _opened(folder) or _made(folder, source, entries, data, edge, watch)
    notes = [*source.notes, *found.about.notes]
    if data.subset < 1:
        notes.insert(0, f"{float(100 * data.subset):.3g}% of the images of each class are used")
    found.about = replace(found.about, name=source.name, notes=tuple(notes))
    return found


def default_cache() -> Path:
    """The folder of all caches of this user: below $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        parent = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:
        raise EnvironmentFault("there is no home folder to keep a cache in", "choose a folder with --cache") from None
    return parent / "elastic-search" / "images"


@contextmanager
def alone(folder: Path, wait: bool = True, watch: Watch = lambda done, total: None, total: int = 0) -> Iterator[bool]:
    """Keep other processes from a cache; the kernel lets go of the lock of a process that dies.

    Args:
        folder: of the cache.
        wait: whether to wait for a process that holds it, or to give False at once.
        watch: is told what that process has done meanwhile.
        total: images that it decodes.
    """
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_BAR_EVERY if wait else 0)
        except Timeout:
            if not wait:
                break
            watch(min(rows_done(folder), total), total)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked and not folder.exists():  # those who wait notice, and lock a new file
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _key(source: Source, entries: Sequence[Entry], data: Data, edge: int) -> str:
    """Names a cache, by all that its content depends on, as far as that can be known without reading images."""
    how = (VERSION, edge, source.channels, PIL.__version__, str(data.subset), str(data.held_out), data.rank_on)
    digest = hashlib.sha256(json.dumps([how, source.classes, dict(source.parts)]).encode())
    for entry in entries:
        line = f"{entry.part}\0{entry.label}\0{entry.name}\0{source.stamp(entry)}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def _opened(folder: Path) -> CachedImages | None:
    """The cache in a folder, if it is whole."""
    try:
        return CachedImages(folder)
    except (EnvironmentFault, KeyError, TypeError, ValueError):  # the latter where another version sealed it
        return None


def _made(folder: Path, source: Source, entries: Sequence[Entry], data: Data, edge: int, watch: Watch) -> CachedImages:
    """Decode into the cache, or wait until another process has."""
    where = getattr(source, "root", None)
    if isinstance(where, Path) and folder.resolve().is_relative_to(where):
        raise UsageError(f"{folder.parent}: the cache would lie among the images", "choose another --cache")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with alone(folder, watch=watch, total=len(entries)):
            if (ready := _opened(folder)) is not None:
                return ready
            folder.mkdir(exist_ok=True)
            for path in folder.iterdir():  # damaged, or what a killed process had not named yet
                if path.name in FILES or TEMPORARY.fullmatch(path.name):
                    path.unlink()
            _make(folder, source, entries, data, edge, watch)
            return CachedImages(folder)
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be written ({error.strerror or error})", ANOTHER) from None


def _make(folder: Path, source: Source, entries: Sequence[Entry], data: Data, edge: int, watch: Watch) -> None:
    size = row_bytes(edge, source.channels)
    _room(folder, (2 * len(entries) - rows_done(folder)) * size)
    write_atomically(folder / SOURCE, sealed({"name": source.name, "edge": edge, "images": len(entries)}), ANOTHER)
    try:
        found = decode_all(source, entries, edge, folder, watch, _threads())
        sorted_out = divided(source.name, source.classes, source.parts, entries, found.contents, data)
    except DataError:  # when the files have been mended their times differ, and so does the key
        for name in (*PARTS, SOURCE):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
        raise
    order = [row for split in SPLITS for row in sorted_out.rows.get(split, ())]
    digests = put_in_order(folder, order, edge, source.channels, folder / PIXELS)
    labels = np.array([entries[row].label for row in order], np.int64)
    as_file = io.BytesIO()
    np.save(as_file, labels)
    write_atomically(folder / LABELS, as_file.getvalue(), ANOTHER)
    broken = [(entries[row].name, reason) for row, reason in sorted(found.broken.items())]
    about = _about(source, edge, sorted_out, broken, digests, labels)
    meta: dict[str, Any] = {
        "version": VERSION,
        "edge": edge,
        "about": about.to_dict(),
        "blocks": digests,
        "labels": _digest(labels),
    }
    listed = {"broken": broken[:MOST_LISTED], "broken_count": len(broken)}
    write_atomically(folder / META, sealed({**meta, **listed}), ANOTHER)
    for name in (*PARTS, SOURCE):
        (folder / name).unlink(missing_ok=True)


def _about(
    source: Source, edge: int, found: Division, broken: Sequence[tuple[str, str]], digests: list[str], labels: Any
) -> About:
    images: dict[Split, int] = {split: len(rows) for split, rows in found.rows.items()}
    content = [digests, _digest(labels), images, source.classes, edge, source.channels]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    notes = list(found.notes)
    if broken:
        which = named([f"{name} ({reason})" for name, reason in broken])
        notes.append(f"{len(broken):,} of the images cannot be read and are left out: {which}")
    splits = {split: found.splits[split] for split in images}
    return About(source.name, key, source.classes, images, splits, source.channels, (), source.edge, notes=tuple(notes))


def _check(folder: Path, about: About, meta: dict[str, Any]) -> int:
    """Compare checksums; of a large file, those of some blocks.

    Returns:
        Bytes of the pixels.

    Raises:
        EnvironmentFault: if one differs.
    """
    damaged = EnvironmentFault(f"{folder}: damaged", "run the command again that made it")
    try:
        pixels = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / LABELS, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise damaged from None
    edge = meta["edge"]
    if pixels.shape != (sum(about.images.values()), edge, edge, about.channels):
        raise damaged
    size = row_bytes(edge, about.channels)
    every = blocks(len(pixels), size)
    with (folder / PIXELS).open("rb") as file:  # read, as mapped pages would count as memory of this process
        for at in np.unique(np.linspace(0, len(every) - 1, CHECKED_BLOCKS).round().astype(int)):
            file.seek(pixels.offset + every[at].start * size)
            if _digest_of(file, len(every[at]) * size) != meta["blocks"][at]:
                raise damaged
    if _digest(labels) != meta["labels"]:
        raise damaged
    return int(pixels.nbytes)


def _digest_of(file: BinaryIO, length: int) -> str:
    """Of the next bytes of a file, in pieces."""
    digest = hashlib.sha256()
    while length and (piece := file.read(min(length, 2**20))):
        digest.update(piece)
        length -= len(piece)
    return digest.hexdigest()


def _digest(labels: Any) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()


def _room(folder: Path, needed: int) -> None:
    """Raises: EnvironmentFault: if the disk has less room than is needed, before hours of work find out."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        said = f"{folder.parent}: the cache needs {needed / 1e9:.2f} GB while it is made, {free / 1e9:.2f} GB are free"
        raise EnvironmentFault(said, ANOTHER)


def _threads() -> int:
    """One for each core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
