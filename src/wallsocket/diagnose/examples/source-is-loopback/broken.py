"""The source address comes from a configuration made for one machine."""

import socket

try:
    with socket.create_connection(("server", 6100), timeout=5, source_address=("127.0.0.1", 0)) as connection:
        connection.sendall(b"k")
except OSError as error:
    print(error)
