"""The socket may use one interface, the store is behind another one."""

import socket

with socket.socket() as connection:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    connection.settimeout(4)
    try:
        connection.connect(("server", 6100))
    except OSError as error:
        print(error)
