"""Both listeners are served."""

import contextlib
import socket
import threading


def open_listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(16)
    return listener


def serve(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"welcome")


first = open_listener(0)
port = first.getsockname()[1]
second = open_listener(port)
for listener in (first, second):
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
for _ in range(24):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.recv(100)
