"""A forwarder whose server, behind a Unix socket, was never started."""

import os
import socket
import tempfile
import threading


def forward(listener: socket.socket, behind: str) -> None:
    client, _ = listener.accept()
    with client, socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(behind)
        except OSError as error:
            print("forwarder:", error)
            return
        server.sendall(client.recv(100))
        client.sendall(server.recv(100))


behind = os.path.join(tempfile.gettempdir(), f"no-such-server-{os.getpid()}")
listener = socket.create_server(("127.0.0.1", 0))
forwarder = threading.Thread(target=forward, args=(listener, behind))
forwarder.start()
with socket.create_connection(listener.getsockname()) as client:
    print(client.recv(100))
forwarder.join()
listener.close()
