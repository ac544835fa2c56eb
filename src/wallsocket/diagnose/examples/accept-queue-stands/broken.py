"""One client after the other: the second waits for the first, who has nothing to say."""

import os
import socket
import time


def serve(connection: socket.socket) -> None:
    with connection:
        while line := connection.recv(1000):
            connection.sendall(line)


listener = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    address = listener.getsockname()
    listener.close()
    clients = [socket.create_connection(address) for _ in range(3)]
    time.sleep(1)
    print("ready", flush=True)
    time.sleep(20)
    os._exit(0)
while True:
    connection, _ = listener.accept()
    serve(connection)
