"""Sends a file of 300,000 bytes to whoever comes."""

import socket

listener = socket.create_server(("", 7000))
print("ready", flush=True)
connection, _ = listener.accept()
with connection:
    connection.recv(100)
    connection.sendall(bytes(300_000))
