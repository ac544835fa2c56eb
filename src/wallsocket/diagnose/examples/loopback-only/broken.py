"""A server on 127.0.0.1, and a client that uses the host's name, which Debian gives the address 127.0.1.1."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
try:
    client.connect(("127.0.1.1", listener.getsockname()[1]))
except ConnectionRefusedError as error:
    print(error)
client.close()
