"""A handshake made by hand: the kernel knows nothing of it and resets it."""

import ctypes
import fcntl
import socket
import struct

PORT, OWN_PORT = 26017, 40077
SYN, ACK = 0x02, 0x10
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


def segment(sequence: int, acknowledgement: int, flags: int) -> bytes:
    head = struct.pack("!HHIIBBHHH", OWN_PORT, PORT, sequence, acknowledgement, 5 << 4, flags, 65535, 0, 0)
    pseudo = HERE + HERE + struct.pack("!HH", 6, len(head))
    return head[:16] + struct.pack("!HH", checksum(pseudo + head), 0)


own_network()
listener = socket.create_server(("127.0.0.1", PORT))
crafter = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
crafter.settimeout(5)
crafter.sendto(segment(1000, 0, SYN), ("127.0.0.1", 0))
while True:
    answer = crafter.recv(100)[20:]
    if struct.unpack_from("!HH", answer) == (PORT, OWN_PORT) and answer[13] == SYN | ACK:
        break
crafter.sendto(segment(1001, struct.unpack_from("!I", answer, 4)[0] + 1, ACK), ("127.0.0.1", 0))
listener.settimeout(0.5)
try:
    print("accepted", listener.accept()[1])
except TimeoutError:
    print("never accepted")
