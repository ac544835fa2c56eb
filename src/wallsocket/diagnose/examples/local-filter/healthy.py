"""Metrics go to a port that is allowed."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as metrics:
    metrics.sendto(b"hits:1|c", ("server", 8126))
