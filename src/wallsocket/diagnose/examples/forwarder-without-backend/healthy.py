"""The server behind the forwarder is there."""

import os
import socket
import tempfile
import threading


def serve(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(connection.recv(100))


def forward(listener: socket.socket, behind: str) -> None:
    client, _ = listener.accept()
    with client, socket.socket(socket.AF_UNIX) as server:
        server.connect(behind)
        server.sendall(client.recv(100))
        client.sendall(server.recv(100))


folder = tempfile.mkdtemp()
behind = os.path.join(folder, "app.sock")
backend = socket.socket(socket.AF_UNIX)
backend.bind(behind)
backend.listen()
listener = socket.create_server(("127.0.0.1", 0))
threads = [threading.Thread(target=serve, args=(backend,)), threading.Thread(target=forward, args=(listener, behind))]
for thread in threads:
    thread.start()
with socket.create_connection(listener.getsockname()) as client:
    client.sendall(b"question")
    print(client.recv(100))
for thread in threads:
    thread.join()
listener.close()
backend.close()
os.unlink(behind)
os.rmdir(folder)
