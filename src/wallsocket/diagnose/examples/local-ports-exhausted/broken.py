"""A connection for each request: the old ones are in TIME_WAIT and keep their ports."""

import socket
import threading


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(100) == b"end":
                return
            connection.sendall(b"value")
            connection.recv(1)


listener = socket.create_server(("127.0.0.1", 6200))
server = threading.Thread(target=serve, args=(listener,), daemon=True)
server.start()
try:
    for number in range(40):
        with socket.create_connection(("127.0.0.1", 6200)) as connection:
            connection.sendall(b"key %d" % number)
            connection.recv(100)
except OSError as error:
    print(number, error)
listener.close()
