"""Attempts to reach somebody that came to nothing: refused by this host's own kernel, answered with an error, or not at all."""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..address import Address
from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import Destination, SocketFacts
from ..tracker import Recent, Tracker, entered, on_end, on_retire, returned
from ..vocabulary import POLL_CALLS, POLLOUT, READS, SO_BINDTODEVICE, SO_ERROR, SOL_SOCKET, SYN_SENT, WRITES
from .destinations import Destinations
from .first_packets import FirstPackets
from .options import Options
from .polls import Polls
from .set_up import SetUp
from .sockets import Sockets

__all__ = ["Attempt", "Failure", "Unreached"]

#: Failures that are told apart, in all and of one destination, and attempts that are followed.
_KEPT = 10_000
_OF_ONE = 16
#: The attempt goes on, or went on and was asked about again.
_ON_ITS_WAY = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR, errno.EAGAIN, 512, 513, 514, 516})
#: Not about the way to the other end.
_OTHERS = frozenset(
    {errno.ECONNREFUSED, errno.EISCONN, errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTSOCK}
)


class Failure:
    """The first attempt that failed in one way at one line, and how many more did."""

    __slots__ = (
        "at_ns",
        "bind",
        "calls",
        "connect",
        "count",
        "device",
        "error",
        "last",
        "last_ns",
        "seen",
        "socket",
        "where",
    )

    def __init__(self, socket: SocketFacts, connect: CallFacts, seen: CallFacts, error: int | None, at_ns: int) -> None:
        self.socket = socket  #: it may be gone: then only who and where it was is known
        self.connect = connect.without_samples()  #: the connect, or the write that named the destination
        #: The call that told the program; the connect itself when it was given up.
        self.seen = seen.without_samples() if seen is not connect else self.connect
        self.bind: CallFacts | None = None  #: the bind of the socket, if there was one
        self.device: CallFacts | None = None  #: the setsockopt of SO_BINDTODEVICE in force
        self.last: Sample | None = None  #: the latest sample of the socket; to be asked at the end
        self.error = error  #: errno; ``None``: nothing was told: the program gave up, or waits still
        where = connect.address or socket.remote
        assert where is not None
        self.where = where
        self.at_ns = at_ns
        self.last_ns = at_ns
        self.count = 1
        self.calls = [connect.call.id, seen.call.id]  #: ids of the calls that say so

    @property
    def process(self) -> int:
        """The process that tried."""
        return self.connect.call.process

    @property
    def waited_ns(self) -> int:
        """How long it took until it was told, or gave up."""
        return self.at_ns - self.connect.entry_ns

    def how_seen(self) -> str:
        """How the program was told, as proof text."""
        if self.seen.name == "getsockopt" and self.error is not None:
            return f"call {self.seen.call.id} getsockopt(SO_ERROR) gave {errno.errorcode.get(self.error, self.error)}"
        return self.seen.text()


class Attempt(NamedTuple):
    """A connection that did not come about, refused or not, and that the program did not get over."""

    connect: CallFacts
    seen: CallFacts  #: the call that told the program
    how_seen: str
    socket: int
    calls: list[int]  #: ids of the calls that say so
    times: int


