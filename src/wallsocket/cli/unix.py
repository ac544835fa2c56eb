"""``wallsocket unix``: the same as ``tcp`` over Unix sockets."""

from __future__ import annotations

import sys
from typing import Literal

import click

from ..framing import Framing
from . import options
from .talk import Talk, framing, named, run_talk
from .tcp import hexadecimal, idle, serve_echo, timeout

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
@idle
@framing
@hexadecimal
@options.json
@options.quiet
def connect(
    path: str,
    kind: Literal["stream", "seqpacket", "datagram"],
    timeout_s: float | None,
    idle_s: float | None,
    codec: Framing[bytes] | None,
    as_hex: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Connect to the socket at PATH."""
    from .. import unix

    if kind == "datagram":
        raise click.UsageError("datagrams have no connection; use 'unix send --kind datagram'")
    talk = Talk(codec=codec, as_json=as_json, as_hex=as_hex, quiet=quiet, idle_s=idle_s)

    def body() -> None:
        with unix.connect(path, kind=kind, timeout_s=timeout_s) as connection:
            who = connection.peer_credentials
            talk.event("connected", peer=named(connection.peer), pid=who.pid, uid=who.uid)
            talk.pump(connection)
        talk.summary()

    return run_talk(body)


@command.command()
@click.argument("path")
@kind
@click.option("--keep", is_flag=True, help="Go on after the first connection; each is answered with what it sent.")
@idle
@framing
@hexadecimal
@options.json
@options.quiet
def listen(
    path: str,
    kind: Literal["stream", "seqpacket", "datagram"],
    keep: bool,
    idle_s: float | None,
    codec: Framing[bytes] | None,
    as_hex: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Listen at PATH; a file that no process has open is replaced. Datagrams are shown as they come."""
    from .. import unix

    talk = Talk(codec=codec, as_json=as_json, as_hex=as_hex, quiet=quiet, idle_s=idle_s)

    def body() -> None:
        if kind == "datagram":
            with unix.bind(path) as endpoint:
                talk.event("listening", local=named(endpoint.local))
                while True:
                    datagram = endpoint.receive(timeout_s=idle_s)
                    talk.show(datagram.data, peer=named(datagram.peer or ""))
        with unix.listen(path, kind=kind) as listener:
            talk.event("listening", local=named(listener.local))
            if keep:
                serve_echo(listener, talk, codec)
                return
            connection = listener.accept()
            with connection:
                who = connection.peer_credentials
                talk.event("accepted", pid=who.pid, uid=who.uid)
                talk.pump(connection)
        talk.summary()

    return run_talk(body)


@command.command()
@click.argument("path")
@click.argument("text", required=False)
@kind
@timeout
@framing
@options.quiet
def send(
    path: str,
    text: str | None,
    kind: Literal["stream", "seqpacket", "datagram"],
    timeout_s: float | None,
    codec: Framing[bytes] | None,
    quiet: bool,
) -> int:
    """Send TEXT (or standard input, as one message) to the socket at PATH."""
    from .. import unix

    def body() -> None:
        data = text.encode() if text is not None else sys.stdin.buffer.read()
        if kind == "datagram":
            with unix.Endpoint() as endpoint:
                endpoint.send(data, path, timeout_s=timeout_s)
            return
        with unix.connect(path, kind=kind, timeout_s=timeout_s) as connection:
            if codec is not None:
                connection.messages(codec).send(data)
            else:
                connection.send_all(data)
            connection.close(graceful=True, timeout_s=10)

    return run_talk(body)
