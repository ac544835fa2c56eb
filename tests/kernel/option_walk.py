"""Reads and sets every option of the table on live sockets, and prints what happened as JSON.

Runs in a network namespace of its own, where it has every permission that the table speaks of.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import socket
import sys
from typing import Any

from wallsocket._core.kernel import get_option
from wallsocket.kernel import here, options

#: Values for options that cannot be read first. A group that nobody uses; the loopback is interface 1.
SOURCE = {"group": "232.1.1.1", "interface": "127.0.0.1", "source": "127.0.0.1"}
GROUP = {"interface": 1, "group": "239.1.2.3:0"}
GROUP6 = {"interface": 1, "group": "[ff15::1234]:0"}
GROUP_SOURCE = {"interface": 1, "group": "232.1.1.2:0", "source": "127.0.0.1:0"}
GROUP_SOURCE6 = {"interface": 1, "group": "[ff35::5]:0", "source": "[::1]:0"}
JOIN = {"group": "239.1.2.3", "address": "127.0.0.1", "interface": 1}
JOIN6 = {"group": "ff15::1234", "interface": 1}
RING = {"block_size": 4096, "block_count": 1, "frame_size": 2048, "frame_count": 2}
PROMISCUOUS = {"interface": 1, "type": 1}
#: Classic BPF: "ret #-1", as struct sock_fprog needs a pointer, is set by the test itself (test_filters).
SAMPLES: dict[str, list[tuple[str, Any]]] = {
    "SO_SNDBUFFORCE": [("SO_SNDBUFFORCE", 65536)],
    "SO_RCVBUFFORCE": [("SO_RCVBUFFORCE", 65536)],
    "SO_CNX_ADVICE": [("SO_CNX_ADVICE", 1)],
    "IP_ADD_MEMBERSHIP": [("IP_ADD_MEMBERSHIP", JOIN)],
    "IP_DROP_MEMBERSHIP": [("IP_ADD_MEMBERSHIP", JOIN), ("IP_DROP_MEMBERSHIP", JOIN)],
    "IP_ADD_SOURCE_MEMBERSHIP": [("IP_ADD_SOURCE_MEMBERSHIP", SOURCE)],
    "IP_DROP_SOURCE_MEMBERSHIP": [("IP_ADD_SOURCE_MEMBERSHIP", SOURCE), ("IP_DROP_SOURCE_MEMBERSHIP", SOURCE)],
    "IP_BLOCK_SOURCE": [("IP_ADD_MEMBERSHIP", {**JOIN, "group": "232.1.1.1"}), ("IP_BLOCK_SOURCE", SOURCE)],
    "IP_UNBLOCK_SOURCE": [
        ("IP_ADD_MEMBERSHIP", {**JOIN, "group": "232.1.1.1"}),
        ("IP_BLOCK_SOURCE", SOURCE),
        ("IP_UNBLOCK_SOURCE", SOURCE),
    ],
    "MCAST_JOIN_GROUP": [("MCAST_JOIN_GROUP", GROUP)],
    "MCAST_LEAVE_GROUP": [("MCAST_JOIN_GROUP", GROUP), ("MCAST_LEAVE_GROUP", GROUP)],
    "MCAST_JOIN_SOURCE_GROUP": [("MCAST_JOIN_SOURCE_GROUP", GROUP_SOURCE)],
    "MCAST_LEAVE_SOURCE_GROUP": [
        ("MCAST_JOIN_SOURCE_GROUP", GROUP_SOURCE),
        ("MCAST_LEAVE_SOURCE_GROUP", GROUP_SOURCE),
    ],
    "MCAST_BLOCK_SOURCE": [
        ("MCAST_JOIN_GROUP", {**GROUP, "group": "232.1.1.2:0"}),
        ("MCAST_BLOCK_SOURCE", GROUP_SOURCE),
    ],
    "MCAST_UNBLOCK_SOURCE": [
        ("MCAST_JOIN_GROUP", {**GROUP, "group": "232.1.1.2:0"}),
        ("MCAST_BLOCK_SOURCE", GROUP_SOURCE),
        ("MCAST_UNBLOCK_SOURCE", GROUP_SOURCE),
    ],
    "IPV6_ADD_MEMBERSHIP": [("IPV6_ADD_MEMBERSHIP", JOIN6)],
    "IPV6_DROP_MEMBERSHIP": [("IPV6_ADD_MEMBERSHIP", JOIN6), ("IPV6_DROP_MEMBERSHIP", JOIN6)],
    "IPV6_JOIN_ANYCAST": [("IPV6_JOIN_ANYCAST", {"group": "fd00::5", "interface": 1})],
    "IPV6_LEAVE_ANYCAST": [
        ("IPV6_JOIN_ANYCAST", {"group": "fd00::5", "interface": 1}),
        ("IPV6_LEAVE_ANYCAST", {"group": "fd00::5", "interface": 1}),
    ],
    "MCAST_JOIN_GROUP_IPV6": [("MCAST_JOIN_GROUP_IPV6", GROUP6)],
    "MCAST_LEAVE_GROUP_IPV6": [("MCAST_JOIN_GROUP_IPV6", GROUP6), ("MCAST_LEAVE_GROUP_IPV6", GROUP6)],
    "MCAST_JOIN_SOURCE_GROUP_IPV6": [("MCAST_JOIN_SOURCE_GROUP_IPV6", GROUP_SOURCE6)],
    "MCAST_LEAVE_SOURCE_GROUP_IPV6": [
        ("MCAST_JOIN_SOURCE_GROUP_IPV6", GROUP_SOURCE6),
        ("MCAST_LEAVE_SOURCE_GROUP_IPV6", GROUP_SOURCE6),
    ],
    "MCAST_BLOCK_SOURCE_IPV6": [
        ("MCAST_JOIN_GROUP_IPV6", {**GROUP6, "group": "[ff35::5]:0"}),
        ("MCAST_BLOCK_SOURCE_IPV6", GROUP_SOURCE6),
    ],
    "MCAST_UNBLOCK_SOURCE_IPV6": [
        ("MCAST_JOIN_GROUP_IPV6", {**GROUP6, "group": "[ff35::5]:0"}),
        ("MCAST_BLOCK_SOURCE_IPV6", GROUP_SOURCE6),
        ("MCAST_UNBLOCK_SOURCE_IPV6", GROUP_SOURCE6),
    ],
    "IPV6_PKTINFO": [("IPV6_PKTINFO", {"address": "::1", "interface": 1})],
    "IPV6_ROUTER_ALERT": [("IPV6_ROUTER_ALERT", 0)],
    "IP_ROUTER_ALERT": [("IP_ROUTER_ALERT", True)],
    "PACKET_ADD_MEMBERSHIP": [("PACKET_ADD_MEMBERSHIP", PROMISCUOUS)],
    "PACKET_DROP_MEMBERSHIP": [("PACKET_ADD_MEMBERSHIP", PROMISCUOUS), ("PACKET_DROP_MEMBERSHIP", PROMISCUOUS)],
    "PACKET_RX_RING": [("PACKET_RX_RING", RING)],
    "PACKET_TX_RING": [("PACKET_TX_RING", RING)],
    "PACKET_COPY_THRESH": [("PACKET_COPY_THRESH", 1)],
    "PACKET_FANOUT": [("PACKET_FANOUT", 7)],
    "SO_BUSY_POLL_BUDGET": [("SO_BUSY_POLL_BUDGET", 4)],
    "SO_INQ": [("SO_INQ", True)],
    "TCP_ULP": [("TCP_ULP", "tls")],
    "NETLINK_ADD_MEMBERSHIP": [("NETLINK_ADD_MEMBERSHIP", 1)],
    "NETLINK_DROP_MEMBERSHIP": [("NETLINK_ADD_MEMBERSHIP", 1), ("NETLINK_DROP_MEMBERSHIP", 1)],
    "TCP_REPAIR_QUEUE": [("TCP_REPAIR", 1), ("TCP_REPAIR_QUEUE", 1)],
    "TCP_QUEUE_SEQ": [("TCP_REPAIR", 1), ("TCP_REPAIR_QUEUE", 1), ("TCP_QUEUE_SEQ", 4711)],
    "TCP_TIMESTAMP": [("TCP_REPAIR", 1), ("TCP_TIMESTAMP", 5)],
}


class Sockets:
    """A fresh socket of each kind, in the state that an option needs."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()

    def add(self, sock: socket.socket) -> socket.socket:
        return self.stack.enter_context(sock)

    def make(self, kind: str, name: str, when: str) -> socket.socket:
        connected = when == "when connected"
        if kind in ("tcp", "tcp6"):
            family, local = (socket.AF_INET, "127.0.0.1") if kind == "tcp" else (socket.AF_INET6, "::1")
            if not connected:
                return self.add(socket.socket(family, socket.SOCK_STREAM))
            listener = self.add(socket.socket(family, socket.SOCK_STREAM))
            listener.bind((local, 0))
            listener.listen()
            client = self.add(socket.socket(family, socket.SOCK_STREAM))
            client.connect(listener.getsockname())
            return client
        if kind in ("udp", "udp6", "raw", "raw6"):
            family, local = (socket.AF_INET, "127.0.0.1") if not kind.endswith("6") else (socket.AF_INET6, "::1")
            raw = kind.startswith("raw")
            protocol = 0 if not raw else {"ICMP_FILTER": 1, "ICMP6_FILTER": 58, "IPV6_ROUTER_ALERT": 255}.get(name, 253)
            sock = self.add(socket.socket(family, socket.SOCK_RAW if raw else socket.SOCK_DGRAM, protocol))
            if connected:
                sock.connect((local, 9))
            return sock
        if kind == "unix":
            ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            self.add(ends[1])
            return self.add(ends[0])
        if kind == "packet":
            sock = self.add(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            if name in ("PACKET_FANOUT", "PACKET_ROLLOVER_STATS"):
                sock.bind(("lo", 3))
            return sock
        if kind == "netlink":
            return self.add(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        if kind == "vsock":
            return self.add(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
        if kind == "mptcp":
            return self.add(socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
        if kind == "alg":
            return self.add(socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
        raise LookupError(kind)


def attempt(option: options.SocketOption, kind: str) -> dict[str, Any]:
    """Everything that the table says can be done, done once."""
    result: dict[str, Any] = {"name": option.name, "kind": kind}
    sockets = Sockets()
    with sockets.stack:
        try:
            sock = sockets.make(kind, option.name, option.when)
        except OSError as error:
            return {**result, "no_socket": error.errno}
        sample = SAMPLES.get(option.name)
        if option.name in ("TCP_REPAIR_QUEUE", "TCP_QUEUE_SEQ", "TCP_REPAIR_WINDOW", "PACKET_ROLLOVER_STATS"):
            with contextlib.suppress(OSError):
                # The group's number, and in the upper half the flag that makes frames roll over to another socket.
                fanout = 7 | 0x1000 << 16
                options.put(sock, *(("TCP_REPAIR", 1) if option.name.startswith("TCP") else ("PACKET_FANOUT", fanout)))
                if option.name == "TCP_QUEUE_SEQ":
                    options.put(sock, "TCP_REPAIR_QUEUE", 1)
        value: Any = None
        if option.readable:
            try:
                read = options.get(sock, option)
                value = read.value
                result["read"] = read.text
            except OSError as error:
                result["read_errno"] = error.errno
        if option.settable:
            try:
                if sample is not None:
                    for name, given in sample:
                        options.put(sock, name, given)
                    result["set"] = True
                elif "read" in result and not option.secret:
                    options.put(sock, option, value)
                    result["set"] = True
            except OSError as error:
                result["set_errno"] = error.errno
            # What SAMPLES set is not set twice: joining or asking again is an error of its own.
            plain = sample is None and option.kind == "bool" and option.readable
            if plain and result.get("set") and option.name != "SO_LOCK_FILTER":
                try:
                    options.put(sock, option, not value)
                    result["toggled"] = options.get(sock, option).value is (not value)
                except OSError as error:
                    result["toggle_errno"] = error.errno
    return result


def unlisted() -> list[str]:
    """Options that this kernel lets be read and the table does not have."""
    found = []
    for kind, levels in (
        ("tcp", (0, 1, 6)),
        ("udp", (0, 1, 17)),
        ("raw", (0, 255)),
        ("tcp6", (1, 6, 41)),
        ("udp6", (1, 17, 41)),
        ("unix", (1,)),
        ("packet", (1, 263)),
        ("netlink", (1, 270)),
    ):
        sockets = Sockets()
        with sockets.stack:
            sock = sockets.make(kind, "ICMP_FILTER", "any time")
            for level in levels:
                for number in range(128):
                    for size in (4, 16, 128):
                        try:
                            get_option(sock.fileno(), level, number, size)
                        except OSError:
                            continue
                        known = options.find(level, number)
                        if known is None or not known.readable:
                            found.append(f"{kind} {level}/{number}")
                        break
    return found


def main() -> None:
    """Bring the loopback up, walk, print."""
    from wallsocket._core.kernel import Routing

    with here.netlink(0) as netlink:
        Routing(netlink.fileno()).change_link(1, up=True)
    results = [attempt(option, kind) for option in options.table() for kind in option.applies]
    json.dump(
        {"release": platform.release(), "uid": os.geteuid(), "results": results, "unlisted": unlisted()}, sys.stdout
    )


if __name__ == "__main__":
    main()
