"""One connection for all requests."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while connection.recv(100):
            connection.sendall(b"value")


listener = socket.create_server(("127.0.0.1", 6200))
server = threading.Thread(target=serve, args=(listener,))
server.start()
with socket.create_connection(("127.0.0.1", 6200)) as connection:
    for number in range(40):
        connection.sendall(b"key %d" % number)
        connection.recv(100)
server.join()
listener.close()
