"""Errors that click raises, told as all others are: ``error:`` and ``hint:``."""

from __future__ import annotations

from difflib import get_close_matches

import click


def told(error: click.ClickException, path: str) -> tuple[str, str]:
    """Message and hint of an error that click raises: ours start small and end without a full stop.

    Args:
        error: what was raised.
        path: the command, for an error that does not know it.
    """
    message = error.message
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
    hint = f"{path} --help shows what it takes"
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        # Without the dashes, which all of them have in common.
        names = {option.lstrip("-"): option for option in error.possibilities}
        near = [names[name] for name in get_close_matches(error.option_name.lstrip("-"), names)]
        hint = f"did you mean {' or '.join(near)}?" if near else hint
    elif not isinstance(error, click.NoSuchOption):
        message = error.format_message()
    return (message[:1].lower() + message[1:]).strip().removesuffix("."), hint
