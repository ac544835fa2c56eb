"""Pictures of the sockets of one or more network namespaces."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec

from ..._core import kernel as _core
from ...kernel import Address, Host, SocketMemory, TcpInfo, here
from ...kernel.elsewhere import Elsewhere
from ...kernel.sockets import PROTOCOLS, state_bits
from ...kernel.tcp_state import TcpState

__all__ = ["Key", "Picture", "Seen", "descriptors", "end_of_line", "namespace", "take"]

#: (network namespace, inode).
Key = tuple[int, int]

#: States of a TCP socket that waits in an accept queue: SYN_RECV ones have not finished the handshake.
_WAITING: Final = frozenset({TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.SYN_RECV, TcpState.NEW_SYN_RECV})
#: What is asked of TCP: one in TIME_WAIT is no longer a program's.
_STATES: Final = state_bits([state.name for state in TcpState if state != TcpState.TIME_WAIT])
_PROTOCOLS: Final = {"tcp": (1, 6), "udp": (2, 17), "raw": (3, 255)}
#: What a picture has as sock_diag has it.
_OF_ALL: Final = ("state", "receive_queue", "send_queue", "cookie", "uid")
_OF_INET: Final = (*_OF_ALL, "local", "peer", "timer", "timer_expires_ms", "retransmits")
#: The timer of a connection at rest (inet_diag).
_NO_TIMER: Final = 0
_KEEPALIVE_TIMER: Final = 2
#: USER_HZ of all machines that are supported (proc_pid_net(5) counts timers in it).
_TICK_MS: Final = 10


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A socket at one moment, whatever its family; ``None`` is unknown.

    Attributes:
        key: its network namespace and inode; the inode is 0 when no process has it: nobody has accepted it yet, or it
            was closed and the kernel ends the connection.
        timer: as inet_diag numbers it.
        tcp_info, socket_memory: as the kernel gave them; decoded by `info` and `memory`.
        told: options that sock_diag tells by the way.
        waiting: of a Unix listener the inodes that wait for ``accept()``.

    """

    key: Key
    protocol: str
    family: int
    type: int
    number: int
    state: int
    local: Address | None
    peer: Address | None
    receive_queue: int | None
    send_queue: int | None
    timer: int = _NO_TIMER
    timer_expires_ms: int = 0
    retransmits: int = 0
    cookie: int | None = None
    uid: int | None = None
    tcp_info: bytes | None = None
    socket_memory: bytes | None = None
    told: Mapping[str, object] = {}
    peer_inode: int | None = None
    waiting: tuple[int, ...] = ()

    @property
    def state_name(self) -> str:
        """As ss(8) and the kernel name it; of UDP ``CLOSE`` is unconnected."""
        return _core.tcp_state(self.state)

    @property
    def info(self) -> TcpInfo | None:
        """TCP_INFO; ``None``: not TCP, or not told."""
        return TcpInfo.parse(self.tcp_info) if self.tcp_info else None

    def measure(self, field: str) -> int | None:
        """One field of TCP_INFO, without decoding all."""
        return TcpInfo.field(self.tcp_info, field) if self.tcp_info else None

    @property
    def memory(self) -> SocketMemory | None:
        """SO_MEMINFO."""
        return SocketMemory.parse(self.socket_memory) if self.socket_memory is not None else None

    @property
    def options(self) -> dict[str, object]:
        """Those in force that can be read from outside."""
        memory = self.memory
        found: dict[str, object] = {}
        if memory is not None:
            found |= {"SO_RCVBUF": memory.receive_buffer, "SO_SNDBUF": memory.send_buffer}
        found |= {name: value for name, value in self.told.items() if value is not None}
        if self.keepalive is not None:
            found["SO_KEEPALIVE"] = self.keepalive
        return found

    @property
    def timer_name(self) -> str | None:
        """What its timer waits for; ``None``: it has none."""
        return _core.timer(self.timer) if self.timer != _NO_TIMER else None

    @property
    def listens(self) -> bool:
        """Whether connections come in here."""
        return self.state == TcpState.LISTEN

    @property
    def ends(self) -> tuple[int, str, str, int, str, int] | None:
        """Namespace, protocol and both ends, IPv4 inside IPv6 written as IPv4."""
        if self.local is None or self.peer is None or self.local.host is None or self.peer.host is None:
            return None
        local, peer = _plain(self.local.host), _plain(self.peer.host)
        return self.key[0], self.protocol, local, self.local.port or 0, peer, self.peer.port or 0

    @property
    def keepalive(self) -> bool | None:
        """SO_KEEPALIVE, as the timer of an idle connection gives it away; ``None`` while another timer runs."""
        if self.protocol != "tcp" or self.state not in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT):
            return None
        return {_KEEPALIVE_TIMER: True, _NO_TIMER: False}.get(self.timer)


