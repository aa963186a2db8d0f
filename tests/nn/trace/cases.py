"""What the matrix of spellings is made of: ways to bring an image into a shape, and cases.

A spelling is a module, a function of torch.nn.functional, a function of torch, a method of tensors, an operator, or one
of these in place. "of 4" is a batch of four that the module makes from its one image.
"""

import torch
from torch import nn

IMAGE = (12, 8, 12)
STEM = 12 * 12 * 96
"""Multiply-adds that every case begins with."""
TO = {
    "1-D": lambda x: x.flatten(2),
    "2-D": lambda x: x,
    "3-D": lambda x: x.unflatten(1, (6, 2)),
    "of 4": lambda x: x.unflatten(3, (4, 3)).permute(0, 3, 1, 2, 4).flatten(0, 1),
    "tokens": lambda x: x.flatten(2).transpose(1, 2),
    "channels last": lambda x: x.permute(0, 2, 3, 1),
    "vector": lambda x: x.mean((2, 3)),
    "sequence": lambda x: x.flatten(2).permute(2, 0, 1),
}
"""Ways to bring the image into the shape that an operation takes."""


class Case(nn.Module):
    """Brings the image into a shape, and calls ``f(self, x)``; ``f`` may be a module. Parameters are w0, w1, …"""

    def __init__(self, to, f, *shapes):
        super().__init__()
        self.to_shape, self.stem = TO[to], nn.Conv2d(12, 12, 1)
        self.f = f if isinstance(f, nn.Module) else None
        self.call = f
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        x = self.to_shape(self.stem(x))
        return self.f(x) if self.f is not None else self.call(self, x)


CASES = {}


def case(operation, spelling, to, make, macs=None):
    """``macs`` are its multiply-adds where FlopCounterMode counts none or others."""
    name = f"{operation}, {spelling}" + ("" if to == "2-D" else f", {to}")
    assert name not in CASES
    CASES[name] = to, make, macs
