"""A sender that sends little enough for this link, and sees it arrive."""

import socket

with socket.create_connection(("server", 7029)) as connection:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)
    connection.sendall(b"x" * 500)
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(100):
        pass
