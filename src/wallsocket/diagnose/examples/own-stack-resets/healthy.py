"""A raw socket that watches the handshake which a socket of the kernel makes."""

import ctypes
import fcntl
import socket
import struct

PORT = 26017
SYN, ACK = 0x02, 0x10


def own_network() -> None:
    """Go into a network of our own, where we may open raw sockets: unshare(2), and its loopback up (netdevice(7))."""
    if ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) != 0:
        raise OSError("unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"lo", 1))


own_network()
watcher = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
watcher.settimeout(5)
with socket.create_server(("127.0.0.1", PORT)) as listener, socket.create_connection(("127.0.0.1", PORT)) as client:
    server, _ = listener.accept()
    while True:
        segment = watcher.recv(100)[20:]
        if struct.unpack_from("!H", segment)[0] == PORT and segment[13] == SYN | ACK:
            break
    client.shutdown(socket.SHUT_WR)
    print("answered:", server.recv(10) == b"")
    server.close()
