"""The peer is there and has acknowledged what was sent; the program waits for its answer, for some time at most."""

import socket

with socket.create_connection(("server", 7000)) as connection:
    connection.sendall(b"how are you?")
    connection.recv(100)
    connection.sendall(b"how warm is it?")
    connection.settimeout(20)
    print("ready", flush=True)
    connection.recv(100)
