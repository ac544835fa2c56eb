"""Adds an IPv6 address to an interface as a boot script does (rtnetlink(7): RTM_NEWADDR)."""

import socket
import struct


def add(interface: str, address: str, flags: int = 0) -> None:
    """``flags``: 0x02 leaves duplicate address detection out (IFA_F_NODAD)."""
    packed = socket.inet_pton(socket.AF_INET6, address)
    body = struct.pack("=BBBBI", socket.AF_INET6, 64, flags, 0, socket.if_nametoindex(interface))
    for kind in (1, 2):  # IFA_ADDRESS, IFA_LOCAL
        body += struct.pack("=HH", 4 + len(packed), kind) + packed
    header = struct.pack("=IHHII", 16 + len(body), 20, 0x605, 1, 0)  # REQUEST | ACK | CREATE | EXCL
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(header + body)
        code = struct.unpack_from("=i", route.recv(4096), 16)[0]
    if code:
        raise OSError(-code, "RTM_NEWADDR")
