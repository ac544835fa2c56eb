"""The client uses a port that the server's firewall drops."""

import socket

try:
    with socket.create_connection(("server", 6101), timeout=4) as connection:
        connection.sendall(b"k")
except OSError as error:
    print(error)
