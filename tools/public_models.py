"""Count public models by every convention, and by every real tool; write docs/models.md.

    python tools/public_models.py build/models.jsonl --write docs/models.md

torchvision and timm must be installed (extra ``models``). Each model is made without weights in a process of its own,
which has no network, and counted at its own input size. The first file gathers a line for each model, and a run goes on
from it. A model of more than 10 G multiply-adds is left out: the real tools run it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS

TOOLS = ("fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo")
SECONDS, MOST_MACS, OF_A_MODULE = 300, 10 * 10**9, 3
SMALL = ("atto", "femto", "pico", "nano", "xxs", "xx_small", "extra_tiny", "tiny", "xs", "small", "_s", "18", "26")
"""What is in the name of a small model."""
STATES = ("exact", "noted", "refused", "wrong", "tool fails")


def stub_torchvision() -> None:
    """torchvision's wheels are built for one torch; beside another the import asks for two operators."""
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def names() -> Iterator[str]:
    """All of torchvision's classifiers and segmentation networks, and the smallest of every module of timm."""
    import timm
    import torchvision

    for module in (torchvision.models, torchvision.models.segmentation):
        yield from (f"torchvision:{name}" for name in torchvision.models.list_models(module=module))
    for module in timm.list_modules():
        found = timm.list_models(module=module)
        smallest = sorted(found, key=lambda name: (min((name.find(w) < 0, i) for i, w in enumerate(SMALL)), len(name)))
        yield from (f"timm:{name}" for name in sorted(smallest[:OF_A_MODULE]))


def made(name: str) -> tuple[torch.nn.Module, tuple[int, int, int]]:
    """A model and the shape of its image."""
    library, _, model = name.partition(":")
    if library == "timm":
        import timm

        module: Any = timm.create_model(model, pretrained=False)
        return module, module.pretrained_cfg.get("input_size", (3, 224, 224))
    import torchvision

    more: dict[str, Any] = {"init_weights": False} if model in ("googlenet", "inception_v3") else {}
    if model in torchvision.models.list_models(module=torchvision.models.segmentation):
        more = {"weights_backbone": None}
    edge = 299 if model == "inception_v3" else 224
    return torchvision.models.get_model(model, weights=None, **more), (3, edge, edge)


def counted(name: str) -> dict[str, Any]:
    """Our counts of a model and the tools', with the CPU seconds of both."""
    from elastic_search.arch.network import opaque_nodes
    from elastic_search.errors import ElasticError
    from elastic_search.nn.tools import TOOLS as COUNTERS
    from elastic_search.nn.tools import fvcore_counts
    from elastic_search.nn.trace.tracing import read

    module, size = made(name)
    module.eval()
    found: dict[str, Any] = {"model": name, "input": list(size), "params": sum(p.numel() for p in module.parameters())}
    started = time.process_time()
    try:
        reading = read(module, size)
    except ElasticError as error:
        return found | {"refused": str(error), "theirs": {}, "ours": {}}
    found["ours"] = {name: tally(reading.graph, size, name).total for name in CONVENTIONS if name != "authors"}
    found["ours"]["activations"] = tally(reading.graph, size, "fvcore").activations
    found["our_seconds"] = time.process_time() - started
    found |= {"counted_params": reading.graph.params, "notes": [*reading.notes], "opaque": opaque_nodes(reading.graph)}
    if found["ours"]["macs"] > MOST_MACS:
        return found | {"large": True}
    image = torch.zeros(1, *size)
    theirs: dict[str, int | str] = {}
    seconds: dict[str, float] = {}
    for tool in TOOLS:
        started = time.process_time()
        try:
            theirs[tool] = sum(COUNTERS[tool][1](module, image).values())
            if tool == "fvcore":
                theirs["activations"] = fvcore_counts(module, image)[1]
        except Exception as error:
            theirs[tool] = f"{type(error).__name__}: {str(error)[:120]}"
        seconds[tool] = time.process_time() - started
    # FlopCounterMode leaves out the fused kernels of a CPU, for attention and recurrent layers.
    with sdpa_kernel([SDPBackend.MATH]), torch.backends.mkldnn.flags(enabled=False):
        theirs["macs"] = sum(COUNTERS["torch"][1](module, image).values()) // 2
    return found | {"theirs": theirs, "their_seconds": seconds}


