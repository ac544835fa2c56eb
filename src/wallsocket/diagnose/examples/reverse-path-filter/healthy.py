"""A collector in two networks: the way back to the sender is the way it comes."""

import ctypes
import os
import socket
import subprocess

PORT = 26013
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


own_network()
ready, told = os.pipe()
go, start = os.pipe()
child = os.fork()
if child == 0:
    # Another host, which sends from an address of its second network.
    ctypes.CDLL(None).unshare(NEW_NETWORK)
    os.write(told, b"1")
    os.read(go, 1)
    ip("addr add 10.9.0.9/32 dev lo")
    ip("link set lo up")
    ip("addr add 10.7.0.2/24 dev far0")
    ip("link set far0 up")
    # The filter would leave our question for its hardware address unanswered as well.
    ip("neigh add 10.7.0.1 lladdr 02:00:00:00:00:01 dev far0")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("10.9.0.9", 0))
    for _ in range(3):
        sender.sendto(b"a measurement", ("10.7.0.1", PORT))
    os._exit(0)
os.read(ready, 1)
ip(f"link add eth0 address 02:00:00:00:00:01 type veth peer name far0 netns {child} address 02:00:00:00:00:02")
ip("link add eth1 type veth peer name far1")
for name, address in (("eth0", "10.7.0.1/24"), ("eth1", "10.8.0.1/24")):
    ip(f"addr add {address} dev {name}")
    ip(f"link set {name} up")
ip("route add 10.9.0.0/24 dev eth0")
for name in ("all", "eth0"):
    with open(f"/proc/sys/net/ipv4/conf/{name}/rp_filter", "w") as setting:
        setting.write("1")
collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
collector.bind(("", PORT))
collector.settimeout(10)
os.write(start, b"1")
try:
    print(collector.recv(100))
except TimeoutError:
    print("nothing came")
os.waitpid(child, 0)
