"""Measurements go to a port on which no collector listens; sendto says that all is well."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    for number in range(5):
        sender.sendto(b"temperature %d" % number, ("127.0.0.1", 28125))
print("5 measurements sent")
