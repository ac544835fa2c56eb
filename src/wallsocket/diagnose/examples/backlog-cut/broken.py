"""A server asks for a queue for 100,000 connections."""

import socket

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(100_000)
with socket.create_connection(listener.getsockname()) as client:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"ready for everybody\n")
        print(client.recv(100))
listener.close()
