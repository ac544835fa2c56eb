"""The address of a neighbour without its interface."""

import socket

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
    try:
        probe.sendto(b"who are you?", ("fe80::1", 9999))
    except OSError as error:
        print(error)
