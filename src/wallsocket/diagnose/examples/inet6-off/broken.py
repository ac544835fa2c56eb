"""A service is configured for ::1 on a host without IPv6."""

import socket

with socket.socket(socket.AF_INET6) as listener:
    try:
        listener.bind(("::1", 6400))
        listener.listen()
    except OSError as error:
        print(error)
