"""Write the tables of docs/formats.md, the contract of JSON and CSV, from elastic_search.report.contract.

python tools/formats.py            exit with 1 if the file differs
python tools/formats.py --write    write it
"""

from __future__ import annotations

import sys
from pathlib import Path

from elastic_search.report.contract import FORMS, Form
from elastic_search.report.key import Key

FILE = Path(__file__).parents[1] / "docs" / "formats.md"

START = "<!-- The rest is written by tools/formats.py. -->"


def refreshed(text: str) -> str:
    """The page with what follows its introduction as the contract says it."""
    introduction, _, _ = text.partition(START)
    return "\n".join([f"{introduction}{START}\n", *map(_section, FORMS.values())])


def _section(form: Form) -> str:
    lines = [f"## {form.name}\n"] + [f"{form.about}\n"] * bool(form.about)
    if form.columns:
        lines += ["| CSV | type | unit | meaning |", "| :-- | :-- | :-- | :-- |"]
        lines += [_row(name, form.key(name, column=True)) for name in form.columns.split()]
        lines.append("")
    lines += ["| JSON | type | unit | meaning |", "| :-- | :-- | :-- | :-- |", *_rows(form, "")]
    return "\n".join(lines) + "\n"


def _rows(form: Form, place: str) -> list[str]:
    """The keys of an object, each followed by those below it."""
    found = []
    for name in form.document[place].split():
        path = f"{place}.{name.rstrip('?')}".lstrip(".")
        found.append(_row(path, form.key(path), not_always=name.endswith("?")))
        for below in (path, f"{path}[]", f"{path}.*"):
            if below in form.document:
                found += _rows(form, below)
    return found


def _row(name: str, key: Key, not_always: bool = False) -> str:
    means = f"{key.means} (not always)" if not_always else key.means
    return f"| `{name}` | {key.type} | {key.unit} | {means} |"


def main() -> None:
    """Check or write the file."""
    text = FILE.read_text()
    if "--write" in sys.argv:
        FILE.write_text(refreshed(text))
    elif refreshed(text) != text:
        sys.exit("docs/formats.md differs from the contract: python tools/formats.py --write")


if __name__ == "__main__":
    main()
