"""Datagrams made by hand, with the checksum over the pseudo-header as well."""

import ctypes
import fcntl
import socket
import struct

PORT = 26018
HERE = socket.inet_aton("127.0.0.1")


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def datagram(data: bytes) -> bytes:
    head = struct.pack("!HHHH", 40078, PORT, 8 + len(data), 0)
    return (
        head[:6] + struct.pack("!H", checksum(HERE + HERE + struct.pack("!HH", 17, 8 + len(data)) + head + data)) + data
    )


own_network()
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", PORT))
receiver.settimeout(5)
crafter = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
for number in range(3):
    crafter.sendto(datagram(b"value %d." % number), ("127.0.0.1", 0))
try:
    print(receiver.recv(100))
except TimeoutError:
    print("nothing came")
