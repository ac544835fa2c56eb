"""How a socket was set up: bind, listen, connect, accept."""

from __future__ import annotations

import errno

from ..address import address_of
from ..call import CallFacts
from ..tracker import SocketTracker, failed, returned
from ..vocabulary import ACCEPTS, WRITES
from .sockets import Sockets

__all__ = ["SetUp", "SetUpFacts"]

#: Accepted connections of one listener that are kept.
_ACCEPTED = 16


class SetUpFacts:
    """What was done with one socket before its first byte."""

    __slots__ = (
        "accepted",
        "accepts",
        "bind",
        "bind_failed",
        "connect",
        "connected_first",
        "first_accept",
        "listen",
        "listen_failed",
        "no_port",
    )

    def __init__(self) -> None:
        self.bind: CallFacts | None = None  #: the latest that succeeded
        self.bind_failed: CallFacts | None = None  #: the latest that failed
        self.listen: CallFacts | None = None
        self.listen_failed: CallFacts | None = None
        self.connect: CallFacts | None = None  #: the latest, whatever became of it
        self.connected_first: CallFacts | None = None  #: the very first, where it succeeded
        self.no_port: CallFacts | None = None  #: the first use of a datagram socket for which the kernel found no port
        self.accepts = 0  #: connections that accept took from it
        self.accepted: list[int] = []  #: ids of the first of these
        self.first_accept: CallFacts | None = None  #: the first accept that took one


class SetUp(SocketTracker[SetUpFacts]):
    """Keeps the calls that made a socket what it is."""

    needs = (Sockets,)
    kept = SetUpFacts

    @returned("bind")
    def bound(self, call: CallFacts) -> None:
        """A bind returned."""
        if call.socket is None:
            return
        facts = self.keep(call.socket)
        if not call.succeeded:
            facts.bind_failed = call
            return
        facts.bind = call
        asked = call.address
        if asked is not None:
            self.facts[Sockets].asked_for(call.socket, asked)

    @returned("listen")
    def listened(self, call: CallFacts) -> None:
        """A listen returned."""
        if call.socket is not None:
            facts = self.keep(call.socket)
            if call.succeeded:
                facts.listen = call
            else:
                facts.listen_failed = call

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connect returned."""
        if call.socket is not None:
            facts = self.keep(call.socket)
            if call.succeeded and facts.connect is None:
                facts.connected_first = call
            facts.connect = call
            if call.errno in (None, errno.EINPROGRESS):
                self.facts[Sockets].learn_ends(call.socket, None, call.call.address)

    @failed
    def portless(self, call: CallFacts) -> None:
        """The first use gives a datagram socket its port, and fails with EAGAIN when none is free (inet_autobind in af_inet.c)."""
        socket, after = call.socket, call.exit
        if call.errno != errno.EAGAIN or socket is None or not socket.udp or after is None:
            return
        own = address_of(after.row.local)
        if own is not None and not own.port and (call.name == "connect" or call.name in WRITES):
            facts = self.keep(socket)
            facts.no_port = facts.no_port or call

    @returned(*ACCEPTS)
    def accepted(self, call: CallFacts) -> None:
        """An accept returned."""
        if call.socket is not None and call.succeeded:
            facts = self.keep(call.socket)
            facts.accepts += 1
            facts.first_accept = facts.first_accept or call
            if call.call.made is not None and len(facts.accepted) < _ACCEPTED:
                facts.accepted.append(call.call.made)
        made = self.facts[Sockets].get(call.call.made)
        if made is not None and made.remote is None:
            self.facts[Sockets].learn_ends(made, None, call.call.address)
