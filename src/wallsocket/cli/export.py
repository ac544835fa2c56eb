"""``wallsocket export``: a recording for Wireshark, Perfetto and other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from . import options

if TYPE_CHECKING:
    from ..diagnose import Diagnosis
    from ..trace.recording import Recording

__all__ = ["command"]

_NAMES = ("pcapng", "perfetto", "qlog", "mermaid", "ndjson", "sarif", "otlp", "html")


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDING] FILE")
@click.option(
    "--to",
    "to",
    type=click.Choice(_NAMES),
    help="The format; by default, FILE's ending decides.",
)
@click.option("--with-payload", is_flag=True, help="Also what was sent, argument values and the paths of Unix sockets.")
@click.option(
    "--tls-keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="KEYLOG",
    help="Put the keys from this SSLKEYLOGFILE into the pcapng file: whoever has the file can then decrypt it.",
)
@options.overwrite
@options.quiet
@click.pass_context
def command(
    context: click.Context,
    files: tuple[Path, ...],
    to: str | None,
    with_payload: bool,
    tls_keys: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write a recording (the newest if none is named) in the format of another tool.

    \b
    .pcapng      Wireshark: each packet with process, line and finding
    .pftrace     Perfetto: calls, states and queues over time   (wallsocket[perfetto])
    .sqlog       qlog: events as JSON text sequences
    .mmd         Mermaid: a sequence diagram
    .ndjson      one JSON object per line
    .sarif       the findings, for code scanning
    .otlp.json   the findings, as OpenTelemetry log records
    .html        the page of wallsocket web, in one file that needs no server

    Without --with-payload the file holds no byte that was sent, no argument's value and no path of a Unix socket.
    """
    if not 1 <= len(files) <= 2:
        raise click.UsageError("write: wallsocket export [RECORDING] FILE", context)
    target = files[-1]
    from ..diagnose import diagnose
    from ..files import refuse
    from ..trace.export import FORMATS, format_of

    item = FORMATS[to] if to is not None else format_of(target)
    with options.open_recording(files[0] if len(files) == 2 else None, quiet=quiet) as opened:
        if opened.path is not None and _same(opened.path, target):
            raise UsageError(f"{target} is the recording itself; write to another file")
        if str(target) != "-":
            refuse(target, replace=overwrite)
        judged = diagnose(opened)
        if item.module is not None:
            from ..trace.export import export

            keys = tls_keys.read_bytes() if tls_keys is not None else None
            material = export(
                opened,
                target,
                to=item.name,
                findings=judged.findings,
                with_payload=with_payload,
                tls_keys=keys,
                replace=overwrite,
            )
            implied = material.implied
        else:
            if tls_keys is not None:
                raise UsageError(f"--tls-keys: keys go into pcapng, not into {item.name}")
            implied = False
            _write_findings(opened, judged, target, item.name, with_payload=with_payload, replace=overwrite)
    if not quiet and str(target) != "-":
        cut = opened.meta.get("payload", "all") if tls_keys is not None else "all"
        click.echo(_what(target, item.name, with_payload, implied, keys=tls_keys is not None, cut=cut), err=True)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _what(target: Path, name: str, with_payload: bool, implied: bool, *, keys: bool, cut: str) -> str:
    from ..trace.text import escape

    notes = []
    if implied:
        notes.append("no packet was captured: those in it are inferred from the calls, and marked so")
    if not with_payload:
        notes.append("without payload, argument values and Unix paths")
    if keys:
        notes.append("IT CONTAINS KEYS: whoever has it can read what was encrypted")
        if cut != "all":
            notes.append("what was not recorded stays unread: only trace --payload all keeps whole packets")
    return f"wallsocket: wrote {escape(str(target))} ({name}); {'; '.join(notes)}".removesuffix("; ")


def _write_findings(
    recording: Recording, judged: Diagnosis, target: Path, name: str, *, with_payload: bool, replace: bool
) -> None:
    from .. import __version__
    from ..files import whole
    from ..trace.export.discretion import Discretion

    told = Discretion(recording, with_payload=with_payload)
    if name == "html":
        from ..web.export import html

        html(recording, target, with_payload=with_payload, replace=replace)
        return
    value: dict[str, Any]
    if name == "sarif":
        from ..diagnose import all_rules
        from ..diagnose.formats import sarif

        value = sarif(judged.findings, all_rules(), version=str(__version__), root=Path.cwd())
        for run in value["runs"]:
            run["results"] = told.value(run["results"])
    else:
        from ..diagnose.otlp import otlp

        value = otlp(recording, judged.findings, version=str(__version__), told=told.text)
    with whole(target, replace=replace) as file:
        file.write((json.dumps(value, ensure_ascii=True, indent=1) + "\n").encode())
