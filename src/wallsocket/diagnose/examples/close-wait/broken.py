"""A server that forgets to close: each client that leaves stays behind as a socket in CLOSE_WAIT."""

import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
forgotten = []
for _ in range(5):
    client = socket.create_connection(listener.getsockname())
    connection, _ = listener.accept()
    client.sendall(b"hello\n")
    client.close()
    while connection.recv(1024):
        pass
    forgotten.append(connection)
time.sleep(1.5)
print(len(forgotten), "sockets are still open")