class Picture:
    """All sockets at one moment; of the namespaces in ``poor`` only what the tables under ``/proc`` tell."""

    def __init__(self, at_ns: int, sockets: Iterable[Seen], poor: frozenset[int] = frozenset()) -> None:
        self.at_ns = at_ns
        self.poor = poor
        self.all = list(sockets)
        self.by_key = {seen.key: seen for seen in self.all if seen.key[1]}
        self.by_ends = {ends: seen for seen in self.all if (ends := seen.ends) is not None}
        self.listening: dict[tuple[int, str, int | None], list[Seen]] = {}
        for seen in self.all:
            if seen.listens and seen.local is not None:
                self.listening.setdefault((seen.key[0], seen.protocol, seen.local.port), []).append(seen)

        self._peers: dict[Key, Seen | None] = {}
        self._unix_queues = {
            (seen.key[0], inode): seen for seen in self.all if seen.protocol == "unix" for inode in seen.waiting
        }
        self._connected: dict[tuple[int, int], list[Seen]] = {}
        for seen in self.all:
            if seen.protocol == "udp" and seen.peer is not None and seen.peer.port:
                self._connected.setdefault((seen.key[0], seen.peer.port), []).append(seen)
        self._bound: dict[tuple[int, str, int], list[Seen]] = {}
        self._queues: dict[tuple[int, str, int], list[Seen]] = {}
        for seen in self.all:
            if seen.local is None or seen.local.port is None:
                continue
            if seen.protocol == "udp" and seen.peer is None:
                self._bound.setdefault((seen.key[0], "udp", seen.local.port), []).append(seen)
            elif self.waits_for_accept(seen):
                self._queues.setdefault((seen.key[0], seen.protocol, seen.local.port), []).append(seen)

    def waits_for_accept(self, seen: Seen) -> bool:
        """Whether it is a connection in an accept queue."""
        return seen.protocol == "tcp" and not seen.key[1] and seen.state in _WAITING and self.incoming(seen)

    def queued(self, listener: Seen, most: int) -> list[Seen]:
        """The connections in the accept queue of a listener, the first of them; of Unix sockets the clients' ends."""
        if listener.protocol == "unix":
            found = [self.by_key.get((listener.key[0], inode)) for inode in listener.waiting[:most]]
            return [one for one in found if one is not None]
        if listener.local is None or not listener.receive_queue:
            return []
        return self._queues.get((listener.key[0], listener.protocol, listener.local.port or 0), [])[:most]

    def listener(self, accepted: Seen) -> Seen | None:
        """The listener that a connection came in through; ``None``: none, or which of several is not known."""
        if accepted.local is None or not self.incoming(accepted):
            return None
        place = accepted.key[0], accepted.protocol, accepted.local.port
        found = self.listening.get(place, ())
        return found[0] if len(found) == 1 else None

    def queued_at(self, client: Seen) -> Seen | None:
        """The listener in whose accept queue the other end of a connection stands; ``None``: none, or not known which."""
        if client.protocol == "unix":
            return self._unix_queues.get(client.key)
        other = self.peer(client)
        return self.listener(other) if other is not None and self.waits_for_accept(other) else None

    def askers(self, server: Seen, most: int) -> list[Seen]:
        """The first of the connected UDP sockets of the same namespace whose datagrams a UDP socket gets."""
        if server.protocol != "udp" or server.peer is not None or server.local is None:
            return []
        found = self._connected.get((server.key[0], server.local.port or 0), ())
        return [one for one in found if self.peer(one) is server][:most]

    def clients(self, listener: Seen, most: int) -> list[tuple[Address | None, Seen | None]]:
        """The first of those that wait in the accept queue of a listener: their addresses, and their sockets if here.

        Of TCP, connections are told by their port: two listeners that share it share what is said.
        """
        if listener.protocol == "unix":
            # The kernel lists the clients' inodes (sk_diag_dump_icons in net/unix/diag.c).
            found = [self.by_key.get((listener.key[0], inode)) for inode in listener.waiting[:most]]
            return [(one.local if one is not None else None, one) for one in found]
        return [(one.peer, self.peer(one)) for one in self.queued(listener, most)]

    def peer(self, seen: Seen) -> Seen | None:
        """The other end, when it is a socket of the same namespace; of UDP also one that is not connected."""
        if not seen.key[1]:
            return self._peer(seen)
        if seen.key not in self._peers:
            self._peers[seen.key] = self._peer(seen)
        return self._peers[seen.key]

    def _peer(self, seen: Seen) -> Seen | None:
        if seen.peer_inode is not None:
            return self.by_key.get((seen.key[0], seen.peer_inode))
        ends = seen.ends
        if ends is None:
            return None
        namespace_, protocol, local, local_port, peer, peer_port = ends
        found = self.by_ends.get((namespace_, protocol, peer, peer_port, local, local_port))
        if found is None and protocol == "udp":
            bound = self._bound.get((namespace_, "udp", peer_port), ())
            takes = [one for one in bound if one.local is not None and _takes(one.local.host, peer)]
            # Of several that share the port the kernel chooses one: which is not known.
            found = takes[0] if len(takes) == 1 else None
        # A socket that is connected to itself (TCP's simultaneous open on one host) is no other end.
        return None if found is None or found.key == seen.key else found

    def incoming(self, seen: Seen) -> bool:
        """Whether the connection came in: something listens on its own port."""
        return seen.local is not None and (seen.key[0], seen.protocol, seen.local.port) in self.listening


