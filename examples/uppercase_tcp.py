"""The lecture's service over TCP, with each of the four ways to say where a message ends.

uppercase_tcp.py serve FRAMING [HOST:PORT]
uppercase_tcp.py ask FRAMING HOST:PORT TEXT...

FRAMING is fixed:8, until-close, lines or prefixed:4.
"""

from __future__ import annotations

import sys
import threading

from wallsocket import framing, tcp
from wallsocket.framing import Framing, FramingError


def serve(codec: Framing[bytes], address: str) -> None:
    with tcp.listen(address) as listener:
        print("serving on port", listener.local[1], flush=True)
        for connection in listener:
            threading.Thread(target=answer, args=(connection, codec), daemon=True).start()


def answer(connection: tcp.Connection, codec: Framing[bytes]) -> None:
    with connection.messages(codec) as stream:
        try:
            for message in stream:
                stream.send(message.upper())
        except (FramingError, OSError) as error:
            print(f"{connection}: {error}", file=sys.stderr)


def ask(codec: Framing[bytes], address: str, texts: list[str]) -> None:
    with tcp.connect(address, timeout_s=5) as connection:
        stream = connection.messages(codec)
        for text in texts:
            message = text.encode()
            if isinstance(codec, framing.FixedLength):
                message = message.ljust(codec.length)  # how to fill up is the protocol's affair
            stream.send(message)
            print(stream.receive(timeout_s=5).decode().rstrip())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", name, *rest]:
            serve(framing.from_text(name), rest[0] if rest else ":4567")
        case ["ask", name, address, *texts] if texts:
            ask(framing.from_text(name), address, texts)
        case _:
            raise SystemExit(__doc__)
