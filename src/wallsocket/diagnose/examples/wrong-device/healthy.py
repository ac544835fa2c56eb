"""The interface that leads to the store."""

import socket

with socket.socket() as connection:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    connection.connect(("server", 6100))
    connection.sendall(b"k")
    print(connection.recv(100))
