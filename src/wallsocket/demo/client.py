"""Sends a letter and counts what comes back, as `nc -N 127.0.0.1 PORT < letter | wc -c` does."""

import contextlib
import socket
import sys
import time

port, size = int(sys.argv[1]), int(sys.argv[2])
while True:
    try:
        connection = socket.create_connection(("127.0.0.1", port))
        break
    except ConnectionRefusedError:  # the service starts at the same time
        time.sleep(0.02)
connection.sendall(b"dear reader, " * (size // 13) + b"." * (size % 13))
received = 0
with contextlib.suppress(OSError):  # nc says nothing either
    connection.shutdown(socket.SHUT_WR)
with contextlib.suppress(OSError):
    while data := connection.recv(4096):
        received += len(data)
connection.close()
print(received)