class Unreached(Tracker):
    """Keeps failures by destination, for TCP and UDP of the Internet families; refusals are in ``Destinations``."""

    needs = (Sockets, SetUp, Destinations, FirstPackets, Options, Polls)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._of: dict[Destination, dict[tuple[int, int | None, int | None], Failure]] = {}
        self._count = 0
        self._told: dict[int, list[Failure]] = {}  # by socket, as long as that lives
        self._pending: dict[int, CallFacts] = {}  # socket -> the connect that nobody knows the end of
        self._looked: dict[int, CallFacts] = {}  # socket -> the latest poll that its connect had not come through
        self._unsure: set[Destination] = set()  # where the end of a connect stands in no sample
        #: (process, where) -> when a datagram last went there
        self._sent: Recent[tuple[int, Address], int] = Recent(_KEPT)

    # -- filling

    @entered("connect")
    def begins(self, call: CallFacts) -> None:
        """A connect was entered: it may never return."""
        socket = call.socket
        where = call.address
        if socket is None or not socket.tcp or where is None or not where.port:
            return
        if socket.id not in self._pending and len(self._pending) < _KEPT:
            self._pending[socket.id] = call

    @returned("connect")
    def connected(self, call: CallFacts) -> None:
        """A connect returned."""
        socket = call.socket
        if socket is None or not (socket.tcp or socket.udp) or call.errno in _ON_ITS_WAY:
            return
        began = self._pending.pop(socket.id, call)
        if call.errno is not None and call.errno not in _OTHERS and began.address is not None:
            self._fail(socket, began, call, call.errno, call.end_ns)

    @returned("getsockopt")
    def asked(self, call: CallFacts) -> None:
        """SO_ERROR says what became of a connect that did not block."""
        socket = call.socket
        if socket is None or not call.succeeded or call.option != (SOL_SOCKET, SO_ERROR):
            return
        error = call.option_number
        if error:
            began = self._pending.pop(socket.id, None)
            if began is not None and error not in _OTHERS:
                self._fail(socket, began, call, error, call.end_ns)
        elif error == 0 and not self._on_its_way(call):
            self._pending.pop(socket.id, None)

    @returned(*POLL_CALLS)
    def polled(self, call: CallFacts) -> None:
        """A socket can be written to once its connect has come to an end (connect(2), EINPROGRESS)."""
        if not self._pending or call.result is None or call.result < 0:
            return
        for socket, entry in self.facts[Polls].watched(call):
            if socket.id not in self._pending or not entry.events & POLLOUT:
                continue
            if entry.returned:
                self._looked.pop(socket.id, None)
            elif call.result == 0 and len(self._looked) < _KEPT:
                self._looked[socket.id] = call

    @returned(*READS, *WRITES)
    def used(self, call: CallFacts) -> None:
        """The first use tells what became of a connect; a datagram that could not leave says so itself."""
        socket = call.socket
        if socket is None:
            return
        if socket.tcp:
            if socket.id in self._pending and call.errno not in _ON_ITS_WAY and call.errno != errno.ENOTCONN:
                began = self._pending.pop(socket.id)
                if call.errno is not None and call.errno not in _OTHERS:
                    self._fail(socket, began, call, call.errno, call.end_ns)
        elif socket.udp and call.name in _WRITES and call.result is not None:
            where = call.address or socket.remote
            if where is None:
                return
            if call.succeeded:
                self._sent[call.call.process, where] = call.end_ns
            elif call.errno not in _ON_ITS_WAY and call.errno not in _OTHERS:
                self._fail(socket, call, call, call.errno, call.end_ns)

    @entered("shutdown")
    def shut(self, call: CallFacts) -> None:
        """The end of a handshake that nobody has answered: shutdown makes it CLOSE, as Java does before it closes."""
        socket = call.socket
        before = call.entry or call.before
        if socket is None or before is None or before.state != SYN_SENT:
            return
        if socket.id in self._pending:
            began = self._pending.pop(socket.id)
            self._fail(socket, began, began, None, call.entry_ns)

    @on_retire
    def ended(self, socket: SocketFacts) -> None:
        """A socket whose connect nobody heard of again was given up."""
        began = self._pending.pop(socket.id, None)
        if began is not None:
            self._left(socket, began)
        self._looked.pop(socket.id, None)
        self._take_last(socket)

    def _take_last(self, socket: SocketFacts) -> None:
        for failure in self._told.pop(socket.id, ()):
            failure.last = socket.last

    @on_end
    def finish(self) -> None:
        """What waits still."""
        for number, began in list(self._pending.items()):
            socket = self.facts[Sockets].get(number)
            if socket is not None:
                self._left(socket, began)
        self._pending.clear()
        for socket in self.facts[Sockets].those(list(self._told)):
            self._take_last(socket)

    def _left(self, socket: SocketFacts, began: CallFacts) -> None:
        """A connect of which no call says the end: the kernel does, where it was asked, else the wire or the last poll."""
        looked, where = self._looked.pop(socket.id, None), began.address
        if self._waits(socket):
            self._fail(socket, began, began, None, socket.ended_ns or self.facts.now_ns)
        elif socket.last is not None or where is None:
            return
        elif began.unfinished or self.facts[FirstPackets].unanswered(socket.local, where):
            self._fail(socket, began, began, None, socket.ended_ns or self.facts.now_ns)
        elif looked is not None:
            self._fail(socket, began, looked, None, looked.end_ns)
        elif len(self._unsure) < _KEPT:
            self._unsure.add(Destination("tcp", where, socket.network))

    @staticmethod
    def _on_its_way(call: CallFacts) -> bool:
        sample = call.exit or call.entry or call.before
        return sample is not None and sample.state == SYN_SENT

    @staticmethod
    def _waits(socket: SocketFacts) -> bool:
        """Whether the kernel last said that it is still connecting."""
        return socket.last is not None and socket.last.state == SYN_SENT

    def _fail(self, socket: SocketFacts, connect: CallFacts, seen: CallFacts, error: int | None, at_ns: int) -> None:
        where = connect.address or socket.remote
        if where is None:
            return
        destination = Destination("tcp" if socket.tcp else "udp", where, socket.network)
        self.facts[Destinations].known(destination)
        failures = self._of.get(destination, {})
        key = (connect.call.process, connect.call.source, error)
        known = failures.get(key)
        if known is not None:
            known.count += 1
            known.last_ns = at_ns
            if len(known.calls) < 64:
                known.calls += (connect.call.id, seen.call.id)
        elif self._count < _KEPT and len(failures) < _OF_ONE:
            self._count += 1
            one = failures[key] = Failure(socket, connect, seen, error, at_ns)
            one.bind = self.facts[SetUp].of(socket).bind
            one.device = self.facts[Options].call(socket, SOL_SOCKET, SO_BINDTODEVICE)
            self._of[destination] = failures
            self._told.setdefault(socket.id, []).append(one)

    # -- questions

    def all(self, destination: Destination, *errors: int | None) -> list[Failure]:
        """Failures at a destination with one of these errnos; ``None`` among them: those that were given up."""
        return [failure for failure in self._of.get(destination, {}).values() if failure.error in errors]

    def unsure(self, destination: Destination) -> str | None:
        """Why nobody knows whether a connect there was still on its way when it was given up; ``None``: it is known of all."""
        return self.facts.layer("kernel") if destination in self._unsure else None

    def of(self, destination: Destination, *errors: int | None) -> list[Failure]:
        """Those of them that the program did not get over: no later attempt there, or at the port elsewhere, succeeded."""
        return [failure for failure in self.all(destination, *errors) if not self.coped(destination, failure)]

    def attempts(self, destination: Destination) -> list[Attempt]:
        """Connections to a destination that were refused, not answered or not routed, and not got over."""
        refused = self.facts[Destinations].refused(destination)
        failures = self.of(destination, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, None)
        return [
            *(
                Attempt(one.connect, one.seen, one.how_seen(), one.socket, list(one.calls), one.count)
                for one in refused
            ),
            *(Attempt(one.connect, one.seen, one.how_seen(), one.socket.id, one.calls, one.count) for one in failures),
        ]

    def coped(self, destination: Destination, failure: Failure) -> bool:
        """Whether somebody got there later, or the program got its port elsewhere."""
        if destination.protocol == "udp":
            return self._sent.get((failure.process, failure.where), -1) > failure.last_ns
        destinations = self.facts[Destinations]
        if destinations.known(destination).reached_ns > failure.last_ns:
            return True
        return destinations.got_port.get((failure.process, destination.where.port), -1) > failure.last_ns


_WRITES = frozenset(WRITES)
