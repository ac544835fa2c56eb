"""A name is looked up at a server that says nothing."""

import socket
import struct
import sys
import threading


def question(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)


def look_up(name: str, server: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.settimeout(30)
        resolver.connect((server, 53))
        resolver.send(question(name))
        return resolver.recv(512)


# A resolver gives a server five seconds (resolv.conf(5)); it is to be seen when it has waited for some of them.
threading.Timer(6, print, ["ready"], {"flush": True}).start()
look_up("database.example", "silent")
sys.exit()
