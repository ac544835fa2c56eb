"""Two listeners share a port by SO_REUSEPORT; the program accepts from one of them only."""

import contextlib
import select
import socket
import threading
import time


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


served = open_listener(0)
port = served.getsockname()[1]
forgotten = open_listener(port)
threading.Thread(target=serve, args=(served,), daemon=True).start()
clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(24)]
deadline = time.monotonic() + 1.5
waiting = set(clients)
while waiting and time.monotonic() < deadline:
    for client in select.select(list(waiting), [], [], deadline - time.monotonic())[0]:
        with client:
            client.recv(100)
        waiting.remove(client)
print(len(waiting), "of", len(clients), "got no answer")
