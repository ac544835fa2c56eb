"""A server that is busy and does not accept, with a short queue, while many clients come."""

import socket
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=1)
clients = []
for _ in range(8):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(listener.getsockname())
    clients.append(client)
time.sleep(1.5)  # the server's other work
accepted = 0
listener.settimeout(0.2)
try:
    while True:
        connection, _ = listener.accept()
        accepted += 1
        connection.close()
except TimeoutError:
    print(accepted, "of 8 clients were accepted in time")
for client in clients:
    client.close()
