"""The caches of images on this disk: what there is, how large, how long unused; and removing them.

Nothing is removed but files of the names that a cache has, in folders of the names that caches have.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from elastic_search.atomic import read_sealed
from elastic_search.data.build import PARTS, rows_done
from elastic_search.data.cache import FILES, META, PIXELS, SOURCE, TEMPORARY, USED, alone, default_cache
from elastic_search.errors import EnvironmentFault, UnknownNameError, UsageError

_KEY = re.compile(r"[0-9a-f]{32}")
_UNITS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}

SHORTEST = 4
"""Letters of a key that name a cache, at least."""


@dataclass(frozen=True)
class CacheInfo:
    """A cache on disk.

    Attributes:
        folder: of the cache; its name is the key.
        name: of the source, such as the name of a folder; "" if nothing says so.
        edge: of the images, in px; 0 if nothing says so.
        images: number of images; of an unfinished cache, those to be decoded.
        decoded: images that are decoded; all, unless it is unfinished.
        bytes: on disk.
        used: when it was last opened or written to, in seconds since 1970.
        state: "whole", "unfinished" (goes on when it is asked for again) or "damaged".
    """

    folder: Path
    name: str
    edge: int
    images: int
    decoded: int
    bytes: int
    used: float
    state: str

    @property
    def key(self) -> str:
        """Names the cache."""
        return self.folder.name


def caches(cache: Path | None = None) -> list[CacheInfo]:
    """All caches, the one used last first.

    Args:
        cache: folder of all caches; None means ``default_cache()``.

    Raises:
        EnvironmentFault: if the folder cannot be read.
    """
    root = default_cache() if cache is None else cache.expanduser()
    try:
        folders = [path for path in root.iterdir() if _is_cache(path)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnvironmentFault(f"{root}: cannot be read ({error.strerror})", "check --cache") from None
    return sorted((_info(folder) for folder in folders), key=lambda info: (-info.used, info.key))


def chosen(found: Sequence[CacheInfo], key: str) -> CacheInfo:
    """The cache that a key, or the beginning of one, names.

    Raises:
        UsageError: if it names several, or is too short to name one.
        UnknownNameError: if it names none.
    """
    if len(key) < SHORTEST:
        raise UsageError(f"key {key!r}: too short to name a cache", f"give at least {SHORTEST} letters of it")
    named = [info for info in found if info.key.startswith(key)]
    if len(named) > 1:
        raise UsageError(f"key {key!r}: {len(named)} caches begin so", "give more letters of it")
    if not named:
        raise UnknownNameError("cache", key, [info.key for info in found])
    return named[0]


def unused(found: Sequence[CacheInfo], seconds: float) -> list[CacheInfo]:
    """The caches that nobody has opened for so long."""
    return [info for info in found if time.time() - info.used > seconds]


def seconds_of(text: str) -> float:
    """A time such as "12h", "30d" or "2w", in seconds.

    Raises:
        UsageError: if it is none.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([hdw])", text.strip())
    if found is None:
        raise UsageError(f"{text!r}: not a time", "give hours, days or weeks, such as 12h, 30d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def remove(info: CacheInfo) -> int:
    """Delete a cache. What maps it into memory keeps its images.

    Returns:
        Bytes that were freed.

    Raises:
        EnvironmentFault: if a process is making it, if it cannot be deleted, or if there are files in its folder that
            are not of a cache; these stay.
    """
    folder = info.folder
    if not _is_cache(folder):
        raise EnvironmentFault(f"{folder}: not a cache of images", "nothing was removed")
    try:
        with alone(folder, wait=False) as held:
            if not held:
                raise EnvironmentFault(f"{info.key}: a process is making this cache", "stop it first")
            # The file that says that the cache is whole goes first.
            for path in sorted(folder.iterdir(), key=lambda path: path.name != META):
                if path.name in (*FILES, *PARTS, SOURCE) or TEMPORARY.fullmatch(path.name):
                    path.unlink()
            if left := sorted(path.name for path in folder.iterdir()):
                raise EnvironmentFault(f"{folder}: holds {left[0]}, which is not of a cache", "it was left there")
            folder.rmdir()
    except OSError as error:
        raise EnvironmentFault(f"{folder}: cannot be removed ({error.strerror or error})", "check its owner") from None
    return info.bytes


def _is_cache(path: Path) -> bool:
    """Whether a folder is named as a cache is and holds files of one, or nothing."""
    if not _KEY.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    names = [inner.name for inner in path.iterdir()]
    return not names or any(name in (META, PIXELS, SOURCE, *PARTS) for name in names)


def _info(folder: Path) -> CacheInfo:
    size, used = 0, folder.stat().st_mtime
    for path in folder.iterdir():
        with suppress(OSError):  # it may be in use, and change
            found = path.lstat()
            size += found.st_blocks * 512
            used = max(used, found.st_mtime) if path.name in (USED, *PARTS) else used
    for file, state in ((META, "whole"), (SOURCE, "unfinished")):
        try:
            said = read_sealed(folder / file, "")
            if said is not None:
                return _said(folder, said, state, size, used)
        except (EnvironmentFault, KeyError, TypeError, ValueError):
            break
    return CacheInfo(folder, "", 0, 0, 0, size, used, "damaged")


def _said(folder: Path, said: dict[str, object], state: str, size: int, used: float) -> CacheInfo:
    edge = said["edge"]
    assert isinstance(edge, int)
    if state == "whole":
        about = said["about"]
        assert isinstance(about, dict)
        images = sum(about["images"].values())
        return CacheInfo(folder, about["name"], edge, images, images, size, used, state)
    images = said["images"]
    assert isinstance(images, int)
    return CacheInfo(folder, str(said["name"]), edge, images, min(rows_done(folder), images), size, used, state)
