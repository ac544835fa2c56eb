"""The address is used at once, as nobody else can have it."""

import socket

from address import add

add("eth0", "fd00:6::5", flags=0x02)
with socket.socket(socket.AF_INET6) as listener:
    listener.bind(("fd00:6::5", 6300))
    listener.listen()
