"""A report of 4,000 bytes on a path that lets only first fragments pass, as many filters do."""

import ctypes
import os
import socket
import struct
import subprocess

PORT = 26019
NEW_NETWORK = 0x40000000
ETH_P_IP = 0x0800


def own_network() -> None:
    """Go into a network of our own, as its root: unshare(2), user_namespaces(7)."""
    user = os.getuid()
    if ctypes.CDLL(None).unshare(0x10000000 | NEW_NETWORK) != 0:
        raise OSError("unshare")
    with open("/proc/self/uid_map", "w") as setting:
        setting.write(f"0 {user} 1")


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def start(told: int, go: int) -> int:
    """Fork into another network; the child goes on when it is told."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).unshare(NEW_NETWORK)
        os.write(told, b"1")
        os.read(go, 1)
    return child


own_network()
ready, told = os.pipe()
go, begin = os.pipe()
child = start(told, go)
if child == 0:
    ip("addr add 10.13.0.2/24 dev far0")
    ip("link set far0 up")
    ip("neigh add 10.13.0.1 lladdr 02:00:00:00:00:01 dev far0")
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"r" * 4000, ("10.13.0.1", PORT))
    sender.sendto(b"r" * 4000, ("10.13.0.1", PORT))
    os.write(told, b"1")
    os.read(go, 1)
    os._exit(0)
os.read(ready, 1)
# eth0 is the host's, wan0 and far0 the path to the sender; this program is the filter between wan0 and lan0.
ip(f"link add wan0 type veth peer name far0 netns {child}")
ip("link add lan0 type veth peer name eth0 address 02:00:00:00:00:01")
for name in ("wan0", "lan0", "eth0"):
    ip(f"link set {name} up")
ip("addr add 10.13.0.1/24 dev eth0")
with open("/proc/sys/net/ipv4/ipfrag_time", "w") as setting:
    setting.write("1")
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("", PORT))
receiver.settimeout(2.5)
wan = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
wan.bind(("wan0", ETH_P_IP))
wan.settimeout(0.5)
lan = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
lan.bind(("lan0", 0))
os.write(begin, b"1")
# Until it has sent; its network ends with it, and the path too.
os.read(ready, 1)
try:
    while True:
        frame = wan.recv(2000)
        if struct.unpack_from("!H", frame, 20)[0] & 0x1FFF == 0:
            lan.send(frame)
except TimeoutError:
    pass
try:
    print(len(receiver.recv(65535)), "bytes")
except TimeoutError:
    print("no report")
os.write(begin, b"1")
os.waitpid(child, 0)
