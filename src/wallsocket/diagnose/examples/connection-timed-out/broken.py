"""A sender whose receiver is gone: the host no longer answers."""

import socket

with socket.create_connection(("server", 7029)) as connection:
    # As an impatient service would: give up after a second and a half, not after 15 minutes.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)
    try:
        connection.sendall(b"x" * 20_000)
        connection.recv(100)
    except OSError as error:
        print(error)
