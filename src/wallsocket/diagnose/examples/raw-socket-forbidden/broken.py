"""A monitor that gives its privileges away before it opens the socket that needs them."""

import ctypes
import socket
import struct

NOTHING = struct.pack("=6I", 0, 0, 0, 0, 0, 0)


def drop_privileges() -> None:
    """Keep no capability: capset(2) with three empty sets."""
    header = struct.pack("=Ii", 0x20080522, 0)
    if ctypes.CDLL(None).capset(header, NOTHING) != 0:
        raise OSError("capset")


drop_privileges()
try:
    probe = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
except PermissionError as error:
    print("cannot ping:", error)
else:
    probe.close()
