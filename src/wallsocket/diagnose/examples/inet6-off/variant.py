"""A client that knows ::1 only."""

import socket

try:
    socket.create_connection(("::1", 6400), timeout=5)
except OSError as error:
    print(error)
