"""The port is open."""

import socket

with socket.create_connection(("server", 6100), timeout=10) as connection:
    connection.sendall(b"k")
    print(connection.recv(100))
