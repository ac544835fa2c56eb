"""The body is read through the same buffered reader as the header."""

import socket
import threading

listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection, _ = listener.accept()
    reader = connection.makefile("rb")
    length = int(reader.readline())
    body = reader.read(length)
    connection.sendall(b"stored %d bytes" % len(body))
    reader.close()
    connection.close()


service = threading.Thread(target=serve)
service.start()
with socket.create_connection(listener.getsockname(), timeout=10) as connection:
    connection.sendall(b"20\n" + b"x" * 20)
    print(connection.recv(100))
service.join()
