"""``wallsocket unix``: the same as ``tcp`` over Unix sockets."""

from __future__ import annotations

import sys
from typing import Literal

import click

from .talk import Talk, named, talking, timeout
from .tcp import serve_echo

Kind = Literal["stream", "seqpacket", "datagram"]

kind = click.option(
    "--kind",
    type=click.Choice(["stream", "seqpacket", "datagram"]),
    default="stream",
    show_default=True,
    help="Bytes, or messages that keep their limits.",
)


@click.group()
def command() -> None:
    """Talk over Unix sockets; PATH may be unix:@NAME for an abstract name."""


@command.command()
@click.argument("path")
@kind
@timeout
@talking("idle", "framing", "hex", "json", "quiet")
def connect(talk: Talk, path: str, kind: Kind, timeout_s: float | None) -> None:
    """Connect to the socket at PATH."""
    from .. import unix

    if kind == "datagram":
        raise click.UsageError("datagrams have no connection; use 'unix send --kind datagram'")
    with unix.connect(path, kind=kind, timeout_s=timeout_s) as connection:
        who = connection.peer_credentials
        talk.event("connected", peer=named(connection.peer), pid=who.pid, uid=who.uid)
        talk.pump(connection)


@command.command()
@click.argument("path")
@kind
@click.option("--keep", is_flag=True, help="Go on after the first connection; each is answered with what it sent.")
@talking("idle", "framing", "hex", "json", "quiet")
def listen(talk: Talk, path: str, kind: Kind, keep: bool) -> None:
    """Listen at PATH; a file that no process has open is replaced. Datagrams are shown as they come."""
    from .. import unix

    if kind == "datagram":
        with unix.bind(path) as endpoint:
            talk.event("listening", local=named(endpoint.local))
            while True:
                datagram = endpoint.receive(timeout_s=talk.idle_s)
                talk.show(datagram.data, peer=named(datagram.peer or ""))
    with unix.listen(path, kind=kind) as listener:
        talk.event("listening", local=named(listener.local))
        if keep:
            serve_echo(listener, talk)
        with listener.accept() as connection:
            who = connection.peer_credentials
            talk.event("accepted", pid=who.pid, uid=who.uid)
            talk.pump(connection)


@command.command()
@click.argument("path")
@click.argument("text", required=False)
@kind
@timeout
@talking("framing", "json", "quiet")
def send(talk: Talk, path: str, text: str | None, kind: Kind, timeout_s: float | None) -> None:
    """Send TEXT (or standard input, as one message) to the socket at PATH."""
    from .. import unix

    data = text.encode() if text is not None else sys.stdin.buffer.read()
    talk.bytes_out = len(data)
    if kind == "datagram":
        with unix.Endpoint() as endpoint:
            endpoint.send(data, path, timeout_s=timeout_s)
        return
    with unix.connect(path, kind=kind, timeout_s=timeout_s) as connection:
        if talk.codec is not None:
            connection.messages(talk.codec).send(data)
        else:
            connection.send_all(data)
        connection.close(graceful=True, timeout_s=10)
