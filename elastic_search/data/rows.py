"""Records of one length in a file, each of which can be read by its number: the images of an array.

No file is held in memory whole. Threads may read at the same time.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import IO, NamedTuple, Protocol

from elastic_search.data.source import BrokenImageError

CHUNK_BYTES = 2**20
"""Of a compressed file, unpacked at a time."""

CHUNKS = 4
"""Chunks that are kept, as threads read rows not quite in their order."""

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, KeyError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What a damaged or encrypted archive may raise."""


class Rows(Protocol):
    """Records of one length in a file."""

    def read(self, row: int) -> bytes:
        """One record.

        Raises:
            BrokenImageError: if the file does not give it.
        """


class FileRows(NamedTuple):
    """Records that lie in a file as they are.

    Attributes:
        path: of the file.
        offset: of the first record, in bytes.
        stride: from one record to the next, in bytes.
        length: of what is read of a record, in bytes.
    """

    path: Path
    offset: int
    stride: int
    length: int

    def read(self, row: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset + row * self.stride)
                found = file.read(self.length)
        except OSError as error:
            raise BrokenImageError(error.strerror or type(error).__name__) from None
        if len(found) != self.length:
            raise BrokenImageError("the file has become shorter")
        return found


class HeldRows(NamedTuple):
    """Records that had to be held in memory, once."""

    content: bytes
    length: int

    def read(self, row: int) -> bytes:
        return self.content[row * self.length : (row + 1) * self.length]


class PackedRows:
    """Records in a compressed member of a zip archive, which are best read in their order.

    Args:
        path: of the archive.
        member: its name in the archive.
        offset: of the first record in the member, in bytes.
        length: of a record, in bytes.
    """

    def __init__(self, path: Path, member: str, offset: int, length: int) -> None:
        self._path, self._member, self._offset, self._length = path, member, offset, length
        self._each = max(1, CHUNK_BYTES // length)
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._stream: IO[bytes] | None = None
        self._lock = Lock()

    def read(self, row: int) -> bytes:
        chunk, at = divmod(row, self._each)
        with self._lock:
            if chunk not in self._chunks:
                self._chunks[chunk] = self._unpacked(chunk)
                if len(self._chunks) > CHUNKS:
                    self._chunks.popitem(last=False)
            found = self._chunks[chunk][at * self._length : (at + 1) * self._length]
        if len(found) != self._length:
            raise BrokenImageError("the file has become shorter")
        return found

    def _unpacked(self, chunk: int) -> bytes:
        """A chunk of records; what lies before it is unpacked too, again if it was passed already."""
        try:
            if self._stream is None:
                with zipfile.ZipFile(self._path) as archive:  # closed, but not before its streams are
                    self._stream = archive.open(self._member)
            assert self._stream is not None
            self._stream.seek(self._offset + chunk * self._each * self._length)
            return self._stream.read(self._each * self._length)
        except UNREADABLE as error:
            raise BrokenImageError(f"cannot be unpacked ({str(error)[:80]})") from None
