"""Metrics go to a port that is allowed, where the store listens."""

import socket

with socket.create_connection(("server", 6100)) as metrics:
    metrics.sendall(b"hits:1|c")
    metrics.recv(100)
