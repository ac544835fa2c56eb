"""A client tries a server that is not up, on a port that the kernel gives to connections, until it is connected."""

import socket

for attempt in range(100):
    try:
        with socket.create_connection(("127.0.0.1", 50000), timeout=5) as connection:
            connection.sendall(b"hello")
            print(attempt, connection.recv(100))
            break
    except ConnectionRefusedError:
        continue
