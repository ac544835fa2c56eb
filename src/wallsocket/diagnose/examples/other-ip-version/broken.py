"""A server for IPv4 only, and a client that takes the first address of localhost: ::1."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket(socket.AF_INET6)
try:
    client.connect(("::1", listener.getsockname()[1]))
except OSError as error:
    print(error)
client.close()
