"""What a cache of a user's images costs to build, to open and to read.

    python benchmarks/data.py [--images 10000] [--edge 64] [--photos 0]

Makes a folder of JPEGs of 256-500 px (and, with --photos, that many of 8 megapixels), then builds the cache in a
process of its own, opens it in another, and reads shuffled batches. Prints a Markdown table. Exits with 1 if a limit
is missed, with 10,000 images or more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 10
BUILD_SECONDS = 20.0  # CPU, for 10,000 images
OPEN_SECONDS = 0.5
BATCH_IMAGES = 10_000  # per CPU-second
BATCH = 256


def make(root: Path, images: int, photos: int, seed: int = 0) -> None:
    """JPEGs as photographs are: smooth, with some noise; some 28 kB each."""
    generator = np.random.default_rng(seed)
    for at in range(images + photos):
        short, long = sorted(generator.integers(256, 501, 2)) if at < images else (2448, 3264)
        smooth = generator.integers(0, 256, (8, 10, 3), np.uint8)
        picture = np.asarray(Image.fromarray(smooth).resize((long, short), Image.Resampling.BICUBIC), np.int16)
        picture = picture + generator.integers(-6, 7, (short, long, 1), np.int16)
        folder = root / f"class {at % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{at}.jpg", quality=88)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(what: str, root: Path, cache: Path, edge: int) -> dict[str, float]:
    """One measurement, in this process."""
    from elastic_search.data.cache import load
    from elastic_search.recipes import Data

    if what == "build":
        idle, before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, cpu_seconds(), time.perf_counter()
        load(Data(str(root)), edge, cache)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall = time.perf_counter() - start
        return {"cpu": cpu_seconds() - before, "wall": wall, "peak": peak / 1024, "idle": idle / 1024}
    import torch

    start = time.perf_counter()
    dataset = load(Data(str(root)), edge, cache)
    examples = dataset.examples("train")
    opened = time.perf_counter() - start
    generator = torch.Generator().manual_seed(0)
    images, before = 0, cpu_seconds()
    while images < 50_000:
        order = torch.randperm(len(examples), generator=generator)
        for first in range(0, len(order), BATCH):
            images += len(examples.images[order[first : first + BATCH]])
    return {"open": opened, "read": images / (cpu_seconds() - before)}


def child(*arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--photos", type=int, default=0)
    parser.add_argument("--edge", type=int, default=64)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        what, root, cache = given.measure
        print(json.dumps(measure(what, Path(root), Path(cache), given.edge)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root, cache = Path(temporary, "images"), Path(temporary, "cache")
        make(root, given.images, given.photos)
        size = sum(file.stat().st_size for file in root.rglob("*.jpg")) / (given.images + given.photos)
        built, used = (
            child("--measure", what, str(root), str(cache), "--edge", str(given.edge)) for what in ("build", "use")
        )
    cores = len(os.sched_getaffinity(0))
    print(
        f"{given.images + given.photos:,} JPEGs of {size / 1000:.0f} kB on average, edge {given.edge}, {cores} cores\n"
    )
    print("| what | measured | limit |")
    print("| :-- | --: | --: |")
    print(f"| build, CPU-seconds | {built['cpu']:.1f} | {BUILD_SECONDS:.0f} |")
    print(f"| build, seconds | {built['wall']:.1f} | |")
    print(f"| build, peak memory in MiB ({built['idle']:.0f} before) | {built['peak']:.0f} | |")
    print(f"| open, seconds | {used['open']:.3f} | {OPEN_SECONDS} |")
    print(f"| shuffled batches, images per CPU-second | {used['read']:,.0f} | {BATCH_IMAGES:,} |")
    met = built["cpu"] <= BUILD_SECONDS and used["open"] <= OPEN_SECONDS and used["read"] >= BATCH_IMAGES
    sys.exit(given.images >= 10_000 and not met)


if __name__ == "__main__":
    main()
