"""``wallsocket recordings``: the recordings in the state folder."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import click

from . import options, terminal

__all__ = ["command"]


@click.command()
@click.option("--prune", is_flag=True, help="Keep the newest 20, at most 2 GB in all; remove the others and say which.")
@click.option("--keep", type=options.Count(0), metavar="N", help="With --prune: keep the newest N instead.")
@options.json
def command(prune: bool, keep: int | None, as_json: bool) -> None:
    """List the recordings in the state folder, newest first, or remove old ones.

    \b
    wallsocket recordings
    wallsocket show nginx-20260131-154500    opened by name, from anywhere
    wallsocket recordings --prune --keep 5

    Wherever a command takes a RECORDING, the name of one in the list will do, or as much of its beginning as no other has.
    """
    from ..trace import places

    if keep is not None and not prune:
        raise click.UsageError("--keep goes with --prune")
    if prune:
        removed = places.prune() if keep is None else places.prune(kept=keep)
        for item in removed:
            if as_json:
                click.echo(json.dumps({"removed": str(item.path), "size_bytes": item.size_bytes}))
            else:
                click.echo(f"removed {item.path.name} ({_size(item.size_bytes)})")
        if not removed and not as_json:
            click.echo("nothing to remove")
        return
    found = [_about(path) for path in places.recordings()]
    if as_json:
        for about in found:
            click.echo(json.dumps(about))
        return
    if not found:
        click.echo(f"no recording in {places.folder()}; make one: wallsocket trace -- COMMAND", err=True)
        return
    width = terminal.width()
    for line in _lines(found):
        click.echo(line if len(line) <= width else f"{line[: width - 1]}…")


def _about(path: Path) -> dict[str, Any]:
    from ..errors import RecordingError
    from ..kernel.program import command_words
    from ..trace.places import size_of
    from ..trace.recording import Recording

    about: dict[str, Any] = {"name": path.name.removesuffix(".wsrec"), "path": str(path), "size_bytes": size_of(path)}
    try:
        with Recording.open(path) as recording:
            return about | {
                "started_ns": recording.meta_int("started_realtime_ns"),
                "duration_ns": recording.ended_ns,
                "growing": recording.growing,
                "complete": recording.cut_off_ns is None,
                "exit_status": recording.meta_int("exit_status"),
                "command": command_words(recording.meta.get("command")),
                "findings": sum(1 for _ in recording.findings()),
                "error": None,
            }
    except RecordingError as error:
        return about | {"error": str(error).removeprefix(f"{path}: ")}


def _lines(found: list[dict[str, Any]]) -> list[str]:
    from ..trace.text import escape
    from ..trace.verdict import duration

    rows = [("name", "made", "size", "time", "status", "findings", "command")]
    for about in found:
        name, size = escape(about["name"]), _size(about["size_bytes"])
        if about["error"] is not None:
            rows.append((name, "", size, "", "", "", escape(about["error"])))
            continue
        made = about["started_ns"]
        status = about["exit_status"]
        ended = (
            "running"
            if about["growing"]
            else "cut off"
            if not about["complete"]
            else ""
            if status is None
            else str(status)
        )
        rows.append(
            (
                name,
                "unknown" if made is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(made / 1e9)),
                size,
                duration(about["duration_ns"]),
                ended,
                str(about["findings"] or ""),
                escape(shlex.join(about["command"])),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6]]) for row in rows]


def _size(size_bytes: int) -> str:
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1_000_000_000 else f"{size_bytes / 1e9:.1f} GB"
