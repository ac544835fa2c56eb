"""A sniffer that asks for ETH_P_ALL in the order of the machine: it hears nothing."""

import ctypes
import fcntl
import socket
import struct


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


ETH_P_ALL = 0x0003

own_network()
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_ALL)
sniffer.settimeout(0.5)
with (
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
):
    receiver.bind(("127.0.0.1", 0))
    sender.sendto(b"is anybody listening?", receiver.getsockname())
    print(receiver.recv(100))
try:
    print(len(sniffer.recv(65535)), "bytes seen")
except TimeoutError:
    print("no packet seen")
