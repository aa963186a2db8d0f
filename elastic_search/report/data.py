"""What ``data`` reports: the images that a user has, and the caches of decoded images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from elastic_search.report.emit import Field, Record, Report

if TYPE_CHECKING:
    from elastic_search.data.caches import CacheInfo
    from elastic_search.data.survey import ClassCount, Looks, Survey

MOST_CLASSES = 30
"""Classes that a table lists; of more, the largest and the smallest."""

EACH_END = 8

MOST_MODES = 4

SIZES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def data_report(found: Survey) -> Report:
    """The images of each class and split, and what is known of all."""
    about = found.about
    classes = [_class_row(label, one) for label, one in enumerate(found.classes)]
    total = sum(about.images.values())
    splits = [f"{count:,} {split} ({about.splits[split]})" for split, count in about.images.items()]
    facts = [("images", ", ".join(splits))]
    if total < found.listed:
        facts.append(("left out", _left_out(found, total)))
    facts += [("classes", _balance(found)), ("originals", _originals(found.looks, found.listed))]
    colour = "RGB" if about.channels == 3 else "grey"
    facts += [
        ("decoded to", f"{found.edge}x{found.edge} px, {colour}"),
        ("cache", f"{bytes_text(found.bytes)} in {found.folder}"),
    ]
    return Report(
        f"{about.name}: {total:,} images of {len(classes):,} classes",
        [Field("what", "what"), Field("says", "found", "long")],
        [{"what": what, "says": says} for what, says in facts],
        about.notes,
        lambda: _document(found, classes),
        "data",
        records=classes,
        below=[_classes_table(classes, "final" in about.images)],
    )


def caches_report(found: Sequence[CacheInfo], folder: Path, removed: int = 0) -> Report:
    """The caches in a folder.

    Args:
        found: the caches.
        folder: that holds them.
        removed: bytes of those that were removed just now.
    """
    entries = [
        {"key": one.key, "name": one.name or None, "edge": one.edge or None, "images": one.images,
         "decoded": one.decoded, "state": one.state, "bytes": one.bytes, "used": one.used}
        for one in found
    ]  # fmt: skip
    now = time.time()
    rows: list[Record | None] = [
        {
            **entry,
            "key": one.key[:8],
            "images": f"{one.images:,}" if one.decoded == one.images else f"{one.decoded:,} of {one.images:,}",
            "bytes": bytes_text(one.bytes),
            "used": _ago(now - one.used),
        }
        for one, entry in zip(found, entries, strict=True)
    ]
    fields = [Field("key", "key"), Field("name", "images", "long"), Field("edge", "px", "number")]
    fields += [Field("images", "number", "number"), Field("bytes", "size", "number"), Field("used", "last used")]
    fields += [Field("state", "state")]
    total = sum(one.bytes for one in found)
    head = {"folder": str(folder), "bytes": total, "removed": removed, "caches": entries}
    title = f"{len(found)} cache{'' if len(found) == 1 else 's'} in {folder}, {bytes_text(total)}"
    report = Report(title, fields, rows, [], head, "data --caches", records=entries)
    return report.without("edge", "used", "state")


def bytes_text(count: int) -> str:
    """A number of bytes as people write it: ``12.3 MB``."""
    return next((f"{count / size:.1f} {unit}" for size, unit in SIZES if count >= size), f"{count} bytes")


def _class_row(label: int, one: ClassCount) -> Record:
    counts = {split: one.images.get(split) for split in ("train", "rank", "final")}
    return {"label": label, "class": one.name, "found": one.found, "used": one.used, **counts}


def _classes_table(classes: Sequence[Record], has_final: bool) -> Report:
    """The images of each class; of many classes, of the largest and the smallest."""
    fields = [Field("class", "class", "long"), Field("found", "found", "number"), Field("train", "train", "number")]
    fields += [Field("rank", "rank", "number")] + [Field("final", "final", "number")] * has_final
    title = "Images of each class"
    rows: list[Record | None] = list(classes)
    if len(classes) > MOST_CLASSES:
        by_size = sorted(classes, key=lambda row: (-row["used"], row["label"]))
        title = f"Images of the {EACH_END} largest and the {EACH_END} smallest classes"
        left = {"class": f"({len(classes) - 2 * EACH_END:,} more)", **dict.fromkeys(("found", "train", "rank"), "")}
        rows = [*by_size[:EACH_END], {**left, "final": ""}, *by_size[-EACH_END:]]
    return Report(title, fields, rows)


def _balance(found: Survey) -> str:
    """The smallest and the largest class, and their ratio."""
    low, high = (choose(found.classes, key=lambda one: one.used) for choose in (min, max))
    if low.used == high.used:
        return f"{low.used:,} images each"
    between = f"{low.used:,} images ({low.name}) to {high.used:,} ({high.name})"
    return f"{between}, largest : smallest {found.imbalance:.3g}"


def _left_out(found: Survey, total: int) -> str:
    """Why images that are there are in no split."""
    reasons = [(found.broken, "cannot be read"), (found.doubles, "doubles, or in two classes")]
    reasons.append((found.listed - total - found.broken - found.doubles, "not in the subset"))
    return ", ".join(f"{count:,} ({why})" for count, why in reasons if count)


def _originals(looks: Looks, listed: int) -> str:
    """Sizes and modes."""
    if not looks.sizes:
        return "-"
    low, median, high = ("{}x{}".format(*size) for size in looks.sizes)
    sizes = low if low == high else f"{low} to {high}, median {median}"
    modes = list(looks.modes.items())
    more = [f"{len(modes) - MOST_MODES} more modes"] if len(modes) > MOST_MODES else []
    counted = modes[0][0] if len(modes) == 1 else ", ".join(
        [f"{mode} {count:,}" for mode, count in modes[:MOST_MODES]] + more
    )  # fmt: skip
    part = f" (of {looks.looked_at:,} that were looked at)" if looks.looked_at < listed else ""
    return f"{sizes} px; {counted}{part}"


def _ago(seconds: float) -> str:
    """A time that has passed, in its largest unit."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _document(found: Survey, classes: Sequence[Record]) -> Record:
    about, data, looks = found.about, found.data, found.looks
    return {
        "path": found.path,
        "name": about.name,
        "key": about.key,
        "edge": found.edge,
        "channels": about.channels,
        "subset": float(data.subset),
        "held_out": float(data.held_out),
        "rank_on": data.rank_on,
        "listed": found.listed,
        "images": sum(about.images.values()),
        "splits": [
            {"split": split, "of": about.splits[split], "images": count} for split, count in about.images.items()
        ],
        "doubles": found.doubles,
        "broken": found.broken,
        "broken_files": [{"file": name, "reason": reason} for name, reason in found.broken_files],
        "looked_at": looks.looked_at,
        "sizes": [[height, width] for width, height in looks.sizes],
        "modes": dict(looks.modes),
        "imbalance": found.imbalance,
        "cache": str(found.folder),
        "cache_bytes": found.bytes,
        "classes": list(classes),
    }
