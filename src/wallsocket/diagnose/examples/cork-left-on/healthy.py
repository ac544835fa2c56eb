"""A server corks its connection so that head and body go out together, and takes the cork out after each answer."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        while lines.readline():
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            connection.sendall(b"status 200\r\n")
            connection.sendall(b"length 0\r\n\r\n")
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
with socket.create_connection(listener.getsockname()) as client:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(6):
        client.sendall(b"question\n")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += client.recv(100)
print(answer)
server.join()
listener.close()
