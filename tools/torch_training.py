"""What torch itself says of a module's training: MemTracker's peaks and FlopCounterMode's FLOPs.

Both run on fake tensors: nothing is computed, and shapes, dtypes and lifetimes are those of a real run on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.ops import Shape


def tracked_peak(
    make: Callable[[], nn.Module], input: Shape, batch: int = 1, dtype: torch.dtype = torch.float32, *, training: bool
) -> int:
    """MemTracker's peak in bytes, without the parameters and the buffers: one pass forward and, in training, back.

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
