"""``elastic-search conventions``: the rules by which each tool counts."""

from __future__ import annotations

import click

from elastic_search.cli.options import format_options


@click.command()
@format_options
def conventions(fmt: str) -> None:
    """Show the rules of every counting convention: what it counts for which operator.

    They are the tools' own rules, their mistakes included; 'validate --tools all' compares them with the tools.
    """
    from elastic_search.report.conventions import rules_report
    from elastic_search.report.emit import emit

    emit(rules_report(), fmt)
