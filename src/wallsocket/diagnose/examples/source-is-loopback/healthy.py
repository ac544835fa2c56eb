"""The kernel chooses the source address."""

import socket

with socket.create_connection(("server", 6100), timeout=5, source_address=("", 0)) as connection:
    connection.sendall(b"k")
    print(connection.recv(100))
