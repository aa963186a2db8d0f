"""Our peaks of memory beside those of torch's MemTracker, on every published network.

    python benchmarks/memory.py [BATCH]

Prints a Markdown table: inference of 1 and 4 images at 224 x 224 and 225 x 193, where a peak must be equal, and
training of BATCH images (32) at 224 x 224 in fp32 and bf16, where it must lie within 3 %. Exits with 1 if one does not.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import image
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.memory import peak_inference, peak_training
from elastic_search.nn.net import Net

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from torch_training import tracked_peak

LIMIT = 0.03
SIZES = ((224, 224), (225, 193))


def inference_is_equal(graph: Graph) -> bool:
    return all(
        peak_inference(graph, image(*size), batch)
        == tracked_peak(lambda: Net(graph), image(*size), batch, training=False)
        for size in SIZES
        for batch in (1, 4)
    )


def training_error(graph: Graph, batch: int, dtype: torch.dtype) -> tuple[int, float]:
    """Our peak in bytes, and how far it is off."""
    ours = peak_training(graph, image(224, 224), batch, dtype.itemsize).total
    return ours, ours / tracked_peak(lambda: Net(graph), image(224, 224), batch, dtype, training=True) - 1


def main() -> None:
    batch = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    names = [name for name in PUBLISHED if not name.endswith("_coco")]
    print(f"| network | inference | training, batch {batch}, fp32 MiB | error | bf16 MiB | error | ms |")
    print("| :-- | :-- | --: | --: | --: | --: | --: |")
    failed = False
    for name in names:
        graph = published(name).graph()
        start = time.perf_counter()
        peak_training(graph, image(224, 224), batch)
        milliseconds = 1000 * (time.perf_counter() - start)
        equal = inference_is_equal(graph)
        cells = [name, "equal" if equal else "DIFFERENT"]
        failed |= not equal
        for dtype in (torch.float32, torch.bfloat16):
            ours, error = training_error(graph, batch, dtype)
            failed |= abs(error) > LIMIT
            cells += [f"{ours / 2**20:.1f}", f"{100 * error:+.3f} %"]
        print("| " + " | ".join([*cells, f"{milliseconds:.0f}"]) + " |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
