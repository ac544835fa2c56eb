"""The same service, and a client that half-closes after its last byte."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    accepted, _ = listener.accept()
    with accepted:
        text = b""
        while part := accepted.recv(1024):
            text += part
        accepted.sendall(text.upper())


with socket.create_server(("127.0.0.1", 7040)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 7040)) as client:
        client.sendall(b"hello, world\n")
        client.shutdown(socket.SHUT_WR)
        while client.recv(1024):
            pass
    server.join()
