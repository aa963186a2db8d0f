"""How much of its budget a search uses, and by how much it overruns: real searches on this machine.

    python benchmarks/budget.py                       # four minutes
    python benchmarks/budget.py --minutes 60 --space resnext50

Aims: at least 95 % of the time is used, unless what is left is shorter than the shortest rung; the end is at most an
epoch late. The first half is one start; the second half is cut by a SIGTERM and resumed, which must not begin anew.
Exits with 1 if an aim is missed.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def search(args: argparse.Namespace, folder: str, name: str, cut: float | None) -> float:
    """Seconds of the wall that a search takes; it gets a SIGTERM after ``cut`` seconds."""
    command = [sys.executable, "-m", "elastic_search", "search", args.space, "--minutes", str(args.minutes / 2)]
    command += ["--dir", folder, "--name", name, "--device", args.device, "--workers", str(args.workers), "--json"]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    if cut is not None:
        time.sleep(cut)
        process.send_signal(signal.SIGTERM)
    process.wait()
    return time.monotonic() - start


def facts(folder: str, name: str) -> tuple[float, float, int]:
    """Seconds that a run counts as used, its median epoch, and its trials."""
    path = Path(folder, name)
    results: list[dict[str, Any]] = [json.loads(file.read_text()) for file in path.glob("trials/*.json")]
    epochs = sorted(r["seconds"] / len(r["curve"]) for r in results if r["accuracy"] is not None)
    spent = float(json.loads((path / "spent.json").read_text())["seconds"])
    return spent, epochs[len(epochs) // 2] if epochs else 0.0, len(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="demo")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    budget, missed = 30 * args.minutes, False
    with tempfile.TemporaryDirectory() as folder:
        for name, cut in (("whole", None), ("cut", budget / 2)):
            wall = search(args, folder, name, cut)
            if cut is not None:
                wall += search(args, folder, name, None)
            spent, epoch, trials = facts(folder, name)
            # A quarter of the demo's epochs is its shortest rung; at least one epoch.
            print(
                f"{name}: {trials} trials; {spent:.1f} of {budget:.0f} s used ({spent / budget:.1%}), wall {wall:.1f} s"
            )
            print(f"  left {budget - spent:.1f} s; an epoch takes {epoch:.1f} s")
            missed |= spent > budget + epoch or (spent < 0.95 * budget and budget - spent > 2 * epoch)
    sys.exit(missed)


if __name__ == "__main__":
    main()
