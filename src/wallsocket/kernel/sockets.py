"""The sockets of a whole host, as sock_diag tells them, and who holds them."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import Any, Literal

import msgspec

from .._core import kernel as _core
from .._core.kernel import Address
from . import program
from .tcp_info import SocketMemory, TcpInfo
from .tcp_state import TcpState

__all__ = ["InetSocket", "Owner", "Owners", "UnixSocket", "owners", "state_bits"]

Protocol = Literal["tcp", "udp", "raw"]

#: Numbers of the protocols in sock_diag; raw sockets are asked for by IPPROTO_RAW.
PROTOCOLS: dict[str, int] = {"tcp": 6, "udp": 17, "raw": 255}

_STATES = {state.name: state.value for state in TcpState}
_UNIX_TYPES = {1: "stream", 2: "dgram", 5: "seqpacket"}


class InetSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket of TCP, UDP or raw IP.

    Attributes:
        protocol: ``"tcp"``, ``"udp"`` or ``"raw"``.
        state: ``"LISTEN"``, ``"ESTABLISHED"`` …; a UDP socket is ESTABLISHED when connected, else CLOSE.
        local: its own address.
        peer: the address of the peer, or ``None``.
        interface: number of the interface that it is bound to, or 0.
        cookie: the socket's number, as ``SO_COOKIE`` returns it.
        inode: as in ``/proc/PID/fd``; 0 when no descriptor points to it: not yet accepted, or closed.
        uid: the owner.
        receive_queue: bytes that wait to be read; of a listener the connections that wait for ``accept()``.
        send_queue: bytes not yet acknowledged; of a listener the limit of its accept queue.
        timer: what its timer waits for: ``"none"``, ``"retransmit"``, ``"keepalive"``, ``"time_wait"``,
            ``"zero_window_probe"``.
        timer_expires_ms: milliseconds until then.
        retransmits: retransmissions or probes in a row.
        info: TCP_INFO, of TCP sockets outside TIME_WAIT.
        memory: SO_MEMINFO.
        congestion: congestion-control algorithm.
        mark: firewall mark; only told to CAP_NET_ADMIN.
        type_of_service: TOS byte or traffic class.
        shutdown: directions that were shut down: 1 receive, 2 send.
        only_inet6: whether an IPv6 socket refuses IPv4; ``None`` for IPv4 sockets.

    """

    protocol: str
    state: str
    local: Address
    peer: Address | None
    interface: int
    cookie: int
    inode: int
    uid: int
    receive_queue: int
    send_queue: int
    timer: str
    timer_expires_ms: int
    retransmits: int
    info: TcpInfo | None
    memory: SocketMemory | None
    congestion: str | None
    mark: int | None
    type_of_service: int | None
    shutdown: int | None
    only_inet6: bool | None

    @classmethod
    def from_row(cls, row: dict[str, Any], protocol: str) -> InetSocket:
        """Take a row of the compiled module."""
        row["protocol"] = protocol
        row["state"] = _core.tcp_state(row["state"])
        row["timer"] = _core.timer(row["timer"])
        info, memory = row["info"], row["memory"]
        row["info"] = TcpInfo.parse(info) if info else None
        row["memory"] = SocketMemory.parse(memory) if memory is not None else None
        return cls(**row)

    @property
    def takes_any(self) -> bool:
        """Whether it is bound to every address of the host (``0.0.0.0`` or ``::``)."""
        return self.local.host in ("0.0.0.0", "::")  # noqa: S104

    @property
    def accept_queue(self) -> int | None:
        """Of a listener: connections that wait for ``accept()``."""
        return self.receive_queue if self.state == "LISTEN" else None

    @property
    def backlog(self) -> int | None:
        """Of a listener: the limit of the accept queue in force."""
        return self.send_queue if self.state == "LISTEN" else None


