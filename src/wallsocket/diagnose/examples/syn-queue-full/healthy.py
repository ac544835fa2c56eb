"""A queue that is long enough for many handshakes that nobody finishes."""

import socket

listener = socket.create_server(("", 7000), backlog=256)
listener.settimeout(2)
served = 0
try:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"hello\n")
            connection.recv(1)
        served += 1
except TimeoutError:
    print(served, "clients served")
listener.close()
