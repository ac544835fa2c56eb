"""What the words of a strace log mean as numbers, bytes and addresses.

Names are those of the kernel's headers; what is not known, or was cut by strace, is ``None``, never a likely value.
"""

from __future__ import annotations

import codecs
import errno
import fcntl
import re
import select
import socket
import struct
import termios
from functools import lru_cache
from typing import Final, NamedTuple

from ...kernel import options

__all__ = [
    "Decoration",
    "Named",
    "Result",
    "address",
    "arguments",
    "bytes_of",
    "decoration",
    "fields",
    "number",
    "option_value",
    "result_of",
]

_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"|/\*.*?\*/|(?<=\d)<(?:->|[^<>]|<[^<>]*>)*>|[\[\]{}(),]',
    re.DOTALL,
)
_RESULT: Final = re.compile(r"\s*=\s*(-?\d+|0x[0-9a-f]+|\?)(.*)", re.DOTALL)
#: include/linux/errno.h: what the kernel says to itself when a signal came.
_RESTARTS: Final = {"ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514, "ERESTART_RESTARTBLOCK": 516}


def arguments(text: str) -> tuple[list[str], str] | None:
    """The arguments of a call, and what stands behind its closing bracket; ``None`` for a line that is cut or mixed.

    ``text`` begins behind the opening bracket.
    """
    depth = 0
    start = 0
    found: list[str] = []
    for token in _TOKEN.finditer(text):
        what = token[0]
        if what in "[{(":
            depth += 1
        elif what in "]}":
            depth -= 1
        elif what == ")":
            if depth == 0:
                last = text[start : token.start()].strip()
                if last or found:
                    found.append(last)
                return found, text[token.end() :]
            depth -= 1
        elif what == "," and depth == 0:
            found.append(text[start : token.start()].strip())
            start = token.end()
        if depth < 0:
            return None
    return None


def fields(text: str) -> list[str]:
    """The parts of ``[…]`` or ``{…}``."""
    text = text.strip()
    if text[:1] not in ("[", "{") or text[-1:] not in ("]", "}"):
        return []
    inner = arguments(text[1:-1] + ")")
    return inner[0] if inner is not None else []


class Named(dict[str, str]):
    """``{name=value, …}``."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for part in fields(text):
            name, equals, value = part.partition("=")
            if equals and name.isidentifier():
                self[name] = value


class Result(NamedTuple):
    """What a call returned."""

    number: int | None  #: as the kernel returned it, ``None``: it did not
    rest: str  #: what strace says behind it


def result_of(text: str) -> Result | None:
    """The result behind the closing bracket; ``None`` when there is none."""
    found = _RESULT.match(text)
    if found is None:
        return None
    word, rest = found[1], found[2].strip()
    name = rest.partition(" ")[0]
    if word == "?":
        return Result(-_RESTARTS[name] if name in _RESTARTS else None, rest)
    if len(word) > 20:
        return None
    value = int(word, 0) if word.startswith("0x") else int(word)
    if value == -1 and name.startswith("E"):
        number = getattr(errno, name, None)
        return Result(-number if number is not None else -1, rest)
    return Result(value if -(1 << 63) <= value < 1 << 63 else None, rest)


_HTONS: Final = re.compile(r"htons\((.+)\)")


@lru_cache(maxsize=4096)
def number(text: str) -> int | None:
    """A number, a name or names joined by ``|``; ``None`` when one of them is not known."""
    text = re.sub(r"/\*.*?\*/", "", text).strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1].strip()
    total = 0
    for word in text.split("|"):
        value = _word(word.strip())
        if value is None:
            return None
        total |= value
    return total if -(1 << 63) <= total < 1 << 63 else None


def _word(word: str) -> int | None:
    word, _, _ = word.partition("<")
    if (swapped := _HTONS.fullmatch(word)) is not None:
        inner = _word(swapped[1])
        return socket.htons(inner & 0xFFFF) if inner is not None else None
    if not word or len(word) > 40:
        return None
    try:
        octal = word.startswith("0") and word.isdecimal() and len(word) > 1
        return int(word, 8) if octal else int(word, 0)
    except ValueError:
        pass
    for module in (socket, select, fcntl, termios, errno):
        value = getattr(module, word, None)
        if isinstance(value, int):
            return int(value)
    return _NAMES.get(word) if word in _NAMES else _option(word)


@lru_cache(maxsize=1024)
def _option(word: str) -> int | None:
    for name in (word, word.removesuffix("_OLD"), word.removesuffix("_NEW")):
        for one in options.table():
            if one.name == name:
                return one.number
    return None


#: Names that Python's modules lack (include/uapi/linux).
_NAMES: Final = {
    "NULL": 0,
    "EPOLL_CTL_ADD": 1,
    "EPOLL_CTL_DEL": 2,
    "EPOLL_CTL_MOD": 3,
    "SOL_NETLINK": 270,
    "SOL_PACKET": 263,
    "SOL_RAW": 255,
    "SOL_ICMPV6": 58,
    "SOL_IPV6": 41,
    "IPPROTO_MPTCP": 262,
    "IPPROTO_UDPLITE": 136,
    "SOCK_PACKET": 10,
    "AF_UNSPEC": 0,
    "AF_LOCAL": 1,
    "AF_ROUTE": 16,
    "AF_NETLINK": 16,
    "NETLINK_ROUTE": 0,
    "NETLINK_SOCK_DIAG": 4,
    "ETH_P_802_3": 1,
    "ETH_P_802_2": 4,
    "ETH_P_ALL": 3,
    # What ETH_P_IP is with its bytes swapped.
    "ETH_P_PPP_MP": 8,
    "ETH_P_8021Q": 0x8100,
    "ETH_P_LLDP": 0x88CC,
    "ETH_P_IP": 0x0800,
    "ETH_P_ARP": 0x0806,
    "ETH_P_IPV6": 0x86DD,
    "MSG_WAITFORONE": 0x10000,
    "MSG_ZEROCOPY": 0x4000000,
    "MSG_BATCH": 0x40000,
    "F_DUPFD_CLOEXEC": 1030,
    "EPOLLNVAL": 0x20,
    "CLOSE_RANGE_CLOEXEC": 4,
    "CLOSE_RANGE_UNSHARE": 2,
    "SPLICE_F_MOVE": 1,
    "SPLICE_F_NONBLOCK": 2,
    "SPLICE_F_MORE": 4,
    "SPLICE_F_GIFT": 8,
    "SIOCGIFINDEX": 0x8933,
}


def bytes_of(text: str) -> bytes | None:
    """The bytes of a string as strace writes it, so many as it shows; ``None`` for what is no string."""
    if not text.startswith('"'):
        return None
    end = text.rfind('"')
    if end == 0:
        return None
    try:
        raw = codecs.escape_decode(text[1:end].encode("latin-1", "replace"))[0]
    except ValueError:
        return None
    return bytes(raw)


_INET: Final = re.compile(r'sin_port=htons\((\d+)\), sin_addr=(?:inet_addr\("([\d.]+)"\)|htonl\(INADDR_(\w+)\))')
_INET6: Final = re.compile(
    r'sin6_port=htons\((\d+)\)(.*?)inet_pton\(AF_INET6, "([0-9a-fA-F:.]+)", &sin6_addr\)(.*)', re.DOTALL
)
_SCOPE: Final = re.compile(r"sin6_scope_id=(\d+)")
_FLOW: Final = re.compile(r"sin6_flowinfo=htonl\((\d+)\)")
_NETLINK: Final = re.compile(r"nl_pid=(-?\d+), nl_groups=([0-9a-fx]+)")
_PACKET: Final = re.compile(r'sll_protocol=(htons\([^)]*\)|0x[0-9a-f]+), sll_ifindex=(if_nametoindex\("([^"]*)"\)|\d+)')
#: In every network namespace the same (LOOPBACK_IFINDEX of include/net/flow.h).
_LOOPBACK: Final = 1
_CONSTANTS: Final = {"ANY": "0.0.0.0", "LOOPBACK": "127.0.0.1", "BROADCAST": "255.255.255.255"}  # noqa: S104 (a name's value)


@lru_cache(maxsize=4096)
def address(text: str) -> bytes | None:
    """A ``struct sockaddr`` as the tracer would keep it; ``None`` for what is none, or is cut."""
    if not text.startswith("{sa_family="):
        return None
    family = text[11:].partition(",")[0].rstrip("}")
    if family == "AF_INET" and (found := _INET.search(text)) is not None:
        host = found[2] or _CONSTANTS.get(found[3])
        return _inet(host, int(found[1])) if host is not None else None
    if family == "AF_INET6" and (found := _INET6.search(text)) is not None:
        scope = _SCOPE.search(found[4])
        flow = _FLOW.search(found[2]) or _FLOW.search(found[4])
        return _inet6(found[3], int(found[1]), int(scope[1]) if scope else 0, int(flow[1]) if flow else 0)
    if family in ("AF_UNIX", "AF_LOCAL"):
        head = struct.pack("=H", socket.AF_UNIX)
        place = text.find("sun_path=")
        if place < 0:
            return head
        path = text[place + 9 :].removesuffix("}")
        abstract = path.startswith("@")
        name = bytes_of(path.removeprefix("@"))
        if name is None or path.endswith("..."):
            return None
        return head + (b"\0" + name if abstract else name + b"\0")
    if family == "AF_PACKET" and (found := _PACKET.search(text)) is not None:
        protocol, index = number(found[1]), _LOOPBACK if found[3] == "lo" else number(found[2])
        if protocol is None or index is None:
            return None
        # What is left of it says what came in a frame.
        return struct.pack("=HHiHBB8x", socket.AF_PACKET, protocol & 0xFFFF, index & 0x7FFFFFFF, 0, 0, 0)
    if family == "AF_NETLINK" and (found := _NETLINK.search(text)) is not None:
        pid, groups = int(found[1]), int(found[2].removeprefix("0x") or "0", 16)
        return struct.pack("=HHII", socket.AF_NETLINK, 0, pid & 0xFFFFFFFF, groups & 0xFFFFFFFF)
    return None


def _inet(host: str, port: int) -> bytes | None:
    try:
        return struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + socket.inet_pton(socket.AF_INET, host)
    except (OSError, OverflowError):
        return None


def _inet6(host: str, port: int, scope: int = 0, flow: int = 0) -> bytes | None:
    try:
        return (
            struct.pack("=H", socket.AF_INET6)
            + port.to_bytes(2, "big")
            + flow.to_bytes(4, "big")
            + socket.inet_pton(socket.AF_INET6, host)
            + struct.pack("=I", scope)
        )
    except (OSError, OverflowError, struct.error):
        return None


class Decoration(NamedTuple):
    """What ``-y`` and ``-yy`` write behind a descriptor."""

    family: int
    type: int
    protocol: int
    local: bytes | None = None
    remote: bytes | None = None
    inode: int | None = None
    peer_inode: int | None = None


#: Names in front of the brackets (src/sockaddr.c and src/socketutils.c of strace) -> family, type, protocol.
_DECORATED: Final = {
    "TCP": (socket.AF_INET, socket.SOCK_STREAM, 6),
    "TCPv6": (socket.AF_INET6, socket.SOCK_STREAM, 6),
    "MPTCP": (socket.AF_INET, socket.SOCK_STREAM, 262),
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM, 17),
    "UDPv6": (socket.AF_INET6, socket.SOCK_DGRAM, 17),
    "UNIX": (socket.AF_UNIX, -1, 0),
    "UNIX-STREAM": (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    "UNIX-DGRAM": (socket.AF_UNIX, socket.SOCK_DGRAM, 0),
    "UNIX-SEQPACKET": (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
    "RAW": (socket.AF_INET, socket.SOCK_RAW, -1),
    "RAWv6": (socket.AF_INET6, socket.SOCK_RAW, -1),
    "NETLINK": (socket.AF_NETLINK, socket.SOCK_RAW, -1),
    "PACKET": (socket.AF_PACKET, -1, -1),
    "PING": (socket.AF_INET, socket.SOCK_DGRAM, 1),
    "PINGv6": (socket.AF_INET6, socket.SOCK_DGRAM, 58),
    "socket": (-1, -1, -1),
}
_DECORATION: Final = re.compile(r"([A-Za-z0-9-]+):\[(.*)\]", re.DOTALL)
_INODES: Final = re.compile(r"(\d+)(?:->(\d+))?(?:,|$)")
_END: Final = re.compile(r"(?:(\d+\.\d+\.\d+\.\d+)|\[([0-9a-fA-F:.]+)(?:%\w+)?\]):(\d+)")


@lru_cache(maxsize=1 << 14)
def decoration(text: str) -> Decoration | None:
    """What stands between ``<`` and ``>`` behind a descriptor; ``None`` when it names no socket."""
    found = _DECORATION.fullmatch(text)
    kind = _DECORATED.get(found[1]) if found is not None else None
    if found is None or kind is None:
        return None
    inner = found[2]
    inodes = _INODES.match(inner)
    if inodes is not None:
        peer = inodes[2]
        return Decoration(*kind, inode=_inode(inodes[1]), peer_inode=_inode(peer) if peer else None)
    local, arrow, remote = inner.partition("->")
    return Decoration(*kind, local=_end(local), remote=_end(remote) if arrow else None)


def _inode(text: str) -> int | None:
    return int(text) if len(text) < 19 else None


def _end(text: str) -> bytes | None:
    found = _END.fullmatch(text)
    if found is None or len(found[3]) > 5:
        return None
    return _inet(found[1], int(found[3])) if found[1] else _inet6(found[2], int(found[3]))


_INET_ADDRESS: Final = re.compile(r'inet_addr\("([\d.]+)"\)')
_INET6_ADDRESS: Final = re.compile(r'inet_pton\(AF_INET6, "([0-9a-fA-F:.]+)"')


def option_value(text: str) -> bytes | None:
    """The bytes of an option's value; ``None`` when they are not all known."""
    if (raw := bytes_of(text)) is not None:
        return raw if text.endswith('"') else None
    value = b""
    for part in fields(text):
        name, _, word = part.partition("=")
        word = word or name
        if (host := _INET_ADDRESS.search(word)) is not None:
            value += socket.inet_aton(host[1])
        elif (host := _INET6_ADDRESS.search(part)) is not None:
            try:
                value += socket.inet_pton(socket.AF_INET6, host[1])
            except OSError:
                return None
        else:
            known = number(word)
            if known is None:
                return None
            wide = name in ("tv_sec", "tv_usec", "tv_nsec")
            value += (
                (known & ((1 << 64) - 1)).to_bytes(8, "little") if wide else (known & 0xFFFFFFFF).to_bytes(4, "little")
            )
    return value or None
