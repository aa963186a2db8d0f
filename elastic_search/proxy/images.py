"""A search space meets images of the user's own: what they are, and how its trainings find them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic_search.data.cache import CachedImages, load
from elastic_search.errors import DataError

if TYPE_CHECKING:
    from elastic_search.files import SearchSpace
    from elastic_search.recipes import Data


def on_images(
    space: SearchSpace, source: Data, cache: Path | None = None,
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[SearchSpace, dict[str, Any]]:  # fmt: skip
    """The space for images, which are decoded if they are not yet, and what ``evaluator.make`` takes as ``data``.

    Args:
        space: a space from a file, or that of a stored run, whose images must be the same.
        source: where the images are.
        cache: folder of all caches; by default that of the user.
        watch: is told how many images of how many are decoded.

    Raises:
        DataError: if the images cannot be used, or are not those of the stored run.
        EnvironmentFault: if the cache cannot be written.
    """
    found = load(source, space.proxy.input, cache, watch=watch)
    if space.about is not None and found.about.key != space.about.key:
        raise DataError(
            f"{source.path}: not the images that the run was started with", "restore them, or choose another --name"
        )
    return space.on(source, found.about), {"folder": str(found.folder), "key": found.about.key}


def opened(data: Mapping[str, Any]) -> CachedImages:
    """The images that a job names, in their cache.

    Raises:
        DataError: if the cache holds other images by now.
        EnvironmentFault: if it is damaged or was removed.
    """
    found = CachedImages(Path(data["folder"]))
    if found.about.key != data["key"]:
        raise DataError(f"{found.folder}: other images than those of the run", "start the search again")
    return found
