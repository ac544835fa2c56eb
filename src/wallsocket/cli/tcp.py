"""``wallsocket tcp``: connect, listen, send; messages, half-close, reasons."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import click

from .talk import Talk, named, talking, timeout


@click.group()
def command() -> None:
    """Talk TCP: standard input goes out, what comes goes to standard output.

    The end of the input half-closes the connection, so the answer still arrives. With --framing each input line is one
    message, and each message that comes is one line.
    """


@command.command()
@click.argument("address")
@click.option("--source", metavar="ADDRESS", help="Local address to connect from.")
@timeout
@talking("idle", "framing", "hex", "json", "quiet")
def connect(talk: Talk, address: str, source: str | None, timeout_s: float | None) -> None:
    """Connect to HOST:PORT, or to [IPv6]:PORT."""
    from .. import tcp

    with tcp.connect(address, source=source, timeout_s=timeout_s) as connection:
        talk.event("connected", peer=named(connection.peer), local=named(connection.local))
        talk.pump(connection)


@command.command()
@click.argument("address")
@click.option("--keep", is_flag=True, help="Go on after the first connection; each is answered with what it sent.")
@click.option(
    "--backlog",
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    default=128,
    show_default=True,
    help="Connections that may wait.",
)
@talking("idle", "framing", "hex", "json", "quiet")
def listen(talk: Talk, address: str, keep: bool, backlog: int) -> None:
    """Listen on [HOST]:PORT and talk with the first that connects; :0 takes a free port."""
    from .. import tcp

    with tcp.listen(address, backlog=backlog) as listener:
        talk.event("listening", local=named(listener.local), backlog=listener.backlog.in_force)
        if keep:
            serve_echo(listener, talk)
        connection = listener.accept()
    with connection:
        talk.event("accepted", peer=named(connection.peer))
        talk.pump(connection)


def serve_echo(listener: Any, talk: Talk) -> None:
    """Answer each connection with what it sends, until Ctrl-C."""

    def answer(connection: Any) -> None:
        with connection:
            talk.event("accepted", peer=named(connection.peer))
            try:
                if talk.codec is not None:
                    stream = connection.messages(talk.codec)
                    while found := stream.receive_many():
                        stream.send_many(found)
                else:
                    while data := connection.receive():
                        connection.send_all(data)
                connection.close(graceful=True)
            except Exception as error:  # one connection's end is not the listener's
                talk.event("ended", error=" ".join(str(error).split()))

    for connection in listener:
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


@command.command()
@click.argument("address")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@timeout
@talking("framing", "json", "quiet")
def send(talk: Talk, address: str, file: Path | None, timeout_s: float | None) -> None:
    """Send FILE (or standard input, as one message) to HOST:PORT, and close so that nothing can be lost."""
    from .. import tcp

    def progress(sent: int, total: int | None) -> None:
        talk.bytes_out = sent
        talk.progress()

    with tcp.connect(address, timeout_s=timeout_s) as connection:
        if talk.codec is not None:
            data = file.read_bytes() if file is not None else sys.stdin.buffer.read()
            connection.messages(talk.codec).send(data, progress=progress)
        elif file is not None:
            with file.open("rb") as source:
                connection.send_file(source, progress=progress)
        else:
            while piece := sys.stdin.buffer.read(1 << 16):
                connection.send_all(piece)
                progress(talk.bytes_out + len(piece), None)
        connection.close(graceful=True, timeout_s=timeout_s if timeout_s is not None else 10)
