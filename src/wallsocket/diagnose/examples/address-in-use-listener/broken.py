"""The server is started twice."""

import socket

first = socket.create_server(("127.0.0.1", 0))
second = socket.socket()
second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    second.bind(first.getsockname())
except OSError as error:
    print(error)
second.close()
