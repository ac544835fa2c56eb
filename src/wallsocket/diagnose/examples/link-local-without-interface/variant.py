"""The same with a connection."""

import socket

try:
    socket.create_connection(("fe80::1", 9999), timeout=5)
except OSError as error:
    print(error)
