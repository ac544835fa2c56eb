"""Each connection is closed when its end was read; an idle one that is still open is no leak."""

import socket
import time

listener = socket.create_server(("127.0.0.1", 0))
for _ in range(5):
    client = socket.create_connection(listener.getsockname())
    connection, _ = listener.accept()
    client.sendall(b"hello\n")
    client.close()
    with connection:
        while connection.recv(1024):
            pass
idle = socket.create_connection(listener.getsockname())
connection, _ = listener.accept()
time.sleep(1.5)
connection.close()
idle.close()
print("all closed")
