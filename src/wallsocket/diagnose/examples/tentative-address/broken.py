"""A service starts right after its address was added."""

import socket

from address import add

add("eth0", "fd00:6::5")
with socket.socket(socket.AF_INET6) as listener:
    try:
        listener.bind(("fd00:6::5", 6300))
        listener.listen()
    except OSError as error:
        print(error)
