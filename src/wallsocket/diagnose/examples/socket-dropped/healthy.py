"""The helper returns the listener: it lives as long as somebody holds it."""

import socket


def listen():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


with listen() as listener, socket.create_connection(listener.getsockname()) as client:
    connection, _ = listener.accept()
    with connection:
        client.sendall(b"hello")
        print(connection.recv(100))
