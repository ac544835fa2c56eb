"""``wallsocket tcp``: connect, listen, send; messages, half-close, reasons."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import click

from ..framing import Framing
from . import options
from .talk import Talk, framing, named, run_talk

hexadecimal = click.option("--hex", "as_hex", is_flag=True, help="Show received bytes as hex and characters.")
timeout = click.option("--timeout", "timeout_s", type=options.DURATION, help="Give up connecting after this time.")
idle = click.option("--idle", "idle_s", type=options.DURATION, help="End when nothing moved for this time.")


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
@idle
@framing
@hexadecimal
@options.json
@options.quiet
def connect(
    address: str,
    source: str | None,
    timeout_s: float | None,
    idle_s: float | None,
    codec: Framing[bytes] | None,
    as_hex: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Connect to HOST:PORT, or to [IPv6]:PORT."""
    from .. import tcp

    talk = Talk(codec=codec, as_json=as_json, as_hex=as_hex, quiet=quiet, idle_s=idle_s)

    def body() -> None:
        with tcp.connect(address, source=source, timeout_s=timeout_s) as connection:
            talk.event("connected", peer=named(connection.peer), local=named(connection.local))
            talk.pump(connection)
        talk.summary()

    return run_talk(body)


@command.command()
@click.argument("address")
@click.option("--keep", is_flag=True, help="Go on after the first connection; each is answered with what it sent.")
@click.option(
    "--backlog", type=click.IntRange(min=0), default=128, show_default=True, help="Connections that may wait."
)
@idle
@framing
@hexadecimal
@options.json
@options.quiet
def listen(
    address: str,
    keep: bool,
    backlog: int,
    idle_s: float | None,
    codec: Framing[bytes] | None,
    as_hex: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Listen on [HOST]:PORT and talk with the first that connects; :0 takes a free port."""
    from .. import tcp

    talk = Talk(codec=codec, as_json=as_json, as_hex=as_hex, quiet=quiet, idle_s=idle_s)

    def body() -> None:
        with tcp.listen(address, backlog=backlog) as listener:
            talk.event("listening", local=named(listener.local), backlog=listener.backlog.in_force)
            if keep:
                serve_echo(listener, talk, codec)
                return
            connection = listener.accept()
        with connection:
            talk.event("accepted", peer=named(connection.peer))
            talk.pump(connection)
        talk.summary()

    return run_talk(body)


def serve_echo(listener: Any, talk: Talk, codec: Framing[bytes] | None) -> None:
    """Answer each connection with what it sends, until Ctrl-C."""

    def answer(connection: Any) -> None:
        with connection:
            talk.event("accepted", peer=named(connection.peer))
            try:
                if codec is not None:
                    stream = connection.messages(codec)
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
@framing
@options.json
@options.quiet
def send(
    address: str,
    file: Path | None,
    timeout_s: float | None,
    codec: Framing[bytes] | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Send FILE (or standard input, as one message) to HOST:PORT, and close so that nothing can be lost."""
    from .. import tcp

    talk = Talk(codec=codec, as_json=as_json, as_hex=False, quiet=quiet, idle_s=None)

    def body() -> None:
        def progress(sent: int, total: int | None) -> None:
            talk.bytes_out = sent
            talk.progress()

        with tcp.connect(address, timeout_s=timeout_s) as connection:
            if codec is not None:
                data = file.read_bytes() if file is not None else sys.stdin.buffer.read()
                connection.messages(codec).send(data, progress=progress)
            elif file is not None:
                with file.open("rb") as source:
                    connection.send_file(source, progress=progress)
            else:
                while piece := sys.stdin.buffer.read(1 << 16):
                    connection.send_all(piece)
                    progress(talk.bytes_out + len(piece), None)
            connection.close(graceful=True, timeout_s=timeout_s if timeout_s is not None else 10)
        talk.summary()

    return run_talk(body)