class UnixSocket(msgspec.Struct, frozen=True, kw_only=True):
    """A socket of AF_UNIX.

    Attributes:
        type: ``"stream"``, ``"dgram"`` or ``"seqpacket"``.
        state: ``"LISTEN"``, ``"ESTABLISHED"`` or ``"CLOSE"``.
        inode: as in ``/proc/PID/fd``.
        cookie: the socket's number, as ``SO_COOKIE`` returns it.
        name: its own name.
        file_inode: inode of the socket file that it was bound to; another file there now means a stale name.
        peer_inode: inode of the peer.
        waiting: inodes of the connections that wait for ``accept()``.
        receive_queue: bytes to be read; of a listener the connections that wait for ``accept()``.
        send_queue: bytes on their way; of a listener the limit of its accept queue.
        memory: SO_MEMINFO.
        shutdown: directions that were shut down: 1 receive, 2 send.
        uid: the owner.

    """

    type: str
    state: str
    inode: int
    cookie: int
    name: Address
    file_inode: int | None
    peer_inode: int | None
    waiting: tuple[int, ...]
    receive_queue: int | None
    send_queue: int | None
    memory: SocketMemory | None
    shutdown: int | None
    uid: int | None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> UnixSocket:
        """Take a row of the compiled module."""
        row["type"] = _UNIX_TYPES.get(row["type"], str(row["type"]))
        row["state"] = _core.tcp_state(row["state"])
        row["waiting"] = tuple(row["waiting"])
        memory = row["memory"]
        row["memory"] = SocketMemory.parse(memory) if memory is not None else None
        return cls(**row)


def state_bits(states: Collection[str] | None) -> int:
    """States by name, as sock_diag wants them; ``None`` is all.

    Raises:
        ValueError: no state has that name.

    """
    if states is None:
        return 0xFFFF_FFFF
    bits = 0
    for state in states:
        if state not in _STATES:
            raise ValueError(f"no socket state is called {state!r} (there are: {', '.join(_STATES)})")
        bits |= 1 << _STATES[state]
    return bits


class Owner(msgspec.Struct, frozen=True, order=True):
    """A process, by number and name only: arguments may hold secrets and are never read out.

    Attributes:
        pid: process number, as this process sees it.
        command: its command name (at most 15 characters), or the script or module that an interpreter runs.

    """

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


class Owners(msgspec.Struct, frozen=True):
    """Who holds some sockets.

    Attributes:
        by_inode: holders of each socket that has some.
        complete: false when processes could not be looked into (other users') or time ran out: a socket that is not in
            ``by_inode`` may have a holder all the same.

    """

    by_inode: dict[int, tuple[Owner, ...]]
    complete: bool

    def of(self, inode: int) -> tuple[Owner, ...]:
        """Return the holders of one socket, as far as they are known."""
        return self.by_inode.get(inode, ())


def owners(inodes: Collection[int], *, timeout_s: float | None = None) -> Owners:
    """Find the processes that hold sockets, by the links in ``/proc/PID/fd``.

    Args:
        inodes: numbers of the sockets.
        timeout_s: give up after so many seconds of processor time and say so in `Owners.complete`; there is no index,
            so a machine with many descriptors takes its time. That other programs are busy costs no answers.

    """
    deadline = None if timeout_s is None else time.thread_time() + timeout_s
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, list[Owner]] = {}
    complete = True
    if not wanted:
        return Owners({}, True)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        if deadline is not None and time.thread_time() > deadline:
            complete = False
            break
        try:
            held = _held(int(name), wanted)
        except PermissionError:
            complete = False
            continue
        except OSError:  # it ended meanwhile
            continue
        if held:
            owner = Owner(int(name), command_of(int(name)))
            for inode in held:
                found.setdefault(inode, []).append(owner)
    return Owners({inode: tuple(sorted(all_of)) for inode, all_of in found.items()}, complete)


def _held(pid: int, wanted: dict[str, int]) -> set[int]:
    held = set()
    directory = f"/proc/{pid}/fd"
    for descriptor in os.listdir(directory):
        try:
            inode = wanted.get(os.readlink(f"{directory}/{descriptor}"))
        except FileNotFoundError:  # closed meanwhile
            continue
        if inode is not None:
            held.add(inode)
    return held


def command_of(pid: int) -> str:
    """Return the name that people know a process by, without its arguments; ``"?"`` when it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = [os.fsdecode(word) for word in file.read(65_536).split(b"\0")[:-1]]
        command = program.name(words)
        # A thread of the kernel, or a process that has ended and not been waited for, has no arguments; a space may stand
        # in a name, or in a text that a program has written over them.
        if not command or " " in command:
            with open(f"/proc/{pid}/comm", "rb") as file:
                command = program.name(words, file.read().rstrip(b"\n").decode("utf-8", "replace"))
    except OSError:
        return "?"
    return _core.escape(command.encode("utf-8", "replace")) or "?"