def in_a_process(name: str) -> dict[str, Any]:
    """What ``counted`` returns, from a process that can neither hang nor take this one with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        signal.alarm(SECONDS)
        vars(socket)["socket"] = None
        try:
            text = json.dumps(counted(name))
        except BaseException as error:
            text = json.dumps({"model": name, "failed": f"{type(error).__name__}: {str(error)[:300]}"})
        with open(writing, "w") as out:
            out.write(text)
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    os.waitpid(child, 0)
    return dict(json.loads(text)) if text else {"model": name, "failed": f"no answer in {SECONDS} s"}


def state(found: dict[str, Any], convention: str) -> str:
    """What became of a model under a convention."""
    if "refused" in found:
        return "refused"
    theirs = found["theirs"][convention]
    if isinstance(theirs, str):
        return "tool fails"
    return "exact" if found["ours"][convention] == theirs else "noted" if found["notes"] or found["opaque"] else "wrong"


COLUMNS = ("macs", *TOOLS)
NAMES = {"wrong": "silently wrong"}


def table(results: list[dict[str, Any]]) -> str:
    """The page: totals, then every model."""
    good = [found for found in results if "failed" not in found and "large" not in found]
    lines = [
        "# Public models, counted",
        "",
        f"{len(good)} models of torchvision and timm, without weights, at their own input size, by every convention",
        "but the authors': what we say after one run without numbers, against what each real tool says of the module.",
        "`macs` is compared with half of what FlopCounterMode counts without fused kernels. This page is made by",
        "`python tools/public_models.py build/models.jsonl --write docs/models.md`; CI counts 20 of the models.",
        "",
        f"| | {' | '.join(COLUMNS)} |",
        f"|:--{'|:--' * len(COLUMNS)}|",
    ]
    totals = {column: Counter(state(found, column) for found in good) for column in COLUMNS}
    for one in STATES:
        lines.append(f"| {NAMES.get(one, one)} | {' | '.join(str(totals[column][one]) for column in COLUMNS)} |")
    timed = [found for found in good if "their_seconds" in found]
    ours = sum(found["our_seconds"] for found in timed)
    theirs = sum(sum(found["their_seconds"].values()) for found in timed)
    lines += ["", f"Reading and counting took {ours:.0f} CPU seconds, the six tools {theirs:.0f} (one thread).", ""]
    lines += [f"| model | input | params M | macs G | {' | '.join(COLUMNS)} | |"]
    lines += [f"|:--|:--|--:|--:{'|:--' * (len(COLUMNS) + 1)}|"]
    return "\n".join([*lines, *map(row, good)]) + "\n"


def row(found: dict[str, Any]) -> str:
    """One model: how every column stands, by how much it is off, and what the notes say."""
    size = "x".join(map(str, found["input"]))
    if "refused" in found:
        return f"| {found['model']} | {size} | | | {'refused | ' * len(COLUMNS)}{found['refused'][:80]} |"
    states = {column: state(found, column) for column in COLUMNS}
    off = [
        f"{column} {found['ours'][column] - found['theirs'][column]:+,}"
        for column, one in states.items()
        if one in ("noted", "wrong")
    ]
    cells = ["=" if one == "exact" else NAMES.get(one, one) for one in states.values()]
    cells = [f"{found['params'] / 1e6:.2f}", f"{found['ours']['macs'] / 1e9:.3f}", *cells]
    return (
        f"| {found['model']} | {size} | {' | '.join(cells)} | {'; '.join([*off, *found['notes'], *found['opaque']])} |"
    )


def main() -> None:
    """Count what is not in the file yet, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--only", nargs="*", help="names, such as timm:resnet50")
    parser.add_argument("--share", default="0/1", help="i/n: every n-th model, from the i-th")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    stub_torchvision()
    if options.results.exists():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    else:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        results = []
    done = {found["model"] for found in results}
    part, parts = map(int, options.share.split("/"))
    for i, name in enumerate(list(names()) if options.only is None else options.only):
        if name in done or i % parts != part:
            continue
        found = in_a_process(name)
        with options.results.open("a") as out:
            out.write(json.dumps(found) + "\n")
        results.append(found)
        wrong = [c for c in ("macs", *TOOLS) if "theirs" in found and state(found, c) not in ("exact", "tool fails")]
        print(name, found.get("failed") or found.get("refused") or wrong or "exact", file=sys.stderr, flush=True)
    if options.write:
        options.write.write_text(table(sorted(results, key=lambda found: str(found["model"]))))


if __name__ == "__main__":
    main()
