"""Independent counters, run on a built module. Most need the ``search`` or ``tools`` extra.

Each takes a module in eval mode and its inputs, one image [1, C, H, W] for most, and returns counts by the tool's
operator names, or ``{"": total}`` if the tool only gives a total. They run as their users run them: with gradients.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.nn.libraries import imported
from elastic_search.nn.unchanged import unchanged

Counts = dict[str, int]


def fvcore_counts(module: nn.Module, *inputs: torch.Tensor) -> tuple[Counts, int]:
    """fvcore's count per operator, and its activations."""
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with _as_users_do(module):
        fvcore = imported("fvcore.nn", "search")
        flops, activations = fvcore.FlopCountAnalysis(module, inputs), fvcore.ActivationCountAnalysis(module, inputs)
        for analysis in (flops, activations):
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return {name: int(count) for name, count in flops.by_operator().items() if count}, int(activations.total())


def authors_counts(module: nn.Module, *inputs: torch.Tensor) -> Counts:
    """FLOPs by module class as the paper's own counter adds them up, from a forward pass of the built module.

    A second writing of the counter from its rules, apart from ``cost.tools.AUTHORS``: it sees no graph and no
    functions, only modules, subclasses and those with children too, and the sizes of what enters and leaves them.
    """
    counts = Counter[str]()

    def listener(name: str, rule: Callable[[Any, torch.Tensor, torch.Tensor], int]) -> Callable[..., None]:
        def hear(layer: nn.Module, given: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            counts[name] += rule(layer, given[0], output)

        return hear

    hooks = []
    for layer in module.modules():
        for kind, rule in _AUTHORS.items():
            if isinstance(layer, kind):
                hooks.append(layer.register_forward_hook(listener(kind.__name__, rule)))
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


def _convolution(layer: nn.Conv2d, given: torch.Tensor, output: torch.Tensor) -> int:
    batch, channels, height, width = output.shape
    across, down = layer.kernel_size
    of_position = across * down * (layer.in_channels // layer.groups) + (0 if layer.bias is None else 1)
    return batch * height * width * channels * of_position


def _linear(layer: nn.Linear, given: torch.Tensor, output: torch.Tensor) -> int:
    return given.shape[0] * given.shape[1] * output.shape[1]


def _batch_norm(layer: nn.BatchNorm2d, given: torch.Tensor, output: torch.Tensor) -> int:
    return given.numel() * 2 if layer.affine else given.numel()


def _elements(layer: nn.Module, given: torch.Tensor, output: torch.Tensor) -> int:
    return given.numel()


def _up_sampling(layer: nn.Upsample, given: torch.Tensor, output: torch.Tensor) -> int:
    # Not hooked: the Elastic block adds it itself, and nothing else in these networks up-samples.
    return 8 * output.numel()


_AUTHORS: dict[type[nn.Module], Callable[[Any, torch.Tensor, torch.Tensor], int]] = {
    nn.Conv2d: _convolution,
    nn.Linear: _linear,
    nn.BatchNorm2d: _batch_norm,
    **dict.fromkeys((nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.PReLU, nn.AvgPool2d, nn.MaxPool2d), _elements),
    nn.Upsample: _up_sampling,
}


def torch_counts(module: nn.Module, *inputs: torch.Tensor) -> Counts:
    """FlopCounterMode's FLOPs per aten operator of one forward pass."""
    with _as_users_do(module), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return {
        str(name).rpartition(".")[2]: int(count) for name, count in counter.get_flop_counts().get("Global", {}).items()
    }


def ptflops_counts(module: nn.Module, *inputs: torch.Tensor, backend: str = "pytorch") -> Counts:
    """ptflops' multiply-adds by one of its two back ends, "pytorch" or "aten"."""
    get_model_complexity_info = imported("ptflops", "tools").get_model_complexity_info
    # The tool prints, and leaves attributes behind in the module.
    with _as_users_do(module), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        total, _ = get_model_complexity_info(
            module, tuple(inputs[0].shape[1:]), as_strings=False, print_per_layer_stat=False, backend=backend,
            input_constructor=partial(_by_name, module, inputs) if len(inputs) > 1 else None,
        )  # fmt: skip
    if total is None:
        raise RuntimeError("the tool could not run the module")  # it prints why, and goes on
    return {"": int(total)}


def _by_name(module: nn.Module, inputs: tuple[torch.Tensor, ...], _: object) -> dict[str, torch.Tensor]:
    """Several inputs as ptflops takes them: by the names of the module's arguments."""
    return dict(zip(signature(module.forward).parameters, inputs, strict=False))


def thop_counts(module: nn.Module, *inputs: torch.Tensor) -> Counts:
    """thop's MACs."""
    profile = imported("thop", "tools").profile
    with _as_users_do(module):  # it leaves buffers behind
        return {"": int(profile(module, inputs=inputs, verbose=False)[0])}


def torchinfo_counts(module: nn.Module, *inputs: torch.Tensor) -> Counts:
    """torchinfo's mult-adds."""
    summary = imported("torchinfo", "tools").summary
    with _as_users_do(module):
        return {"": int(summary(module, input_data=list(inputs), verbose=0).total_mult_adds)}


@contextlib.contextmanager
def _as_users_do(module: nn.Module) -> Iterator[None]:
    """In eval mode and with gradients; what a tool leaves behind in the module, and what it warns of, is taken away."""
    with unchanged(module), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


TOOLS: dict[str, tuple[str, Callable[..., Counts]]] = {
    "fvcore": ("fvcore", lambda module, *inputs: fvcore_counts(module, *inputs)[0]),
    "torch": ("FlopCounterMode", torch_counts),
    "ptflops": ("ptflops", ptflops_counts),
    "ptflops-aten": ("ptflops", partial(ptflops_counts, backend="aten")),
    "thop": ("thop", thop_counts),
    "torchinfo": ("torchinfo", torchinfo_counts),
    "authors": ("module hooks", authors_counts),
}
"""The tool behind each convention: its name for people, and its counter."""
