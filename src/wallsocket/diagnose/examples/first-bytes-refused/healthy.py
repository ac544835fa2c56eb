"""A server behind a balancer expects the PROXY protocol's header, and gets it."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    with connection:
        start = connection.recv(108, socket.MSG_PEEK)
        if not start.startswith(b"PROXY "):
            print("no PROXY header: dropped")
            return
        connection.recv(start.index(b"\n") + 1)
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(1024)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname()) as connection:
    connection.sendall(b"PROXY TCP4 192.0.2.7 127.0.0.1 40000 80\r\n")
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    print(connection.recv(100))
service.join()
