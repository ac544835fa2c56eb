"""``wallsocket freeze``: a copy of a recording as it is at this moment."""

from __future__ import annotations

import time
from pathlib import Path

import click

from . import options

__all__ = ["command"]


@click.command()
@options.recording
@options.output("The copy; by default beside the recording.")
@options.overwrite
@options.quiet
def command(recording: options.Files | None, output: Path | None, overwrite: bool, quiet: bool) -> None:
    """Copy a recording (the newest if none is named) as it is at this moment, while it grows and goes on growing.

    \b
    wallsocket trace --ring 60s -- ./server &     the last minute, for as long as it runs
    wallsocket freeze server                      that minute, now, by name

    What was open when the copy begins is shown as in a program that was attached to.
    """
    from ..trace import places
    from ..trace.recording import freeze_window
    from ..trace.text import escape

    if isinstance(recording, tuple):
        raise click.UsageError("one recording is frozen at a time")
    path = places.find(recording) if recording is not None else places.newest()
    if output is None:
        stem = path.name.removesuffix(places.SUFFIX)
        output = path.with_name(f"{stem}-frozen-{time.strftime('%H%M%S')}{places.SUFFIX}")
    freeze_window(path, output, reason="asked for", replace=overwrite)
    if not quiet:
        click.echo(f"frozen: {escape(str(output))}")
