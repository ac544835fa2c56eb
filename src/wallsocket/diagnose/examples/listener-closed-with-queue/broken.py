"""A server that is restarted while clients stand in its accept queue."""

import socket

listener = socket.create_server(("127.0.0.1", 7025), backlog=16)
clients = [socket.create_connection(("127.0.0.1", 7025)) for _ in range(4)]
for client in clients:
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
accepted, _ = listener.accept()
accepted.recv(1024)
accepted.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")
accepted.close()
listener.close()
for number, client in enumerate(clients):
    with client:
        try:
            while client.recv(1024):
                pass
        except ConnectionResetError as error:
            print(f"client {number}: {error}")
