"""A sender, and a reader that takes its time: the receive buffer fills, and the window closes."""

from __future__ import annotations

import socket
import sys
import threading
import time

BYTES = 400_000


def read(listener: socket.socket) -> None:
    with listener, listener.accept()[0] as connection:
        while connection.recv(20_000):
            time.sleep(0.01)


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    reader = threading.Thread(target=read, args=(listener,))
    reader.start()
    with socket.create_connection(listener.getsockname()) as connection:
        for _ in range(10):
            connection.sendall(bytes(BYTES // 10))
    reader.join()


if __name__ == "__main__":
    sys.exit(main())
