"""Half a megabyte over a link that loses six frames in a hundred."""

import socket

with socket.create_connection(("server", 7000)) as client:
    client.sendall(bytes(600_000))
    client.shutdown(socket.SHUT_WR)
    print(client.recv(100))
