"""The group of commands and the way its errors end."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from elastic_search import __version__
from elastic_search.errors import ElasticError

COMMANDS = {
    "flops": "What a network costs, beside its Elastic variant.",
    "compare": "Networks side by side, with ratios to the first.",
    "diff": "The nodes in which two networks differ.",
    "draw": "A network as a drawing.",
    "models": "The networks known by name.",
    "match": "Every depth at which a split costs what the base does.",
    "space": "How many networks a space has in a band; draws, bounds, nearest.",
    "search": "Train proxies of networks inside a band.",
    "reproduce": "A search's training again, compared with its record.",
    "doctor": "This environment, or a run's files, with cures.",
    "validate": "Our counts against the tools' own.",
    "conventions": "What each tool counts, as formulas.",
    "pyramids": "The paper's Table 1 at given sizes.",
    "paper": "The paper's tables and Figure 4 beside ours.",
    "convert": "Published weights to a safetensors file.",
}
"""Name to what the list of commands says; a command is the function of that name in the module of that name."""


class Commands(click.Group):
    """Imports a command when it is called, and turns the errors a user can cause into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"elastic_search.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

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
            click.echo(_printable(f"error: {error.message}"), err=True)
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
