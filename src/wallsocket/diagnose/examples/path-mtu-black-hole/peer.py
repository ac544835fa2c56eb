"""Greets, says now and then that it is there, and takes what comes."""

import contextlib
import socket
import threading
import time

listener = socket.create_server(("", 7000))
print("ready", flush=True)
connection, _ = listener.accept()


def beat() -> None:
    with contextlib.suppress(OSError):
        for _ in range(10):
            connection.sendall(b"tick\n")
            time.sleep(0.4)
        connection.sendall(b"no report\n")


threading.Thread(target=beat, daemon=True).start()
with connection, contextlib.suppress(OSError):
    while connection.recv(65536):
        pass
