"""A server on all addresses."""

import socket

listener = socket.create_server(("", 0))
with socket.create_connection(("127.0.1.1", listener.getsockname()[1])):
    connection, address = listener.accept()
    connection.close()
print("connected from", address[0])
