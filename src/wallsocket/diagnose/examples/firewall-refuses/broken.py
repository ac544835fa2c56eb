"""The store's port is closed in the firewall of its host."""

import socket

try:
    socket.create_connection(("server", 6101), timeout=10)
except OSError as error:
    print(error)
