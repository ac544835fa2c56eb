"""The server says that it ends."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"hello\n")
print(server.recv(100))
server.close()
print(client.recv(100))  # the end was told: nothing more is sent
client.close()
