"""A client that writes the header and the body of each request by two calls."""

import os
import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
address = listener.getsockname()
if os.fork() == 0:
    connection, _ = listener.accept()
    stream = connection.makefile("rb")
    while request := stream.read(108):
        connection.sendall(request[:4])
    os._exit(0)
with socket.create_connection(address) as connection:
    begin = time.monotonic()
    for _ in range(20):
        connection.sendall(b"\0\0\0\0\0\0\0d")
        connection.sendall(b"x" * 100)
        connection.recv(4)
    print(round((time.monotonic() - begin) / 20 * 1000, 1), "ms per request")
os.wait()
