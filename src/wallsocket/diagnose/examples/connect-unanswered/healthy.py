"""The server answers; the connection rests."""

import socket
import time

with socket.create_connection(("server", 7000)) as client:
    client.sendall(b"how are you?")
    client.recv(100)
    print("ready", flush=True)
    time.sleep(20)
