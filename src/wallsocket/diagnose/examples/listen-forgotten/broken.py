"""A server that binds and forgets to listen."""

import socket

server = socket.socket()
server.bind(("127.0.0.1", 0))
client = socket.socket()
try:
    client.connect(server.getsockname())
except ConnectionRefusedError as error:
    print(error)
client.close()
