"""How fast the command line starts, as ratios to bare Python in the same run.

    python benchmarks/start.py [--repeats 15] [--python PATH]

Install the wheel first (an editable install may compile its sources at every start), and name that
environment's Python. Every round times all commands once, so that a busy machine slows them alike; the
smallest time of each is compared. Limits: flops on a terminal 13 ×, piped 9 ×, --help and --version 6 ×.
Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
import time

CASES = {
    "python -c pass": (["-c", "pass"], False, 1.0),
    "--version": (["-m", "elastic_search", "--version"], False, 6.0),
    "--help": (["-m", "elastic_search", "--help"], False, 6.0),
    "flops resnext50 --elastic, piped": (["-m", "elastic_search", "flops", "resnext50", "--elastic"], False, 9.0),
    "flops resnext50 --elastic, terminal": (["-m", "elastic_search", "flops", "resnext50", "--elastic"], True, 13.0),
}


def seconds(command: list[str], terminal: bool) -> float:
    """Wall time of one run whose output is read to its end."""
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    start = time.perf_counter()
    if not terminal:
        subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, cwd="/")
        return time.perf_counter() - start
    main, side = pty.openpty()
    process = subprocess.Popen(command, stdout=side, env=environment, cwd="/")
    os.close(side)
    try:
        while os.read(main, 65536):
            pass
    except OSError:
        pass  # Linux: the other side is closed
    if process.wait():
        raise SystemExit(f"{command} failed")
    os.close(main)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="of the environment that holds the wheel")
    chosen = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(chosen.repeats):
        for name, (args, terminal, _limit) in CASES.items():
            times[name].append(seconds([chosen.python, *args], terminal))
    bare = min(times["python -c pass"])
    print(f"{'command':38}{'ms':>8}{'ratio':>8}{'limit':>8}")
    slow = False
    for name, (_, _, limit) in CASES.items():
        best = min(times[name])
        slow |= best / bare > limit
        print(f"{name:38}{1000 * best:8.1f}{best / bare:8.2f}{limit:8.0f}")
    sys.exit(slow)


if __name__ == "__main__":
    main()
