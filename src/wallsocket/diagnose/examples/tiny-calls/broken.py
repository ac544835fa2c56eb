"""A server reads its lines byte by byte."""

import socket
import threading


def read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1)
    return line


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        count = 0
        while read_line(connection) != b"end\n":
            count += 1
        connection.sendall(b"%d lines\n" % count)


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
with socket.create_connection(listener.getsockname()) as client:
    client.sendall(b"".join(b"measurement %d\n" % number for number in range(100)) + b"end\n")
    print(client.recv(100))
server.join()
listener.close()
