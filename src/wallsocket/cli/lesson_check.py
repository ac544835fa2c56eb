"""``wallsocket lesson check``: run a program that somebody wrote for an exercise, and say what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from . import ending, options, terminal

__all__ = ["command"]


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--exercise",
    "-e",
    required=True,
    metavar="NAME",
    help="The exercise that it is for; wallsocket lesson exercise lists them.",
)
@click.option("--first", is_flag=True, help="Stop at the first scenario that fails: a quicker answer.")
@options.output("Keep the recording of all scenarios here.")
@options.overwrite
@options.json
@options.quiet
def command(
    file: Path, exercise: str, first: bool, output: Path | None, overwrite: bool, as_json: bool, quiet: bool
) -> int:
    """Check a program for an exercise: run it against good and awkward peers, and judge what it does.

    \b
    wallsocket lesson check upper.py --exercise uppercase-tcp
    wallsocket lesson check upper.c -e uppercase-tcp --json

    FILE is a program in any language whose first line (#!…) or suffix (.py, .js, .c, .go …) tells how to run it. It
    runs as you, traced, in a private network. Exit status: 0 right, 1 wrong, 2 could not be run.
    """
    from ..lessons.exercises.check import checked
    from ..lessons.exercises.text import ladder_lines, verdict_lines
    from ..trace.text import escape

    with ending.in_order(), checked(file, exercise, first=first, recording=output, replace=overwrite) as found:
        verdict = found.verdict
        if as_json:
            sys.stdout.buffer.write(verdict.json_line() + b"\n")
        elif quiet:
            if verdict.reason is not None:
                click.echo(f"wallsocket lesson check: {escape(verdict.reason)}", err=True)
        else:
            width, colour = terminal.width(), terminal.has_colour()
            ladder = ladder_lines(found.case, width=width, colour=colour) if found.case is not None else []
            for line in verdict_lines(verdict, ladder, width=width, colour=colour):
                click.echo(line)
            if verdict.recording is not None:
                click.echo(f"recording: {escape(verdict.recording)}")
    return verdict.exit_status
