"""CPU time and peak memory of commands on spaces that grow, each in a process of its own.

    python benchmarks/growth.py

Limits: the shares of all choices over 10^32 networks in 4 s, those of the same space with three widths a stage (10^33)
in 60 s and 1 GB, every depth of resnext101 in 4 s; a space that is too large is refused in 2 s. A search also holds
torch and a proxy in training, some 0.8 GB whatever the space: it refuses spaces that can be counted, and takes none
that needs more than 1 GB. One thread. Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

THREE = """schema = 1
inherit = "resnext50_blocks"
[widths]
layer1 = [96, 128, 160]
layer2 = [192, 256, 320]
layer3 = [384, 512, 640]
layer4 = [768, 1024]
"""
PROXY = """[proxy]
width = "1/8"
input = 32
epochs = 1
train_images = 100
val_images = 100
test_images = 100
batch = 50
"""
BLOCKS = 'schema = 1\ninherit = "resnext50_blocks"\n'
FOUR = THREE.replace("160]", "160, 192]").replace("320]", "320, 384]").replace("640]", "640, 768]")
CASES = (
    ("space count resnext50_blocks", 0, 4.0, 400.0),
    ("space sample resnext50_blocks --measure prior", 0, 4.0, 400.0),
    ("match resnext101 --json", 0, 4.0, 400.0),
    ("space count three.toml", 0, 60.0, 1000.0),
    ("space bounds three.toml", 0, 60.0, 1000.0),
    ("space sample three.toml", 0, 60.0, 1000.0),
    ("space nearest three.toml", 0, 60.0, 1000.0),
    ("search blocks.toml --trials 2 --device cpu --dry-run", 0, 60.0, 1000.0),
    ("search tiny.toml --trials 2 --device cpu --dry-run", 2, 2.0, 400.0),
    ("space count four.toml", 2, 2.0, 400.0),
    ("space sample three.toml --measure prior", 2, 2.0, 400.0),
    ("search four.toml --trials 2 --dry-run", 2, 2.0, 400.0),
)
"""Command, expected exit code, most CPU seconds, most MB."""


def used(command: list[str]) -> tuple[int, float, float]:
    """Exit code, CPU seconds and peak MB of one process."""
    out = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
    pid = os.posix_spawn(command[0], command, {**os.environ, "OMP_NUM_THREADS": "1"}, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    os.close(out)
    peak = usage.ru_maxrss * (1024 if sys.platform == "linux" else 1) / 1e6
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, peak


def main() -> None:
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("three", THREE), ("four", FOUR), ("tiny", THREE + PROXY), ("blocks", BLOCKS + PROXY)):
            Path(folder, f"{name}.toml").write_text(text)
        print(f"{'command':56}{'CPU s':>8}{'limit':>8}{'MB':>8}{'limit':>8}")
        for line, expected, most_seconds, most_mb in CASES:
            words = [os.path.join(folder, word) if word.endswith(".toml") else word for word in line.split()]
            code, seconds, mb = used([sys.executable, "-m", "elastic_search", *words])
            missed |= code != expected or seconds > most_seconds or mb > most_mb
            print(f"{line:56}{seconds:8.2f}{most_seconds:8.0f}{mb:8.0f}{most_mb:8.0f}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
