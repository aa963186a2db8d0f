"""Tables for documents: Markdown, and LaTeX as papers set it (booktabs)."""

from __future__ import annotations

import re

from elastic_search.report.emit import TEXTUAL, Report

SYMBOLS = {
    **{char: f"\\{char}" for char in "&%_#${}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "|": r"\textbar{}",
    "<": "$<$",
    ">": "$>$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "−": "$-$",
    "±": r"$\pm$",
    "…": r"\ldots{}",
}
"""What LaTeX's text fonts would not show as it is written."""

MINUS = re.compile(r"(?<![^\s(])-(?=\d)")
"""The sign of a number, not a dash inside of a name or of depths."""

BY = re.compile(r"(?<![\w.])\d+(?:x\d+)+(?![\w.])")
"""A size, such as 224x224, not a part of a name."""

TIMES = re.compile(r"(?<=\w )x$")
"""What the header of a ratio ends in."""


def markdown(report: Report) -> str:
    """A pipe table with its title above and its notes below."""
    headers, grid = report.grid()
    marks = [":--" if field.kind in TEXTUAL else "--:" for field in report.fields]
    lines = [headers, marks, *(row for row in grid if row)]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"\n{note}" for note in report.notes]
    return "\n".join([f"{report.title}\n", *body, *notes]) + "\n"


def latex(report: Report) -> str:
    """A tabular for the package booktabs, in ASCII; title and notes are comments."""
    headers, grid = report.grid()
    spec = "".join("l" if field.kind in TEXTUAL else "r" for field in report.fields)
    lines = [f"% {report.title}", r"% \usepackage{booktabs}", f"\\begin{{tabular}}{{{spec}}}", r"\toprule"]
    lines += [" & ".join(map(typeset, headers)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(typeset, row)) + r" \\" if row else r"\midrule" for row in grid]
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in report.notes)]
    return "\n".join(lines) + "\n"


def typeset(text: str) -> str:
    """A cell in LaTeX: signs and sizes in mathematics, special characters escaped, and a dash where there is no value.

    ``-0.26%`` is ``$-$0.26\\%`` and ``3x3`` is ``3$\\times$3``; ``3-4-6-3`` and ``resnext50x2`` are left as they are.
    """
    if text == "-":
        return "--"
    marked = BY.sub(lambda found: found[0].replace("x", "×"), MINUS.sub("−", text))
    marked = TIMES.sub("×", marked)
    cell = "".join(SYMBOLS.get(char, char) for char in marked)
    return f"{{}}{cell}" if cell[:1] in ("[", "*") else cell  # after a line break these would be its arguments
