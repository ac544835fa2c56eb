"""A UDP datagram made by hand, whose IP header does not say that it is one."""

import ctypes
import fcntl
import socket
import struct

PORT = 26021
HERE = socket.inet_aton("127.0.0.1")


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


def packet(data: bytes) -> bytes:
    udp = struct.pack("!HHHH", 40078, PORT, 8 + len(data), 0) + data  # a checksum of 0: none was computed (RFC 768)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 0, 0, HERE, HERE) + udp


own_network()
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", PORT))
receiver.settimeout(0.5)
crafter = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
crafter.sendto(packet(b"hello"), ("127.0.0.1", 0))
try:
    print(receiver.recv(100))
except TimeoutError:
    print("nothing came")
