"""The server is up."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.recv(100))


with socket.create_server(("127.0.0.1", 50000)) as listener:
    server = threading.Thread(target=serve, args=(listener,))
    server.start()
    with socket.create_connection(("127.0.0.1", 50000), timeout=5) as connection:
        connection.sendall(b"hello")
        print(connection.recv(100))
    server.join()
