"""The same beacon, and a look beforehand whether there is IPv6 at all: that socket is not meant to be kept."""

import socket

socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
with (
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beacon,
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hears,
):
    hears.bind(("127.0.0.1", 7124))
    beacon.sendto(b"here", ("127.0.0.1", 7124))
    hears.recv(100)
