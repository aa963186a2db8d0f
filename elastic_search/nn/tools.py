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

    A second reading of the counter, independent of ``cost.tools.AUTHORS``: it never sees the graph, only the module
    classes that run and the tensors that enter and leave them. Functions are invisible to it.
    """
    counts = Counter[str]()

    def hear(leaf: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(leaf, nn.Conv2d):
            count = (leaf.weight[0].numel() + (leaf.bias is not None)) * output.numel()
        elif isinstance(leaf, nn.Linear):
            count = leaf.weight.numel()
        elif isinstance(leaf, nn.BatchNorm2d):
            count = 2 * inputs[0].numel()
        elif isinstance(leaf, (nn.ReLU, nn.AvgPool2d, nn.MaxPool2d)):
            count = inputs[0].numel()
        elif isinstance(leaf, nn.Upsample):
            count = 8 * output.numel()
        else:
            return
        counts[type(leaf).__name__] += count

    leaves = [leaf for leaf in module.modules() if not any(True for _ in leaf.children())]
    hooks = [leaf.register_forward_hook(hear) for leaf in leaves]
    try:
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return counts


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
