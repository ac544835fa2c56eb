"""Sends a numbered line for each line on its standard input, over a pair of sockets: it does nothing by itself."""

from __future__ import annotations

import socket
import sys

one, other = socket.socketpair()
for number, _ in enumerate(sys.stdin):
    one.sendall(f"tick {number}\n".encode())
    print(other.recv(100).decode(), end="", flush=True)
