"""A firewall that says that the port is prohibited."""

import socket

with socket.socket() as connection:
    connection.settimeout(10)
    try:
        connection.connect(("server", 6102))
    except OSError as error:
        print(error)
