"""A sender switches looping off so as not to hear itself; another program on its host hears nothing either."""

import ctypes
import os
import socket
import subprocess

GROUP, PORT = "239.5.0.1", 26011


def own_network() -> None:
    """Go into a network of our own, as its root: unshare(2), user_namespaces(7)."""
    user = os.getuid()
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with open("/proc/self/uid_map", "w") as setting:
        setting.write(f"0 {user} 1")
    ip("link set lo up")


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


own_network()
ip("link add eth0 type veth peer name far0")
ip("link set far0 up")
ip("addr add 10.5.0.1/24 dev eth0")
ip("link set eth0 up")
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", PORT))
receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton("10.5.0.1"))
receiver.settimeout(0.5)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.5.0.1"))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
sender.sendto(b"is anybody here?", (GROUP, PORT))
try:
    print(receiver.recv(100))
except TimeoutError:
    print("nobody heard it")
