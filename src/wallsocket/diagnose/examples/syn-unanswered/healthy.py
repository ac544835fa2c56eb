"""The client uses the port that is open."""

import socket

with socket.create_connection(("server", 6100), timeout=4) as connection:
    connection.sendall(b"k")
    print(connection.recv(100))
