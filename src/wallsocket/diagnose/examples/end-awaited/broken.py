"""An upper-case service that reads to the end, and a client that waits for the answer with its own side open."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    with accepted:
        text = b""
        while part := accepted.recv(1024):
            text += part
        try:
            accepted.sendall(text.upper())
        except OSError:
            pass


with socket.create_server(("127.0.0.1", 7040)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 7040)) as client:
        client.sendall(b"hello, world\n")
        client.settimeout(1.5)
        try:
            print(client.recv(1024))
        except TimeoutError:
            print("no answer")
    server.join()
