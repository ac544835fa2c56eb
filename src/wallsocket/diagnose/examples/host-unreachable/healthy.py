"""The old address is tried first, then the name, which leads to the store."""

import socket

for host in ("10.91.0.77", "server"):
    try:
        with socket.create_connection((host, 6100), timeout=20) as connection:
            connection.sendall(b"k")
            print(connection.recv(100))
            break
    except OSError as error:
        print(host, error)
