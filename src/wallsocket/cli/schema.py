"""``wallsocket schema``: what a program may expect of ``--json``."""

from __future__ import annotations

import json

import click

from ..errors import UsageError

__all__ = ["command"]


@click.command("schema", context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
def command(words: tuple[str, ...]) -> None:
    """Print the JSON schema of the lines that COMMAND prints with --json; without one, list the commands.

    \b
    wallsocket schema explain
    wallsocket schema lab status
    """
    from .output import OUTPUT, schema

    if not words:
        longest = max(map(len, OUTPUT))
        for name, output in OUTPUT.items():
            click.echo(f"{name:<{longest}}  {output.says}")
        return
    name = " ".join(words)
    if name not in OUTPUT:
        raise UsageError(f"{name!r} has no --json; wallsocket schema lists the commands that have it")
    click.echo(json.dumps(schema(name), indent=1, ensure_ascii=False))
