"""What several tests set up alike: a space file, damage to a file, a terminal."""

import os
import pty
import re
import subprocess
import sys

from hypothesis import strategies as st

SPACE = """
schema = 1
base = "resnext50"

[depths]
layer1 = "3..5"
layer2 = [4, 6]
layer3 = 6
layer4 = [3]

[splits]
choices = ["1", "1/2,1/2"]
"""


def damaged(draw, text, values, most, tables=None):
    """A file's text after one to ``most`` edits, as hypothesis draws them.

    ``values`` are drawn for keys. ``tables`` are lines to add; with them a file may also be cut short.
    """
    lines = text.splitlines()
    edits = ("value", "value", "value", "drop", "twice", "key", "byte", *(() if tables is None else ("table", "cut")))
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(lines) - 1))
        edit = draw(st.sampled_from(edits))
        line = lines[at]
        if edit == "value" and "=" in line:
            lines[at] = f"{line.partition('=')[0]}= {draw(values)}"
        elif edit == "drop" and len(lines) > 1:
            del lines[at]
        elif edit == "twice":
            lines.insert(at, line)
        elif edit == "key":
            other = lines[draw(st.integers(0, len(lines) - 1))]
            lines[at] = re.sub(r"^\w+", other.partition(" ")[0] or "x", line)
        elif edit == "table":
            lines += draw(tables)
        elif edit == "cut":
            lines[at:] = [line[: draw(st.integers(0, len(line)))]]
        elif line:
            cut = draw(st.integers(0, len(line) - 1))
            lines[at] = line[:cut] + draw(st.characters(codec="utf-8", exclude_characters="\r\n")) + line[cut + 1 :]
    return "\n".join(lines)


def on_a_terminal(*args, columns=80, **env):
    """What the command writes to a terminal, its colours included."""
    main, side = pty.openpty()
    settings = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", **env}
    process = subprocess.Popen([sys.executable, "-m", "elastic_search", *args], stdout=side, env=settings)
    os.close(side)
    text = b""
    try:
        while part := os.read(main, 65536):
            text += part
    except OSError:
        pass  # the other end is closed: Linux's end of file
    os.close(main)
    assert process.wait(timeout=120) == 0
    return text.decode().replace("\r", "")


def bare(text):
    """A text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


HEAVY = {"torch", "numpy", "optuna", "pydantic", "fvcore", "rich", "sqlalchemy"}
"""What counting must not load."""


def loaded_by(*args):
    """The top-level modules that a command had loaded at its end."""
    code = (
        "import sys\nfrom elastic_search.cli.main import cli\n"
        f"try: cli({list(args)!r})\nexcept SystemExit as done: assert not done.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stderr.split()}
