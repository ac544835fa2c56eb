"""Only small messages: they pass."""

import socket
import time

with socket.create_connection(("server", 7000)) as client:
    for _ in range(8):
        client.sendall(b"hello\n")
        client.recv(100)
        time.sleep(0.1)
