"""``wallsocket ping``."""

from __future__ import annotations

import json
import socket
from typing import Any

import click

from . import options, terminal

__all__ = ["command"]


def milliseconds(value_s: float | None) -> str:
    """A time as people read it."""
    return "-" if value_s is None else f"{value_s * 1000:.3f} ms"


@click.command()
@click.argument("destination")
@click.option("-c", "--count", type=options.Count(), metavar="N", help="Stop after N requests.")
@click.option("-n", "--interval", type=options.DURATION, default="1s", metavar="TIME", help="From one to the next.")
@click.option("-W", "--timeout", type=options.DURATION, default="1s", metavar="TIME", help="How long a reply may take.")
@click.option("-s", "--size", type=click.IntRange(0, 65507), default=56, metavar="BYTES", help="Payload.")
@click.option("-t", "--ttl", type=click.IntRange(1, 255), metavar="N", help="Hops a request may take.")
@click.option("--no-fragment", is_flag=True, help="Do not let requests be fragmented: shows the MTU of the path.")
@click.option("-S", "--source", metavar="ADDRESS", help="Send from this address.")
@click.option("-4", "family", flag_value=int(socket.AF_INET), type=int, help="IPv4 only.")
@click.option("-6", "family", flag_value=int(socket.AF_INET6), type=int, help="IPv6 only.")
@options.json
@options.quiet
def command(
    destination: str,
    count: int | None,
    interval: float,
    timeout: float,
    size: int,
    ttl: int | None,
    no_fragment: bool,
    source: str | None,
    family: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Ask whether a host answers, and how fast.

    Exit status: 0 when at least one reply came, 1 when none did.
    """
    from ..wire.ping import Ping

    with Ping(
        destination,
        count=count,
        interval_s=interval,
        timeout_s=timeout,
        size=size,
        time_to_live=ttl,
        source=source,
        fragment=not no_fragment,
        family=socket.AF_UNSPEC if family is None else family,
    ) as running:
        if not as_json and not quiet:
            name = destination if destination == running.address else f"{destination} ({running.address})"
            click.echo(f"PING {name}: {size} bytes of data")
        table = terminal.Table() if not as_json and not quiet and terminal.is_live() else None
        marks = ""
        try:
            for reply in running:
                if as_json:
                    click.echo(json.dumps({"reply": reply._asdict()}))
                elif table is not None:
                    if reply.kind not in ("reply", "timeout"):
                        # What is out of the ordinary stays to be read.
                        table.above(_line(reply))
                    marks = (marks + _MARKS[reply.kind])[-terminal.width() :]
                    table.show(_rows(running.summary(), reply, marks))
                elif not quiet:
                    click.echo(_line(reply))
        except KeyboardInterrupt:
            if not as_json:
                click.echo()
        finally:
            if table is not None:
                table.close()
        found = running.summary()
    if as_json:
        click.echo(json.dumps({"summary": {**found._asdict(), "loss": found.loss}}))
    else:
        extra = f", {found.duplicates} duplicates" if found.duplicates else ""
        extra += f", {found.errors} errors" if found.errors else ""
        click.echo(f"{found.sent} sent, {found.received} received, {found.loss:.0%} lost{extra}")
        if found.average_s is not None:
            figures = (found.minimum_s, found.average_s, found.maximum_s, found.deviation_s)
            click.echo("least/average/most/deviation " + " / ".join(milliseconds(figure) for figure in figures))
    return 0 if found.received else 1


#: What stands for each reply in the line under the table.
_MARKS = {"reply": "!", "timeout": ".", "error": "E", "duplicate": "+", "changed": "x"}


def _rows(found: Any, reply: Any, marks: str) -> list[str]:
    """The table on a terminal: figures so far, and a mark for each of the newest replies."""
    names = ("sent", "received", "lost", "last", "least", "average", "most")
    times = (reply.time_s, found.minimum_s, found.average_s, found.maximum_s)
    values = (str(found.sent), str(found.received), f"{found.loss:.0%}", *(milliseconds(value) for value in times))
    return [
        "".join(f"{name:>12}" for name in names),
        "".join(f"{value:>12}" for value in values),
        marks,
    ]


def _line(reply: Any) -> str:
    if reply.kind == "timeout":
        return f"seq {reply.sequence_number}: no reply in time"
    if reply.kind == "error":
        origin = f" from {reply.address}" if reply.address else ""
        return f"seq {reply.sequence_number}: {reply.text}{origin}"
    hops = "" if reply.time_to_live is None else f" ttl {reply.time_to_live}"
    line = f"{reply.size} bytes from {reply.address}: seq {reply.sequence_number}{hops}"
    if reply.time_s is not None:
        line += f" time {milliseconds(reply.time_s)}"
    return line + {"duplicate": " (again)", "changed": " (with other bytes)"}.get(reply.kind, "")
