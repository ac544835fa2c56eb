"""Metrics go to a port that the host's own firewall forbids."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as metrics:
    try:
        metrics.sendto(b"hits:1|c", ("server", 8125))
    except OSError as error:
        print(error)
