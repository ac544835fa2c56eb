"""The queue has room for everybody who comes while the server is busy."""

import socket
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=16)
clients = []
for _ in range(8):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    clients.append(client)
time.sleep(0.3)  # the server's other work
accepted = 0
for _ in range(8):
    connection, _ = listener.accept()
    accepted += 1
    connection.close()
print(accepted, "of 8 clients were accepted in time")
for client in clients:
    client.close()
