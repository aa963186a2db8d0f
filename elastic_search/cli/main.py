"""The group of commands and its error handling."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from typing import Any

import click

from elastic_search import __version__
from elastic_search.errors import ElasticError, UnknownNameError

COMMANDS = {
    "flops": "Count the cost of a network, next to its Elastic variant.",
    "compare": "Compare networks side by side.",
    "diff": "List the nodes that differ between two networks.",
    "draw": "Draw a network.",
    "models": "List the networks known by name.",
    "match": "Find the depths at which a split costs as much as the base.",
    "space": "Count, sample and find the networks of a space in a band of costs.",
    "search": "Search a band of costs for the network with the best proxy.",
    "data": "Show what a folder of images holds, or the caches of images.",
    "reproduce": "Repeat a training of a search and compare it with the record.",
    "doctor": "Check this environment, or the files of a run.",
    "validate": "Compare our counts with those of other tools.",
    "conventions": "Show what each tool counts, as formulas.",
    "pyramids": "Show the paper's Table 1 for given sizes.",
    "paper": "Show the paper's tables and Figure 4 next to our counts.",
    "convert": "Convert a published checkpoint to safetensors.",
}
"""Commands and their one-line help; each is the function of that name in the module of that name."""


class Group(click.Group):
    """Names the commands nearest to one that is unknown."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise UnknownNameError(
                "command", args[0], self.list_commands(ctx), f"({ctx.command_path} --help lists them)"
            )
        return super().resolve_command(ctx, args)


class Commands(Group):
    """Imports a command when it is called, and turns errors that a user can cause into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"elastic_search.cli.{cmd_name}"), cmd_name)
        if not gc.isenabled():  # see __main__: the start is over, and what it made stays
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command; click's own errors look like ours."""
        if not kwargs.get("standalone_mode", True):
            return super().main(*args, **kwargs)
        try:
            done = super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.Exit as end:
            sys.exit(end.exit_code)
        except click.Abort:
            click.echo("interrupted", err=True)
            sys.exit(130)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            from elastic_search.cli.mistakes import told

            given = next((word for word in sys.argv[1:] if word in COMMANDS), "")
            message, hint = told(error, f"elastic-search {given}".strip())
            click.echo(_printable(f"error: {message}\nhint: {hint}"), err=True)
            sys.exit(error.exit_code)
        sys.exit(done if isinstance(done, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        if sys.stdout is None:
            ctx.exit(3)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a file name may contain characters that the terminal cannot show
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
            # The reader of our output has gone, as with ``| head``: not an error, but nothing more can be written.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"error: {error.filename or 'output'}: {error.strerror or error}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(3)


def _printable(text: str) -> str:
    """The text without the control characters that the keys or name of a file may contain."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", prog_name="elastic-search")
@click.option("--debug", is_flag=True, help="Show the traceback of errors.")
def cli(debug: bool) -> None:
    """Count what a convolutional network costs, and search for a better Elastic network of the same cost.

    Data goes to stdout, everything else to stderr. Exit codes: 0 success; 1 the answer is no (a check failed, nothing
    fits); 2 wrong usage or file content; 3 data, environment, storage or disk; 130 and 143 interrupted.
    """
