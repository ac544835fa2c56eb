"""The same server on a port that everybody may bind."""

import socket

with socket.socket() as listener:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 8080))
    listener.listen()
    with socket.create_connection(("127.0.0.1", 8080)) as client:
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            accepted.recv(1024)
            accepted.sendall(b"HTTP/1.0 204 No Content\r\n\r\n")
        while client.recv(1024):
            pass
