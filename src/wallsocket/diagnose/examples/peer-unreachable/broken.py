"""The peer's host is cut off in the middle of a connection: what is sent is repeated, and nobody answers."""

import os
import socket
import time


def tell_when_ready(after_s: float) -> None:
    if os.fork() == 0:
        time.sleep(after_s)
        print("ready", flush=True)
        os._exit(0)


tell_when_ready(4)
with socket.create_connection(("server", 7000)) as connection:
    connection.sendall(b"leave")
    connection.recv(100)
    connection.sendall(b"now")
    time.sleep(0.5)
    connection.sendall(b"how warm is it?")
    connection.settimeout(20)
    connection.recv(100)
