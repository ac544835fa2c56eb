"""bind, listen, accept."""

import socket

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
with socket.create_connection(server.getsockname()):
    connection, _ = server.accept()
    connection.close()
print("connected")
