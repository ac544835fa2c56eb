"""The same server, which serves whom it has let in before it leaves."""

import socket

listener = socket.create_server(("127.0.0.1", 7025), backlog=16)
clients = [socket.create_connection(("127.0.0.1", 7025)) for _ in range(4)]
for client in clients:
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
for _ in clients:
    accepted, _ = listener.accept()
    accepted.recv(1024)
    accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
    accepted.close()
listener.close()
for client in clients:
    with client:
        while client.recv(1024):
            pass
