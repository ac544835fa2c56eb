"""The store has moved: nobody has its old address any more."""

import socket

try:
    with socket.create_connection(("10.91.0.77", 6100), timeout=20) as connection:
        connection.sendall(b"k")
        print(connection.recv(100))
except OSError as error:
    print(error)
