"""A client that converts the port once too often: Python's connect does it already."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
client = socket.socket()
try:
    client.connect(("127.0.0.1", socket.htons(port)))
except ConnectionRefusedError as error:
    print(error, "on port", socket.htons(port))
client.close()
