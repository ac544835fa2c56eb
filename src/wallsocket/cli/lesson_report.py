"""``wallsocket lesson report``: every lesson played on this kernel, as one page."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click

from . import options
from .lesson import chosen, played

__all__ = ["command"]


@click.command("report")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@options.output("Write the page here (HTML, one file).")
@options.overwrite
@options.quiet
def command(ids: tuple[str, ...], output: Path | None, overwrite: bool, quiet: bool) -> int:
    """Play lessons and write what was seen as one HTML page; all of them without IDs.

    Exit status: 0 every experiment gave a verdict, 1 some did not, 2 could not run.
    """
    from .. import __version__
    from ..files import refuse, whole
    from ..lessons.catalogue import named
    from ..lessons.lesson import Lesson
    from ..lessons.play import FOLDER_PREFIX, Run
    from ..lessons.report import page
    from ..lessons.scratch import scratch
    from ..lessons.text import picture_lines

    if output is None:
        raise click.UsageError("where to? write: wallsocket lesson report -o lessons.html")
    if str(output) != "-":
        refuse(output, replace=overwrite)
        _can_be_made(output)
    lessons: list[tuple[Lesson, list[Run]]] = []
    pictures: dict[str, str] = {}
    failed = 0
    with scratch(FOLDER_PREFIX) as folder:
        for lesson, claims in chosen(ids or ("all",)):
            runs = []
            for run in played(claims, recordings=folder):
                if not quiet:
                    click.echo(f"{run.claim.id} {run.verdict}", err=True)
                failed += run.verdict == "unknown"
                if run.recording is not None:
                    lines = picture_lines(run.recording, run.claim.show, width=110, colour=False)
                    pictures[run.claim.id] = "\n".join(lines)
                runs.append(run)
            around = lesson if lesson is not None else named(claims[0].lesson)
            assert isinstance(around, Lesson)
            lessons.append((around, runs))
    text = page(lessons, pictures, version=__version__)
    with whole(output, replace=overwrite) as file:
        file.write(text.encode())
    return 1 if failed else 0


def _can_be_made(output: Path) -> None:
    """Say now what would be an error after minutes of playing.

    Raises:
        OSError: nothing can be made in its folder.
    """
    if not os.access(output.parent, os.W_OK | os.X_OK):
        reason = errno.EACCES if output.parent.is_dir() else errno.ENOENT
        raise OSError(reason, os.strerror(reason), os.fspath(output))
