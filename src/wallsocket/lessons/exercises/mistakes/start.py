"""Mistakes of a program that nobody can reach: it is not at its port, or not for this client."""

from __future__ import annotations

import errno
import socket as _socket

from ....kernel.address import end_of
from ....trace.syscalls import Role
from ..case import Case
from .mistake import Spotted

__all__ = [
    "connects_instead",
    "inet6_only",
    "loopback_only",
    "no_bind",
    "not_started",
    "not_there",
    "other_port",
    "other_protocol",
    "port_still_used",
]


def not_started(case: Case) -> bool:
    """Whether nobody was at the port, so that no client could come."""
    return case.played.kind == "not started"


def no_bind(case: Case) -> Spotted | None:
    """A socket listens or receives without an address of its own."""
    if not not_started(case):
        return None
    bound = {call.socket for call in case.named("bind") if call.result == 0}
    for call in case.named("listen"):
        if call.socket not in bound:
            return Spotted(
                "listen() was called on a socket that was never bound, so the kernel chose a port that nobody knows",
                case.place(call),
            )
    if case.exercise.protocol == "udp":
        for call in case.calls:
            if case.role(call) is Role.RECEIVE and call.socket not in bound:
                return Spotted(
                    "the program receives on a socket that was never bound: no port leads to it", case.place(call)
                )
    return None


def connects_instead(case: Case) -> Spotted | None:
    """A server calls connect()."""
    if not not_started(case) or case.exercise.role != "server":
        return None
    if any(case.of_network(call) for call in case.named("bind", "listen")):
        return None
    for call in case.named("connect"):
        end = end_of(call.address)
        if end is not None and end.port == case.played.server_port:
            return Spotted(
                f"the program connects to port {end.port} as a client would, but it is the service there",
                case.place(call),
            )
    return None


def other_port(case: Case) -> Spotted | None:
    """The program bound another port than it was given."""
    if not not_started(case):
        return None
    for call in case.named("bind"):
        end = end_of(call.address)
        if call.result == 0 and end is not None and end.port not in (0, case.played.server_port):
            wanted = case.played.server_port
            swapped = int.from_bytes(wanted.to_bytes(2, "big"), "little")
            why = f"the program was started with port {wanted} and bound port {end.port}"
            if end.port == swapped:
                why += ", which is the same number with its two bytes swapped: htons() is missing"
            return Spotted(why, case.place(call))
        if call.result == 0 and end is not None and end.port == 0:
            return Spotted("the program bound port 0: the kernel chose a port that nobody knows", case.place(call))
    return None


def other_protocol(case: Case) -> Spotted | None:
    """The port was bound by a socket of another protocol."""
    if not not_started(case):
        return None
    wanted = _socket.SOCK_STREAM if case.exercise.protocol == "tcp" else _socket.SOCK_DGRAM
    for call in case.named("bind"):
        socket = case.recording.sockets.get(call.socket) if call.socket is not None else None
        end = end_of(call.address)
        if socket is None or end is None or end.port != case.played.server_port or call.result != 0:
            continue
        if socket.type & 0xF != wanted:
            kinds = {_socket.SOCK_STREAM: "TCP (SOCK_STREAM)", _socket.SOCK_DGRAM: "UDP (SOCK_DGRAM)"}
            had = kinds.get(socket.type & 0xF, "another kind")
            return Spotted(
                f"port {end.port} was bound by a socket for {had}; the task wants {kinds[wanted]}", case.place(call)
            )
    return None


def loopback_only(case: Case) -> Spotted | None:
    """The socket is bound to a loopback address."""
    if case.played.kind != "refused":
        return None
    for call in case.named("bind"):
        end = end_of(call.address)
        if call.result == 0 and end is not None and end.loopback and end.port == case.played.server_port:
            return Spotted(
                "the socket is bound to the loopback address, which only programs on the same host reach; "
                "the client came to another address of the host and was refused",
                case.place(call),
            )
    return None


def inet6_only(case: Case) -> Spotted | None:
    """The socket takes IPv6 only."""
    if case.played.kind != "refused" or case.run is None or case.run.status is not None:
        return None
    for call in case.named("bind"):
        socket = case.recording.sockets.get(call.socket) if call.socket is not None else None
        end = end_of(call.address)
        if call.result != 0 or socket is None or end is None or end.port != case.played.server_port:
            continue
        if socket.family == _socket.AF_INET6 and end.any:
            return Spotted(
                "the socket is bound to :: and takes IPv6 only (IPV6_V6ONLY); the client came by IPv4 and was refused",
                case.place(call),
            )
    return None


def port_still_used(case: Case) -> Spotted | None:
    """bind() failed because of a connection of the run before."""
    if not not_started(case) or len(case.played.runs) < 2:
        return None
    for call in case.named("bind"):
        if call.errno == errno.EADDRINUSE:
            return Spotted(
                "bind() failed with EADDRINUSE: a connection of the run before, which this side closed first, is in "
                "TIME_WAIT "
                "on that port for 60 s",
                case.place(call),
            )
    return None


def not_there(case: Case) -> Spotted | None:
    """Nobody is at the port, and no other mistake says why."""
    if not not_started(case):
        return None
    return Spotted(f"{case.played.seen}, and no client could come", case.place(case.waits()))
