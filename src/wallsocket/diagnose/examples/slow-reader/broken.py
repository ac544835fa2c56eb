"""A label printer reads its jobs in small steps; the sender's patience ends first."""

import contextlib
import socket
import threading
import time


def printer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        until = time.monotonic() + 2.5
        while time.monotonic() < until and connection.recv(2000):
            time.sleep(0.1)  # prints a label


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=printer, args=(listener,))
server.start()
sent = 0
with socket.create_connection(listener.getsockname(), timeout=1.5) as client, contextlib.suppress(OSError):
    while sent < 100_000_000:
        client.sendall(bytes(100_000))
        sent += 100_000
print("the printer took", sent, "bytes or more")
server.join()
listener.close()
