"""The monitor opens its socket first and gives its privileges away afterwards."""

import ctypes
import fcntl
import socket
import struct

NOTHING = struct.pack("=6I", 0, 0, 0, 0, 0, 0)


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


def drop_privileges() -> None:
    """Keep no capability: capset(2) with three empty sets."""
    header = struct.pack("=Ii", 0x20080522, 0)
    if ctypes.CDLL(None).capset(header, NOTHING) != 0:
        raise OSError("capset")


own_network()
probe = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
drop_privileges()
print("ready to ping, without privileges")
probe.close()
