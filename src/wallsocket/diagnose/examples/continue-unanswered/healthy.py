"""The server gives leave when the head has come."""

import select
import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))
BODY = b"x" * 1000


def serve():
    connection, _ = listener.accept()
    request = b""
    while len(request) < len(BODY) or not request.endswith(b"x" * 100):
        request += connection.recv(65536)
        if request.endswith(b"\r\n\r\n"):
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(
        b"PUT /a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    )
    if select.select([connection], [], [], 10)[0]:
        print(connection.recv(1000))
    connection.sendall(BODY)
    print(connection.recv(1000))
service.join()
