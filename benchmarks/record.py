"""Train many networks of one band for real, and write down how each did after every epoch.

    python benchmarks/record.py --space benchmarks/recorded.toml --configurations 128 --seeds 3 \\
        --out benchmarks/recorded/ --workers 2

The networks are distinct uniform draws from the band, the same for the same file and draw seed. Each worker appends
to a part file of its own, one JSON line a finished training, so that a table can be used before it is whole.
Started again, the command trains what is missing. Any number of networks can be asked for later: the first 128
of 256 are the 128.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import elastic_search
from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import tally
from elastic_search.files import SearchSpace, load_space
from elastic_search.space.choice import Value
from elastic_search.space.match import Matcher

SCHEMA = 1
DRAW_SEED = 0
DRAWS = 256

Values = dict[str, Value]


def networks(plan: SearchSpace, number: int) -> list[Values]:
    """Distinct uniform draws from the band, in a fixed order.

    Raises:
        SystemExit: if the band holds fewer.
    """
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    size = matcher.count(plan.band.low, plan.band.high)
    if size < number:
        raise SystemExit(f"the band holds {size:,} networks, {number:,} are asked for: widen the tolerance")
    rng = np.random.default_rng(DRAW_SEED)
    found: dict[tuple[Value, ...], Values] = {}
    while len(found) < number:
        for candidate in matcher.sample(plan.band, DRAWS, rng):
            found.setdefault(tuple(candidate.values.values()), candidate.values)
    return list(found.values())[:number]


def lines(part: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a part file; a last line that a crash cut short is left out."""
    for line in part.read_bytes().split(b"\n")[:-1]:
        yield json.loads(line)


def header(plan: SearchSpace) -> dict[str, Any]:
    """What all trainings of a table share. Two headers that differ in space or recipe are two tables."""
    import torch

    from elastic_search.train.device import describe

    return {
        "schema": SCHEMA,
        "space": hashlib.sha256(plan.text.encode()).hexdigest(),
        "recipe": plan.recipe,
        "draw_seed": DRAW_SEED,
        "device": describe(torch.device("cpu")),
        "versions": {
            "elastic_search": elastic_search.__version__,
            "torch": str(torch.__version__),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def open_part(part: Path, head: dict[str, Any]) -> set[tuple[int | None, int]]:
    """Make a part file or mend its end; what it holds as pairs of network and seed.

    Raises:
        SystemExit: if the file is of another space or recipe.
    """
    found = list(lines(part)) if part.exists() else []
    if not found:
        part.write_text(json.dumps(head, separators=(",", ":")) + "\n")
        return set()
    for key in ("schema", "space", "recipe", "draw_seed"):
        if found[0][key] != head[key]:
            raise SystemExit(f"{part}: recorded with another {key}; choose another --out")
    whole = part.read_bytes().rfind(b"\n") + 1
    os.truncate(part, whole)
    return {(line["network"], line["seed"]) for line in found[1:]}


def work(plan: SearchSpace, args: argparse.Namespace) -> None:
    """Train this worker's share of what is not recorded yet, a network with all seeds before the next network."""
    import torch

    from elastic_search.search.evaluator import PROXY_EVALUATOR, Monitor, Named

    torch.set_num_threads(1)
    head = header(plan)
    own = args.out / f"part{args.worker}.jsonl"
    done = open_part(own, head)
    for part in args.out.glob("part*.jsonl"):
        done |= {(line["network"], line["seed"]) for line in lines(part) if "network" in line}
    matcher = Matcher(plan.space, plan.band.convention, plan.band.input)
    every: list[tuple[int | None, Values | None]] = [*enumerate(networks(plan, args.configurations)), (None, None)]
    evaluate = Named(PROXY_EVALUATOR, {"recipe": plan.recipe, "device": "cpu"}).make()
    with own.open("a") as file:
        for number, values in every:
            share = (0 if number is None else number) % args.workers == args.worker
            for seed in range(args.seeds):
                if not share or (number, seed) in done:
                    continue
                spec = plan.space.base if values is None else plan.space.decode(values)
                started = time.process_time()
                score = evaluate(spec, seed, Monitor())
                line = {
                    "network": number,
                    "seed": seed,
                    "values": values,
                    "cost": cost(matcher, spec),
                    "params": spec.graph().params,
                    "proxy_macs": score.proxy_macs,
                    "seconds": round(score.seconds, 2),
                    "cpu_seconds": round(time.process_time() - started, 2),
                    # Shares of the test scenes: four digits hold them exactly.
                    "curve": [round(accuracy, 4) for accuracy in score.curve],
                }
                file.write(json.dumps(line, separators=(",", ":")) + "\n")
                file.flush()
                os.fsync(file.fileno())
                print(f"network {number} seed {seed}: {score.accuracy:.3f} in {score.seconds:.1f} s", flush=True)


def cost(matcher: Matcher, spec: Spec) -> int:
    """Cost of the full network in the band's convention."""
    return tally(spec.graph(), matcher.input, matcher.convention).total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="benchmarks/recorded.toml")
    parser.add_argument("--configurations", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/recorded"))
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.worker is not None:
        work(load_space(args.space), args)
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([sys.executable, __file__, *sys.argv[1:], "--worker", str(n)], env=environment)
        for n in range(args.workers)
    ]
    sys.exit(max(abs(worker.wait()) for worker in workers))


if __name__ == "__main__":
    main()
