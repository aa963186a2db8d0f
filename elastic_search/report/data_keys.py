"""The keys of ``data``; see ``report.keys``."""

from __future__ import annotations

from elastic_search.report.key import Key

_CLASS = {
    "label": Key("integer", "number of the class"),
    "class": Key("text", "name of the class"),
    "found": Key("integer", "images of the class that are there", "images"),
    "used": Key("integer", "of these, images in any split", "images"),
    "train": Key("integer", "images of the class that networks are trained on", "images"),
    "rank": Key("integer", "images of the class that rank networks", "images"),
    "final": Key("integer?", "images of the class that are shown at the end; null without such a split", "images"),
}

_CACHE = {
    "key": Key("text", "names the cache; its folder is called so"),
    "name": Key("text?", "of the images; null if the cache is damaged"),
    "edge": Key("integer?", "edge of the decoded squares; null if the cache is damaged", "pixels"),
    "images": Key("integer", "images in it, or to be decoded into it", "images"),
    "decoded": Key("integer", "images that are decoded", "images"),
    "state": Key("text", "`whole`, `unfinished` or `damaged`"),
    "bytes": Key("integer", "on disk", "bytes"),
    "used": Key("number", "when it was last opened or written to, since 1970", "seconds"),
}

DATA_KEYS = {
    "data:path": Key("text", "the images, as they were given"),
    "data:name": Key("text", "of the images, for people"),
    "data:key": Key("text", "names the content of the images and how they were split and resized"),
    "data:edge": Key("integer", "edge of the decoded squares", "pixels"),
    "data:channels": Key("integer", "1 for grey or 3 for RGB"),
    "data:subset": Key("fraction", "of the images of each class, those that are used"),
    "data:held_out": Key("fraction", "of the training images, those that rank networks"),
    "data:rank_on": Key("text", "`held-out` or `val`: what ranks networks"),
    "data:listed": Key("integer", "images that are there", "images"),
    "data:images": Key("integer", "images that are used, in all splits", "images"),
    "data:splits": Key("list", "what networks are trained on, ranked on and shown on at the end"),
    "data:splits[].split": Key("text", "`train`, `rank` or `final`"),
    "data:splits[].of": Key("text", "where its images are from, such as `val/` or `10% of train/`"),
    "data:splits[].images": Key("integer", "images of the split", "images"),
    "data:doubles": Key("integer", "images that are left out as they are there twice, or in two classes", "images"),
    "data:broken": Key("integer", "images that are left out as they cannot be read", "images"),
    "data:broken_files": Key("list", "their names, a thousand at most"),
    "data:broken_files[].file": Key("text", "path below the folder, or array and row"),
    "data:broken_files[].reason": Key("text", "why it cannot be read"),
    "data:looked_at": Key("integer", "originals whose size and mode were looked at, evenly spread over all", "images"),
    "data:sizes": Key("sizes", "height and width of the smallest, the median and the largest of them", "pixels"),
    "data:modes": Key("counts", "how many of them have which mode, as Pillow names modes"),
    "data:imbalance": Key("number", "images of the largest class divided by those of the smallest"),
    "data:cache": Key("text", "folder of the decoded images"),
    "data:cache_bytes": Key("integer", "of the decoded images", "bytes"),
    "data:classes": Key("list", "in the order of their labels"),
    **{f"data:{place}{key}": of for place in ("", "classes[].") for key, of in _CLASS.items()},
    "data --caches:folder": Key("text", "that holds all caches"),
    "data --caches:bytes": Key("integer", "on disk, of all caches", "bytes"),
    "data --caches:removed": Key("integer", "bytes of the caches that were removed", "bytes"),
    "data --caches:caches": Key("list", "the one used last first"),
    **{f"data --caches{place}{key}": of for place in (" csv:", ":caches[].") for key, of in _CACHE.items()},
}
