"""Measurements go to a collector that has the port; it never answers, and need not."""

import socket

with (
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector,
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
):
    collector.bind(("127.0.0.1", 28125))
    collector.settimeout(5)
    for number in range(5):
        sender.sendto(b"temperature %d" % number, ("127.0.0.1", 28125))
    for _ in range(5):
        print(collector.recv(100))
