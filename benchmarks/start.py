"""How fast the command line starts, as ratios of CPU time to bare Python in the same run.

    python benchmarks/start.py [--repeats 15] [--python PATH] [--than PATH]

Install the wheel first (an editable install may compile its sources at every start), and name that
environment's Python; ``--than`` names one with another version, to be compared. Every round runs all commands once,
so that a busy machine slows them alike; the smallest time of each is compared, and with another version the
median of the ratios of the rounds. Limits: flops on a terminal 11 ×, piped 7 ×, --help and --version 6 ×.
Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
from statistics import median

CASES = {
    "python -c pass": (["-c", "pass"], False, 1.0),
    "--version": (["-m", "elastic_search", "--version"], False, 6.0),
    "--help": (["-m", "elastic_search", "--help"], False, 6.0),
    "flops resnext50 --elastic, piped": (["-m", "elastic_search", "flops", "resnext50", "--elastic"], False, 7.0),
    "flops resnext50 --elastic, terminal": (["-m", "elastic_search", "flops", "resnext50", "--elastic"], True, 11.0),
}


def seconds(command: list[str], terminal: bool) -> float:
    """CPU time, user and system, of one run whose output is read to its end."""
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # the wheel, not a checkout
    main, side = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(command, stdout=side, env=environment, cwd="/")
    os.close(side)
    try:
        while os.read(main, 65536):
            pass
    except OSError:
        pass  # of a terminal on Linux: the other side is closed
    os.close(main)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--python", default=sys.executable, help="of the environment that holds the wheel")
    parser.add_argument("--than", help="of one that holds another version")
    chosen = parser.parse_args()
    pythons = [chosen.python, chosen.than] if chosen.than else [chosen.python]
    times: dict[tuple[str, str], list[float]] = {(name, python): [] for name in CASES for python in pythons}
    for _ in range(chosen.repeats):
        for name, python in times:
            args, terminal, _limit = CASES[name]
            times[name, python].append(seconds([python, *args], terminal))
    bare = min(times["python -c pass", chosen.python])
    print(f"{'command':38}{'CPU ms':>8}{'ratio':>8}{'limit':>8}" + f"{'÷ other':>10}" * bool(chosen.than))
    slow = False
    for name, (_, _, limit) in CASES.items():
        own = times[name, chosen.python]
        slow |= min(own) / bare > limit
        line = f"{name:38}{1000 * min(own):8.1f}{min(own) / bare:8.2f}{limit:8.0f}"
        if chosen.than:
            line += f"{median(a / b for a, b in zip(own, times[name, chosen.than], strict=True)):10.3f}"
        print(line)
    sys.exit(slow)


if __name__ == "__main__":
    main()
