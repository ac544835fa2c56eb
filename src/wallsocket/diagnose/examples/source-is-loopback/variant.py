"""The same with datagrams."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as metrics:
    metrics.bind(("127.0.0.1", 0))
    try:
        metrics.sendto(b"hits:1|c", ("server", 8125))
    except OSError as error:
        print(error)
