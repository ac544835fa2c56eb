"""Two monitors ping at once; each reads on until its own reply comes."""

import ctypes
import fcntl
import os
import socket
import struct


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


OTHER = 4711
OWN = 815


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def request(identifier: int) -> bytes:
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
    return struct.pack("!BBHHH", 8, 0, checksum(head), identifier, 1)


def reply(pinger: socket.socket) -> tuple[int, int]:
    """Type and identifier of the next message that is no request."""
    while True:
        message = pinger.recv(1500)
        kind, identifier = message[20], struct.unpack_from("!H", message, 24)[0]
        if kind != 8:
            return kind, identifier


own_network()
pinger = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
pinger.settimeout(5)
# The first reply in the queue is that of the other program.
child = os.fork()
if child == 0:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as other:
        other.sendto(request(OTHER), ("127.0.0.1", 0))
        while reply(other)[1] != OTHER:
            pass
    os._exit(0)
os.waitpid(child, 0)
pinger.sendto(request(OWN), ("127.0.0.1", 0))
kind, identifier = reply(pinger)
while identifier != OWN:
    kind, identifier = reply(pinger)
print("alive: reply", identifier)
pinger.close()
