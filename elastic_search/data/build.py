"""Decoding the images of a source into a folder, as a stream that goes on after a kill.

Two passes: over the source, in the order of its entries, into two files that only grow; then over these, in the order
of the splits, into the files that are kept. A row of the first file counts once its hash is in the second, which is
written after the first is on disk, so that whatever ends the process costs a batch at most:

    rows.part      pixels [edge, edge, channels] of each entry, one after the other; zeros for a broken one
    hashes.part    SHA-256 of each entry's content; zeros for a broken one
    broken.part    why, one JSON list of row and reason a line

Files are written, not mapped: a full disk is then an error, not the end of the process.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from elastic_search.atomic import put_in_place, temporary_of
from elastic_search.data.decode import quietly
from elastic_search.data.source import BrokenImageError, Entry, Pixels, Source, named
from elastic_search.errors import DataError

Watch = Callable[[int, int], None]
"""Told how many images of how many are decoded, now and then."""

ROWS, HASHES, BROKEN = PARTS = ("rows.part", "hashes.part", "broken.part")

BATCH_BYTES = 8 * 2**20
"""Pixels that are decoded between two writes."""

MOST_IN_BATCH = 256

BLOCK_BYTES = 32 * 2**20
"""Pixels under one checksum."""

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)

TOLERATED = 0.05
"""Share of files that may be broken, and left out; more is an error. A few may be broken in any case."""

TOLERATED_FEW = 3


@dataclass(frozen=True)
class Decoded:
    """What the first pass left in the folder.

    Attributes:
        contents: the hash of each entry's content; None for a broken one.
        broken: why an entry cannot be read, by its row.
    """

    contents: Sequence[bytes | None]
    broken: dict[int, str] = field(default_factory=dict)


def row_bytes(edge: int, channels: int) -> int:
    """Bytes of one image."""
    return edge * edge * channels


def rows_done(folder: Path) -> int:
    """How many entries the first pass has read so far, by this or any other process."""
    try:
        return (folder / HASHES).stat().st_size // HASH_BYTES
    except OSError:
        return 0


def decode_all(
    source: Source, entries: Sequence[Entry], edge: int, folder: Path, watch: Watch, threads: int
) -> Decoded:
    """The first pass, from where the last process that tried has left it.

    Args:
        source: of the images.
        entries: those that are read.
        edge: of the squares, in px.
        folder: this process alone writes to it.
        watch: is told after each image.
        threads: that decode.

    Raises:
        DataError: as soon as too many files are broken; names the first.
        OSError: if the folder cannot be written to.
    """
    size = row_bytes(edge, source.channels)
    batch = max(1, min(MOST_IN_BATCH, BATCH_BYTES // size))
    with quietly(), _Progress(folder, size) as progress, ThreadPoolExecutor(threads) as pool:
        watch(progress.done, len(entries))
        _tolerate(source, entries, progress.broken)

        def read(entry: Entry) -> tuple[Pixels | None, bytes, str]:
            try:
                return *source.read(entry, edge), ""
            except BrokenImageError as error:
                return None, NO_HASH, str(error)

        try:
            while progress.done < len(entries):
                first = progress.done
                for found in pool.map(read, entries[first : first + batch]):
                    progress.add(*found)
                    watch(first + progress.waiting, len(entries))
                progress.save()
                _tolerate(source, entries, progress.broken)
        finally:  # Ctrl-C: what is not begun is dropped, what is done is kept
            pool.shutdown(cancel_futures=True)
            progress.save()
        return Decoded(progress.hashes(), progress.broken)


class _Progress:
    """The three files of the first pass, whose ends fit together."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self.done = min(rows_done(folder), _size(folder / ROWS) // size)
        self.broken: dict[int, str] = {}
        self._new: list[tuple[Pixels | None, bytes, str]] = []
        self._files: list[BinaryIO] = []

    @property
    def waiting(self) -> int:
        """Images that are decoded and not yet saved."""
        return len(self._new)

    def __enter__(self) -> _Progress:
        for name, end in ((ROWS, self.done * self.size), (HASHES, self.done * HASH_BYTES), (BROKEN, None)):
            self._files.append((self.folder / name).open("ab", buffering=0))
            if end is not None:
                self._files[-1].truncate(end)
        hashes = self.hashes()
        reasons = dict(_reasons(self.folder / BROKEN))
        self.broken = {row: reasons.get(row, "cannot be read") for row, one in enumerate(hashes) if one is None}
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, pixels: Pixels | None, content: bytes, reason: str) -> None:
        if pixels is None:
            self.broken[self.done + self.waiting] = reason
        self._new.append((pixels, content, reason))

    def save(self) -> None:
        """Put on disk what was added; a row counts once its hash is there."""
        new, self._new = self._new, []
        if not new:
            return
        rows, hashes, broken = self._files
        gap = bytes(self.size)
        reasons = [(self.done + at, reason) for at, (pixels, _, reason) in enumerate(new) if pixels is None]
        _write(broken, "".join(f"{json.dumps(pair)}\n" for pair in reasons).encode())
        _write(rows, b"".join(gap if pixels is None else np.ascontiguousarray(pixels).data for pixels, _, _ in new))
        os.fsync(rows.fileno())
        _write(hashes, b"".join(content for _, content, _ in new))
        self.done += len(new)

    def hashes(self) -> list[bytes | None]:
        """Of all entries so far."""
        whole = (self.folder / HASHES).read_bytes()
        each = (whole[at : at + HASH_BYTES] for at in range(0, self.done * HASH_BYTES, HASH_BYTES))
        return [None if one == NO_HASH else one for one in each]


