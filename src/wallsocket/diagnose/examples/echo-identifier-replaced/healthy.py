"""A ping without privilege that knows its reply by sequence number and data."""

import ctypes
import fcntl
import os
import socket
import struct


def own_network() -> None:
    """Go into a network of our own, whose group 0 may open ICMP sockets (icmp(7)), and set its loopback up."""
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    for file, text in (
        ("/proc/self/setgroups", "deny"),
        ("/proc/self/uid_map", f"0 {user} 1"),
        ("/proc/self/gid_map", f"0 {group} 1"),
        ("/proc/sys/net/ipv4/ping_group_range", "0 0"),
    ):
        with open(file, "w") as setting:
            setting.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


own_network()
pinger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
pinger.settimeout(5)
for number in range(1, 3):
    pinger.sendto(struct.pack("!BBHHH", 8, 0, 0, 0, number) + b"how are you?", ("127.0.0.1", 0))
    while True:
        message = pinger.recv(1500)
        if struct.unpack_from("!H", message, 6)[0] == number and message[8:] == b"how are you?":
            print("reply", number)
            break
