"""Talk with Redis: its protocol (RESP) as a framing written in Python.

redis_client.py HOST:PORT COMMAND [ARGUMENT...]
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

from wallsocket import framing, tcp


class Resp(framing.Custom[Any]):
    """Commands go out as lists of bytes; answers are bytes, int, None, lists, or an exception object."""

    def encode(self, message: list[bytes], /) -> bytes:
        """Return a command as an array of bulk strings."""
        return b"*%d\r\n" % len(message) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in message)

    def read(self, stream: framing.Reader, /) -> Generator[int, None, Any]:
        """Read one answer of any type."""
        line = yield from stream.until(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest
        if kind == b"-":
            return RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            return (yield from stream.exactly(int(rest) + 2))[:-2]
        if kind == b"*":
            parts = []
            for _ in range(int(rest)):
                parts.append((yield from self.read(stream)))
            return parts
        raise ValueError(f"{line!r} begins no answer")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    with tcp.connect(sys.argv[1], timeout_s=5) as connection:
        stream = connection.messages(Resp())
        stream.send([argument.encode() for argument in sys.argv[2:]])
        print(stream.receive(timeout_s=5))
