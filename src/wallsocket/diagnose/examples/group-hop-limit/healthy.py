"""A sender lets its group pass eight routers; whether they do is theirs to say."""

import ctypes
import os
import socket
import subprocess

GROUP, PORT = "239.6.0.1", 26014
NEW_NETWORK = 0x40000000


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


def host(network: str) -> None:
    ip("link add eth0 type veth peer name far0")
    ip("link set far0 up")
    ip(f"addr add {network} dev eth0")
    ip("link set eth0 up")


own_network()
ready, told = os.pipe()
go, start = os.pipe()
child = os.fork()
if child == 0:
    # A host behind a router, which passes groups on to its network.
    ctypes.CDLL(None).unshare(NEW_NETWORK)
    host("10.12.0.1/24")
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("", PORT))
    receiver.setsockopt(
        socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton("10.12.0.1")
    )
    receiver.settimeout(1)
    os.write(told, b"1")
    try:
        print(receiver.recv(100))
    except TimeoutError:
        print("nothing came")
    os._exit(0)
host("10.11.0.1/24")
os.read(ready, 1)
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.11.0.1"))
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
sender.sendto(b"to all members", (GROUP, PORT))
os.waitpid(child, 0)
