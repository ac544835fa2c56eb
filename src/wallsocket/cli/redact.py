"""``wallsocket redact``: make a recording fit for a public place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..diagnose.redaction import Redaction

__all__ = ["command"]


@click.command()
@options.recording
@options.output("The new recording.")
@options.overwrite
@options.json
@options.quiet
@click.pass_context
def command(
    context: click.Context,
    recording: options.Files | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy a recording (the newest if none is named) without what should not become public.

    \b
    wallsocket redact run.wsrec -o public.wsrec

    Removed are payload, paths, names of Unix sockets, of users and hosts, and the words of command lines; addresses become
    others of the same kind. The rules find the same in the copy: where that needs it, the shape of what was sent is
    kept (letters become x, digits 0), and that is said. Look at the copy (wallsocket show --all) before you publish it.
    """
    if output is None:
        raise click.UsageError("name the new recording: -o FILE", context)
    from ..diagnose.redaction import redact_keeping_findings
    from .explain import store

    with options.open_recording(recording, quiet=quiet) as opened:
        done = redact_keeping_findings(opened, output, replace=overwrite)
    store(output, done.diagnosis)
    if as_json:
        click.echo(json.dumps(_data(done)))
    elif not quiet:
        for line in _lines(done):
            click.echo(line)


def _data(done: Redaction) -> dict[str, object]:
    redacted = done.redacted
    return {
        "path": os.fspath(redacted.path),
        "payload_bytes": redacted.payload_bytes,
        "shaped_sockets": redacted.shaped_sockets,
        "addresses": redacted.addresses,
        "names": redacted.names,
        "findings_kept": done.kept,
        "findings_lost": [finding.rule for finding in done.lost],
        "findings_new": [finding.rule for finding in done.new],
    }


def _lines(done: Redaction) -> list[str]:
    from ..trace.text import escape
    from ..trace.verdict import amount

    redacted = done.redacted
    lines = [
        f"wrote {escape(os.fspath(redacted.path))}",
        f"  removed: {amount(redacted.payload_bytes, 'byte')} of payload; replaced: {redacted.addresses} addresses, "
        f"{redacted.names} names and words",
        f"  findings: {done.kept} of {done.kept + len(done.lost)} are the same in the copy",
    ]
    if redacted.shaped_sockets:
        lines.append(
            f"  kept for that: the shape of what {amount(redacted.shaped_sockets, 'socket')} sent "
            "(lengths of words, punctuation; letters are x, digits 0)"
        )
    lines += [f"  lost: {finding.title} [{finding.rule}]: it rested on what was removed" for finding in done.lost]
    lines += [f"  new: {finding.title} [{finding.rule}]: the original does not have it" for finding in done.new]
    lines.append("  kept: times, lengths, ports, lines, names of programs and source files, process and user numbers")
    return lines
