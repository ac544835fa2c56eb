"""A few messages over the same link: what is lost of them is sent again, and nobody notices."""

import socket

with socket.create_connection(("server", 7001)) as client:
    client.sendall(b"measurement\n" * 5)
    client.shutdown(socket.SHUT_WR)
    print(client.recv(100))
