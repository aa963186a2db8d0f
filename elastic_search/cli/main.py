"""The group of commands and the way its errors end."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

import click

from elastic_search import __version__
from elastic_search.cli.convert import convert
from elastic_search.cli.flops import flops
from elastic_search.cli.match import match
from elastic_search.cli.models import models
from elastic_search.cli.paper import paper
from elastic_search.cli.pyramids import pyramids
from elastic_search.cli.search import search
from elastic_search.cli.validate import validate
from elastic_search.errors import ElasticError


class Commands(click.Group):
    """Turns the errors a user can cause into a message, a way out and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        if sys.stdout is None:
            ctx.exit(3)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a file's name may hold what the terminal cannot show
        try:
            return super().invoke(ctx)
        except ElasticError as error:
            if ctx.params["debug"]:
                raise
            click.echo(_printable(f"error: {error}"), err=True)
            if error.hint:
                click.echo(_printable(f"hint: {error.hint}"), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            # The reader of our output has left (``| head``): nothing is wrong, and nothing is left to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"error: {error.filename or 'output'}: {error.strerror or error}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(3)


def _printable(text: str) -> str:
    """The text without the control characters that a file's keys or name may bring."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="elastic-search")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """What a convolutional network costs, and which Elastic network of that cost is better.

    Data goes to stdout, everything else to stderr. Exit codes: 0 done; 1 the answer is no (a check failed,
    nothing fits); 2 usage or a file's content; 3 data, environment, storage or disk; 130 and 143 interrupted.
    """


for command in (flops, models, validate, match, pyramids, paper, search, convert):
    cli.add_command(command)