def put_in_order(folder: Path, order: Sequence[int], edge: int, channels: int, pixels: Path) -> list[str]:
    """The second pass: write the chosen rows to an .npy file, uint8 [N, edge, edge, channels].

    Args:
        folder: of the first pass.
        order: rows of the first pass.
        edge: of the squares, in px.
        channels: of the images.
        pixels: the file; it has its name once it is whole and on disk.

    Returns:
        SHA-256 of each block of images, in hexadecimal; see ``blocks``.

    Raises:
        OSError: if it cannot be written.
    """
    size = row_bytes(edge, channels)
    temporary = temporary_of(pixels)
    digests = []
    try:
        with (folder / ROWS).open("rb") as rows, temporary.open("xb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(order), edge, edge, channels)}
            np.lib.format.write_array_header_1_0(file, header)
            for block in blocks(len(order), size):
                digest = hashlib.sha256()
                for row in block:
                    content = os.pread(rows.fileno(), size, order[row] * size)
                    digest.update(content)
                    file.write(content)
                digests.append(digest.hexdigest())
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, pixels)
    finally:
        temporary.unlink(missing_ok=True)
    return digests


def blocks(count: int, size: int) -> list[range]:
    """The rows under each checksum, for a number of images of ``size`` bytes."""
    each = max(1, BLOCK_BYTES // size)
    return [range(start, min(start + each, count)) for start in range(0, count, each)]


def _tolerate(source: Source, entries: Sequence[Entry], broken: dict[int, str]) -> None:
    """Raises: DataError: if more files are broken than may be."""
    if len(broken) > max(TOLERATED_FEW, TOLERATED * len(entries)):
        which = named([f"{entries[row].name} ({reason})" for row, reason in sorted(broken.items())])
        raise DataError(
            f"{source.name}: more than {TOLERATED:.0%} of {len(entries):,} images cannot be read: {which}",
            "mend or remove them",
        )


def _reasons(file: Path) -> Iterator[tuple[int, str]]:
    for line in file.read_bytes().splitlines():
        try:
            row, reason = json.loads(line)
        except ValueError:  # a line that a kill cut short
            continue
        yield int(row), str(reason)


def _write(file: BinaryIO, content: bytes) -> None:
    """All of it: an unbuffered file takes less than it is given when a disk is nearly full."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
