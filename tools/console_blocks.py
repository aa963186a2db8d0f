"""Keep the outputs in Markdown files true.

    python tools/console_blocks.py README.md            report blocks whose output differs
    python tools/console_blocks.py --write README.md    replace them

A fenced block that is marked ``console`` holds commands after ``$ `` and what they print (stdout, 100 columns).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def output(command: str) -> str:
    """What a command prints when run by a shell that finds this environment's elastic-search first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "100"}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)
    return done.stdout


def refreshed(text: str) -> str:
    """The Markdown text with the real outputs."""

    def refresh(block: re.Match[str]) -> str:
        commands = [line for line in block[1].splitlines() if line.startswith("$ ")]
        shown = "\n".join(f"{line}\n{output(line[2:])}" for line in commands)
        return f"```console\n{shown}```"

    return BLOCK.sub(refresh, text)


def main() -> None:
    """Check or rewrite the files named on the command line."""
    write = "--write" in sys.argv
    stale = []
    for name in sys.argv[1:]:
        if name != "--write":
            path = Path(name)
            new = refreshed(path.read_text())
            if new != path.read_text():
                stale.append(name)
                if write:
                    path.write_text(new)
    if stale and not write:
        sys.exit(f"outputs differ in {', '.join(stale)}: python tools/console_blocks.py --write {' '.join(stale)}")


if __name__ == "__main__":
    main()
