"""The same server reads to the end before it closes."""

import socket

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"a question that is not too long for the server\n")
client.shutdown(socket.SHUT_WR)
while server.recv(10):
    pass
server.sendall(b"an answer\n")
server.close()
print(client.recv(100))
client.close()
