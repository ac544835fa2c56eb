"""The store has two addresses; the first one is dead, and has a limit of two seconds."""

import socket

for host in ("10.91.0.20", "server"):
    try:
        with socket.create_connection((host, 6100), timeout=2) as connection:
            connection.sendall(b"k")
            print(host, connection.recv(100))
            break
    except OSError as error:
        print(host, error)
