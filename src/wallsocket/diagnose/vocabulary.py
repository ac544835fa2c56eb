"""Numbers that rules use: flags, options, states, addresses.

Sources: ``include/uapi`` and ``include/net/tcp_states.h`` of Linux.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

__all__ = ["Address", "address_of", "swapped"]

AF_UNIX: Final = 1
AF_INET: Final = 2
AF_INET6: Final = 10
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SOL_SOCKET: Final = 1
SO_REUSEADDR: Final = 2
SO_ERROR: Final = 4
SO_KEEPALIVE: Final = 9
SO_LINGER: Final = 13
SO_REUSEPORT: Final = 15
SO_RCVTIMEO: Final = 20
SO_SNDTIMEO: Final = 21
SO_ATTACH_FILTER: Final = 26
IPPROTO_TCP: Final = 6
TCP_NODELAY: Final = 1
TCP_CORK: Final = 3
MSG_PEEK: Final = 0x2
MSG_TRUNC: Final = 0x20
MSG_WAITALL: Final = 0x100
POLLIN: Final = 0x1
POLLOUT: Final = 0x4
POLLERR: Final = 0x8
POLLHUP: Final = 0x10
POLLRDHUP: Final = 0x2000
EPOLLOUT: Final = 0x4
ESTABLISHED: Final = 1
SYN_SENT: Final = 2
FIN_WAIT1: Final = 4
FIN_WAIT2: Final = 5
TIME_WAIT: Final = 6
CLOSE: Final = 7
CLOSE_WAIT: Final = 8
LAST_ACK: Final = 9
LISTEN: Final = 10
CLOSING: Final = 11

STATE_NAMES: Final = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW_SYN_RECV",
}

READS: Final = frozenset({"read", "readv", "recvfrom", "recvmsg", "recvmmsg"})
WRITES: Final = frozenset({"write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "splice"})
ACCEPTS: Final = frozenset({"accept", "accept4"})
POLL_CALLS: Final = frozenset({"poll", "ppoll", "select", "pselect6"})
EPOLL_WAITS: Final = frozenset({"epoll_wait", "epoll_pwait", "epoll_pwait2"})


class Address(NamedTuple):
    """Where a socket is: a host and a port, or a path with port 0. IPv4 written as IPv6 (``::ffff:…``) is IPv4."""

    host: str
    port: int
    family: int = AF_INET

    @property
    def wildcard(self) -> bool:
        """Whether it stands for every address."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 (recognised, not bound)

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        return self.host.startswith("127.") or self.host == "::1"

    def __str__(self) -> str:
        if self.family == AF_UNIX:
            return f"unix:{self.host}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: object) -> Address | None:
        """Read ``host:port`` as recordings hold it; ``None`` for anything else."""
        if not isinstance(text, str):
            return None
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]").split("%")[0]
        if host == "*":
            host = "0.0.0.0"  # noqa: S104
        if not port.isdecimal() or len(port) > 5:
            return None
        return _internet(host, int(port))

    @classmethod
    def of(cls, address: bytes, port: int) -> Address | None:
        """From the 16 bytes of an IPv6 address and a port."""
        return _internet(str(ipaddress.IPv6Address(address)), port) if len(address) == 16 else None

    def covers(self, other: Address) -> bool:
        """Whether a listener here would get what is sent to ``other`` (``::`` counted as taking IPv4 as well)."""
        if self.port != other.port:
            return False
        if self.host == other.host or self.host == "::":
            return True
        return self.host == "0.0.0.0" and other.family == AF_INET  # noqa: S104


def _internet(host: str, port: int) -> Address | None:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return Address(str(parsed), port, AF_INET if parsed.version == 4 else AF_INET6)


def address_of(raw: bytes | None) -> Address | None:
    """Read a ``struct sockaddr`` of the Internet or UNIX families; ``None`` for others and for cut ones."""
    if raw is None or len(raw) < 2:
        return None
    family = struct.unpack_from("=H", raw)[0]
    if family == AF_INET and len(raw) >= 8:
        return Address(str(ipaddress.IPv4Address(raw[4:8])), int.from_bytes(raw[2:4], "big"), AF_INET)
    if family == AF_INET6 and len(raw) >= 24:
        return _internet(str(ipaddress.IPv6Address(raw[8:24])), int.from_bytes(raw[2:4], "big"))
    if family == AF_UNIX and len(raw) > 2:
        path = raw[2:]
        name = "@" + path[1:].decode("utf-8", "backslashreplace") if path[0] == 0 else ""
        return Address(name or path.split(b"\0")[0].decode("utf-8", "backslashreplace"), 0, AF_UNIX)
    return None


def swapped(port: int) -> int:
    """A port with its two bytes exchanged."""
    return (port & 0xFF) << 8 | port >> 8
