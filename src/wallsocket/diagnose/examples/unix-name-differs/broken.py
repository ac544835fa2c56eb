"""A server and a client that agree on an abstract name, but not on its length: the client pads it, as C programs do."""

import os
import socket

name = f"\0sensor-{os.getpid()}"
with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
    server.bind(name)
    server.listen()
    try:
        client.connect(name.ljust(107, "\0"))
    except ConnectionRefusedError as error:
        print("client:", error)
