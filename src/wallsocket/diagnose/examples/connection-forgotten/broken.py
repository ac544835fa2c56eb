"""The server's host has forgotten the connection."""

import socket
import time

TCP_REPAIR = 19  # closing a socket in this mode tells nobody: as when the host loses its power

listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
client.sendall(b"hello\n")
print(server.recv(100))
server.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
server.close()
time.sleep(1.5)
try:
    client.sendall(b"are you still there?\n")
    print(client.recv(100))
except ConnectionResetError as error:
    print(error)
