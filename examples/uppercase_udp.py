"""The lecture's service over UDP: each datagram comes back in upper case.

uppercase_udp.py serve [HOST:PORT]
uppercase_udp.py ask HOST:PORT TEXT
"""

from __future__ import annotations

import sys

from wallsocket import udp


def serve(address: str) -> None:
    with udp.bind(address) as endpoint:
        print("serving on port", endpoint.local[1], flush=True)
        for request in endpoint:
            # From the very address that was asked, which matters on hosts with several.
            endpoint.reply(request, request.data.upper())


def ask(address: str, text: str) -> None:
    with udp.connect(address) as endpoint:
        for _ in range(3):
            endpoint.send(text.encode())
            try:
                print(endpoint.receive(timeout_s=1).data.decode())
            except TimeoutError:
                continue  # UDP may lose either datagram: ask again
            return
        raise SystemExit("no answer")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", *rest]:
            serve(rest[0] if rest else ":4567")
        case ["ask", address, text]:
            ask(address, text)
        case _:
            raise SystemExit(__doc__)
