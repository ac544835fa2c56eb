"""A person types: single bytes come, and each is awaited."""

import socket
import threading
import time


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while key := connection.recv(1):
            connection.sendall(key)  # the echo


listener = socket.create_server(("127.0.0.1", 0))
server = threading.Thread(target=serve, args=(listener,))
server.start()
with socket.create_connection(listener.getsockname()) as client:
    echo = []
    for _ in range(250):
        client.sendall(b"x")
        echo.append(client.recv(1))
        time.sleep(0.001)
    print(len(echo), "keys")
server.join()
listener.close()
