"""The name leads to where the store is now."""

import socket

with socket.create_connection(("server", 6100), timeout=20) as connection:
    connection.sendall(b"k")
    print(connection.recv(100))
