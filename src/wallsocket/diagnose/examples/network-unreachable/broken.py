"""A report goes to a collector on a network to which this host has no route."""

import socket
import sys

collector = ("192.0.2.10", 8125)
try:
    with socket.create_connection(collector, timeout=5) as connection:
        connection.sendall(b"uptime 17\n")
except OSError as error:
    print(f"cannot report to {collector[0]}: {error}", file=sys.stderr)
