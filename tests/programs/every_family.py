"""Sends the words of its first argument, repeated, through every kind of socket that this user may make, and says which."""

import os
import socket
import struct
import sys
from collections.abc import Callable

SECRET = sys.argv[1].encode()
FRONT = b"." * int(sys.argv[2] if len(sys.argv) > 2 else 0)  # a harmless beginning of each call
SMALL = FRONT + SECRET * 3
LARGE = FRONT + SECRET * 2500 if not FRONT else SMALL

IP_RECVERR, IP_RETOPTS, IPV6_HOPOPTS, UDP_SEGMENT, TCP_FASTOPEN, MSG_FASTOPEN = 11, 7, 54, 103, 23, 0x20000000


def receive(end: socket.socket, size: int) -> None:
    while size > 0:
        got = len(end.recv(1 << 20))
        if not got:
            return
        size -= got


def stream(family: int, address: str) -> None:
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        server, _ = listener.accept()
    with client, server:
        for data in (SMALL, LARGE, SMALL):
            client.sendall(data)
            receive(server, len(data))
        client.sendmsg([SMALL[:10], SMALL[10:]])
        server.recvmsg(len(SMALL))
        os.write(client.fileno(), SMALL)
        os.read(server.fileno(), 1 << 16)
        os.writev(client.fileno(), [SMALL, SMALL] if not FRONT else [SMALL])
        os.readv(server.fileno(), [bytearray(10), bytearray(1 << 16)])
        client.send(SMALL)  # stays unread: the end is a reset


def fast_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 5)
        for _ in range(2):
            with socket.socket() as client:
                client.sendto(SMALL, MSG_FASTOPEN, listener.getsockname())
                server, _ = listener.accept()
                with server:
                    receive(server, len(SMALL))


def datagrams(family: int, address: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as to, socket.socket(family, socket.SOCK_DGRAM) as out:
        to.bind((address, 0))
        if family == socket.AF_INET6 and os.geteuid() == 0:
            out.setsockopt(socket.IPPROTO_IPV6, IPV6_HOPOPTS, b"\x00\x00\x1e\x04" + SECRET[:4])
        for data in (SMALL, LARGE):
            out.sendto(data, to.getsockname())
            to.recv(1 << 16)
        if not FRONT:
            # Cut into pieces by the kernel: of each the first bytes are kept.
            out.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 50)
            out.sendto(LARGE[:500], to.getsockname())
            for _ in range(10):
                to.recv(1 << 16)


def refused_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        out.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        out.connect(("127.0.0.1", port))
        out.send(SMALL)
        out.settimeout(5)
        try:
            out.recv(1)
        except ConnectionRefusedError:
            out.recvmsg(1 << 16, 1 << 12, socket.MSG_ERRQUEUE)


def dns_question() -> None:
    name = b"".join(bytes([len(SECRET)]) + SECRET for _ in range(2)) + b"\0"
    question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + name + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(FRONT + question, ("127.0.0.1", 53))


def tls_and_http() -> None:
    name = SECRET
    server_name = struct.pack("!HBH", len(name) + 3, 0, len(name)) + name
    extension = struct.pack("!HH", 0, len(server_name)) + server_name
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack("!H", len(extension)) + extension
    hello = b"\1" + struct.pack("!I", len(body))[1:] + body
    for data in (b"\x16\3\1" + struct.pack("!H", len(hello)) + hello, b"GET /" + SECRET + b" HTTP/1.1\r\n\r\n"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            with client, server:
                client.sendall(FRONT + data)
                receive(server, len(FRONT + data))


def unix_sockets() -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        with one, other:
            one.send(SMALL)
            other.recv(1 << 16)
            one.sendmsg([SMALL], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", 1))])
            _, control, _, _ = other.recvmsg(1 << 16, 64)
            for _, _, descriptors in control:
                os.close(struct.unpack("i", descriptors[:4])[0])


def raw(protocol: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as out:
        out.sendto(SMALL, ("127.0.0.1", 0))


def written_headers() -> None:
    addresses = b"\x7f\0\0\1" * 2
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 255) as out:
        options = b"\x44\x28\x29\x00" + (SECRET * 3)[:36]
        head = struct.pack("!BBHHHBBH", 0x4F, 0, 60 + len(SECRET), 1, 0, 64, 17, 0) + addresses + options
        out.sendto(head + SECRET, ("127.0.0.1", 0))
        segment = struct.pack("!HHIIBBHHH", 1, 9, 1, 1, 0xF0, 2, 100, 0, 0) + (SECRET * 3)[:40] + SECRET
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0) + addresses
        out.sendto(head + segment, ("127.0.0.1", 0))


def packets() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as out:
        out.bind(("lo", 0))
        for kind in (b"\x88\xb5", b"\x81\0\0\5\x88\xb6", b"\x08\x06", b"\x08\0", b"\x86\xdd"):
            out.send(bytes(12) + kind + SECRET * 3)
        out.send(SECRET * 2)


def options() -> None:
    with socket.socket() as one:
        one.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, (b"\x44\x28\x05\x00" + SECRET * 2)[:40])


WAYS: dict[str, Callable[[], None]] = {
    "tcp": lambda: stream(socket.AF_INET, "127.0.0.1"),
    "tcp6": lambda: stream(socket.AF_INET6, "::1"),
    "fast open": fast_open,
    "udp": lambda: datagrams(socket.AF_INET, "127.0.0.1"),
    "udp6": lambda: datagrams(socket.AF_INET6, "::1"),
    "refused": refused_datagram,
    "dns": dns_question,
    "tls, http": tls_and_http,
    "unix": unix_sockets,
    **{f"raw {protocol}": lambda protocol=protocol: raw(protocol) for protocol in (1, 6, 17, 47, 50, 132, 253)},  # type: ignore[misc]
    "written headers": written_headers,
    "packet": packets,
    "options": options,
}

for name, way in WAYS.items():
    # What puts the words into headers, or more than one message into a call, has no "first bytes" of its own.
    if FRONT and name in ("written headers", "packet", "options"):
        continue
    try:
        way()
        print(name)
    except OSError as error:
        print(f"not {name}: {error}")
