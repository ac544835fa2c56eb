"""A client keeps a deadline for the whole answer, and gives up in time."""

import contextlib
import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(100)
        with contextlib.suppress(OSError):
            for _ in range(3):
                connection.sendall(b".")
                time.sleep(0.2)
        connection.recv(100)


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
began = time.monotonic()
answer = b""
with socket.create_connection(listener.getsockname(), timeout=0.5) as client:
    client.sendall(b"question")
    with contextlib.suppress(TimeoutError):
        while (left := began + 1 - time.monotonic()) > 0:
            client.settimeout(left)
            answer += client.recv(100)
print(len(answer), f"bytes, and given up after {time.monotonic() - began:.1f} s")
server.join()
listener.close()
