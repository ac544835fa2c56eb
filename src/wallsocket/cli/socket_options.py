"""``wallsocket options``: every socket option, and what is in force on a fresh socket here."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from typing import Any, Final

import click

from ..trace.text import wrap
from . import options, terminal

#: Word -> how to make a socket of that kind.
KINDS: Final = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, 0),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, 0),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, 0),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM, 0),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    "raw": (socket.AF_INET, socket.SOCK_RAW, 1),
    "packet": (socket.AF_PACKET, socket.SOCK_RAW, 0),
}


@click.command()
@click.argument("words", nargs=-1, metavar="[KIND|NAME]...")
@options.json
def command(words: tuple[str, ...], as_json: bool) -> int:
    """Show socket options with the defaults of this kernel.

    KIND is tcp, tcp6, udp, udp6, unix, raw or packet; NAME is an option such as SO_RCVBUF, shown in full. Without
    either: all options.
    """
    from ..kernel.options import named, table

    kinds = [word for word in words if word in KINDS]
    chosen = [named(word) for word in words if word not in KINDS]
    wanted = chosen or [
        option for option in table() if not kinds or not option.applies or any(kind in option.applies for kind in kinds)
    ]
    rows = list(_rows(wanted, kinds or list(KINDS)))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return 0
    if chosen:
        for row in rows:
            _in_full(row)
        return 0
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        default = next(iter(row["default"].values()), "")
        _set(f"{row['name']:<{width}}  {default:<18.18}  ", row["meaning"])
    return 0


def _rows(wanted: list[Any], kinds: list[str]) -> Iterator[dict[str, Any]]:
    from ..kernel import here
    from ..kernel import options as table

    sockets: dict[str, socket.socket] = {}
    try:
        for kind in kinds:
            try:
                sockets[kind] = here.socket(*KINDS[kind])
            except OSError:
                continue  # not permitted, or not in this kernel: its defaults stay unknown
        for option in wanted:
            default: dict[str, str] = {}
            for kind, sock in sockets.items():
                if not option.readable or option.reading_changes or option.secret:
                    break
                if option.applies and kind not in option.applies:
                    continue
                try:
                    default[kind] = table.get(sock, option).text
                except OSError:
                    continue
            yield {
                "name": option.name,
                "type": option.kind,
                "unit": option.unit,
                "applies": list(option.applies),
                "readable": option.readable,
                "settable": option.settable,
                "when": option.when,
                "since": ".".join(map(str, option.since)) if option.since else None,
                "privilege": option.privilege,
                "meaning": option.meaning,
                "default": default,
            }
    finally:
        for sock in sockets.values():
            sock.close()


def _in_full(row: dict[str, Any]) -> None:
    access = " and ".join(word for word, yes in (("read", row["readable"]), ("set", row["settable"])) if yes)
    click.echo(row["name"])
    _set("  ", row["meaning"])
    for label, value in (
        ("type", f"{row['type']}" + (f", {row['unit']}" if row["unit"] else "")),
        ("sockets", ", ".join(row["applies"])),
        ("can be", access + (f" ({row['when']})" if row["when"] else "")),
        ("since", f"Linux {row['since']}" if row["since"] else ""),
        ("needs", row["privilege"]),
        ("here", ", ".join(f"{kind} {text}" for kind, text in row["default"].items()) or "unknown"),
    ):
        if value:
            _set(f"  {label:<8} ", value)


def _set(label: str, text: str) -> None:
    """Print a text behind its label: one line for other programs, on a terminal as many as it needs."""
    room = terminal.width() - len(label)
    first, *rest = wrap(text.split(" "), room) if sys.stdout.isatty() and room > 20 else [text]
    click.echo(label + first)
    for line in rest:
        click.echo(" " * len(label) + line)