def namespace(pid: int | str) -> int | None:
    """The network namespace of a process by its number; ``None``: this user may not know."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def descriptors(pid: int) -> dict[int, str]:
    """Descriptor -> what it names, such as ``socket:[123]``.

    Raises:
        PermissionError: the kernel does not tell this user.

    """
    directory = f"/proc/{pid}/fd"
    found = {}
    try:
        for name in os.listdir(directory):
            try:
                found[int(name)] = os.readlink(f"{directory}/{name}")
            except (FileNotFoundError, ProcessLookupError):
                continue
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return found


def take(namespaces: Mapping[int, int], at_ns: int, inodes: Collection[int] = (), port: int = 0) -> Picture:
    """Look at the sockets of some namespaces.

    Args:
        namespaces: number of the namespace -> a process in it. They are asked through sock_diag where this user may
            enter them, else read from the tables under ``/proc``.
        at_ns: the time that the picture is given.
        inodes: the sockets that it is about. port: those of this local port, too. Established TCP connections that have
            nothing to do with them may be left out.

    """
    own = namespace("self") or 0
    about = frozenset(inodes), port
    found: list[Seen] = []
    poor = set()
    for number, pid in namespaces.items():
        try:
            found += _by_diag(number, here if number == own else Elsewhere(pid), pid, about)
        except PermissionError:
            found += _by_proc(number, pid)
            poor.add(number)
    return Picture(at_ns, found, frozenset(poor))


def _by_diag(number: int, host: Host, pid: int, about: tuple[frozenset[int], int]) -> list[Seen]:
    found: list[Seen] = []
    for protocol, asked in PROTOCOLS.items():
        states = _STATES if protocol == "tcp" else state_bits(None)
        try:
            with host.diag() as diag:
                found += [_inet(number, protocol, row) for row in diag.around(asked, states, *about)]
        except OSError as error:
            if isinstance(error, PermissionError) and host is not here:
                raise  # nothing of the namespace can be asked
            # Its diag module may be missing, or netlink refused.
            found += _by_proc(number, pid, (protocol,))
    try:
        with host.diag() as diag:
            rows = diag.unix(state_bits(None))
    except OSError:
        return found
    names = {row["inode"]: row["name"] for row in rows}
    return found + [_unix(number, row, names) for row in rows]


def _inet(number: int, protocol: str, row: dict[str, Any]) -> Seen:
    """Of a row of sock_diag."""
    kind, protocol_number = _PROTOCOLS[protocol]
    only_inet6 = row["only_inet6"]
    options = {
        "TCP_CONGESTION": row["congestion"],
        "IPV6_V6ONLY": only_inet6,
        "IP_TOS" if only_inet6 is None else "IPV6_TCLASS": row["type_of_service"],
        "SO_MARK": row["mark"],
        "SO_BINDTOIFINDEX": row["interface"] or None,
    }
    return Seen(
        key=(number, row["inode"]),
        protocol=protocol,
        family=row["local"].family or 0,
        type=kind,
        number=protocol_number,
        tcp_info=row["info"],
        socket_memory=row["memory"],
        told=options,
        **{name: row[name] for name in _OF_INET},
    )


def _unix(number: int, row: dict[str, Any], names: Mapping[int, Address]) -> Seen:
    """Of a row of unix_diag."""
    return Seen(
        key=(number, row["inode"]),
        protocol="unix",
        family=socket.AF_UNIX,
        type=row["type"],
        number=0,
        local=row["name"],
        peer=names.get(row["peer_inode"]) if row["peer_inode"] else None,
        socket_memory=row["memory"],
        peer_inode=row["peer_inode"] or None,
        waiting=tuple(row["waiting"]),
        **{name: row[name] for name in _OF_ALL},
    )


def _by_proc(number: int, pid: int, protocols: Iterable[str] = ("tcp", "udp")) -> list[Seen]:
    """By the tables under ``/proc/PID/net``: no TCP_INFO, no backlog, no Unix sockets, but of any namespace."""
    found = []
    for protocol in protocols:
        for name in (protocol, f"{protocol}6"):
            try:
                with open(f"/proc/{pid}/net/{name}", encoding="ascii", errors="replace") as file:
                    next(file, None)
                    found += [seen for line in file if (seen := _line(number, protocol, line)) is not None]
            except OSError:
                continue
    return found


def _line(number: int, protocol: str, line: str) -> Seen | None:
    words = line.split()
    try:
        local, peer = end_of_line(words[1]), end_of_line(words[2])
        state = int(words[3], 16)
        send_queue, receive_queue = (int(word, 16) for word in words[4].split(":"))
        timer, when = (int(word, 16) for word in words[5].split(":"))
        retransmits, uid, inode = int(words[6], 16), int(words[7]), int(words[9])
    except (IndexError, ValueError):
        return None
    if protocol == "tcp" and state == TcpState.TIME_WAIT:
        return None
    kind, protocol_number = _PROTOCOLS[protocol]
    return Seen(
        key=(number, inode),
        protocol=protocol,
        family=local.family or 0,
        type=kind,
        number=protocol_number,
        state=state,
        local=local,
        peer=peer if peer.port else None,
        receive_queue=receive_queue,
        # Of a listener the table shows 0, not the backlog.
        send_queue=None if state == TcpState.LISTEN else send_queue,
        timer=timer,
        timer_expires_ms=when * _TICK_MS,
        retransmits=retransmits,
        uid=uid,
    )


def end_of_line(text: str) -> Address:
    """An address as the tables under ``/proc/PID/net`` print it."""
    address, _, port = text.partition(":")
    # Words of 32 bits, each printed as a number of this machine.
    raw = b"".join(struct.pack("=I", int(address[at : at + 8], 16)) for at in range(0, len(address), 8))
    if len(raw) == 4:
        return Address.parse(f"{ipaddress.IPv4Address(raw)}:{int(port, 16)}")
    return Address.parse(f"[{ipaddress.IPv6Address(raw)}]:{int(port, 16)}")


def _takes(local: str | None, host: str) -> bool:
    """Whether a socket bound to ``local`` gets what is sent to ``host``."""
    if local is None:
        return False
    plain = _plain(local)
    return plain in (host, "::") or (plain == "0.0.0.0" and ":" not in host)  # noqa: S104


@cache
def _plain(host: str) -> str:
    number = ipaddress.ip_address(host.partition("%")[0])
    if number.version == 6 and number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    return str(number)
