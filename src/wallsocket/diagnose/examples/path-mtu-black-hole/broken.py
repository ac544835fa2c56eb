"""Small messages pass, and the first large one never arrives."""

import socket

with socket.create_connection(("server", 7000)) as client:
    client.sendall(b"hello\n")
    print(client.recv(100))
    client.sendall(bytes(5_000))
    while client.recv(100) != b"no report\n":
        pass
