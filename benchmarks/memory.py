"""Our peaks of memory next to those of torch's MemTracker, on every published network.

    python benchmarks/memory.py [BATCH]

Prints a Markdown table: inference of 1 and 4 images at 224 x 224 and 225 x 193, where a peak must be equal, and
training of BATCH images (32) at 224 x 224 in fp32 and bf16, where it must lie within 3 %. Exits with 1 if one does not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape, image
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.memory import peak_inference, peak_training
from elastic_search.nn.net import Net

LIMIT = 0.03
SIZES = ((224, 224), (225, 193))


def tracked_peak(
    make: Callable[[], nn.Module], input: Shape, batch: int = 1, dtype: torch.dtype = torch.float32, *, training: bool
) -> int:
    """MemTracker's peak in bytes, without the parameters and the buffers: one pass forward and, in training, back.

    It runs on fake tensors: nothing is computed; shapes, dtypes and lifetimes are those of a real run on a CPU.

    Args:
        make: builds the module, whose weights are not read.
        input: shape of one image.
        batch: images.
        dtype: of the module and the images.
        training: whether to run the backward pass, from a gradient of the output.
    """
    before = torch.get_default_dtype()
    with FakeTensorMode():
        # A module on fake tensors cannot be cast.
        torch.set_default_dtype(dtype)
        try:
            net = make().train(training)
        finally:
            torch.set_default_dtype(before)
        images = torch.zeros(batch, *input, dtype=dtype)
        tracker = MemTracker()
        tracker.track_external(net, images)
        with tracker, torch.set_grad_enabled(training):
            output = net(images)
            if training:
                output.backward(torch.ones_like(output))
    (peak,) = tracker.get_tracker_snapshot("peak").values()
    held = sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))
    return int(peak["Total"]) - held


def torch_passes(module: nn.Module, images: torch.Tensor) -> tuple[int, int]:
    """FlopCounterMode's FLOPs of a forward pass, and of the backward pass after it."""
    with FlopCounterMode(display=False) as counter:
        output = module(images)
    forward = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        output.sum().backward()
    return forward, counter.get_total_flops()


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
