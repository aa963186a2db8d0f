"""``elastic-search conventions``: the rules by which each tool counts."""

from __future__ import annotations

import click

from elastic_search.cli.options import format_options


@click.command()
@format_options
def conventions(fmt: str) -> None:
    """Show what every counting convention counts for each operator.

    These are the tools' own rules, including their mistakes; 'validate --tools all' checks them against the tools.
    """
    from elastic_search.report.conventions import rules_report
    from elastic_search.report.emit import emit

    emit(rules_report(), fmt)
