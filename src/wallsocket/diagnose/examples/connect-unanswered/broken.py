"""The server's host is cut off: connect gets no answer."""

import os
import socket
import time


def tell_when_ready(after_s: float) -> None:
    if os.fork() == 0:
        time.sleep(after_s)
        print("ready", flush=True)
        os._exit(0)


with socket.create_connection(("server", 7000)) as first:
    first.sendall(b"leave")
    first.recv(100)
    first.sendall(b"now")
    time.sleep(0.5)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
tell_when_ready(3.5)
with socket.create_connection(("server", 7000), timeout=20):
    time.sleep(20)
