"""A server that reads a part of the question and closes."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"a question that is too long for the server\n")
print(server.recv(10))
server.close()  # the rest is unread: a reset instead of an answer
try:
    print(client.recv(100))
except ConnectionResetError as error:
    print(error)
