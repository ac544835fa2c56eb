"""Connections of a server that begin with the same words, where the older one is closed when the newer one has spoken."""

from __future__ import annotations

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import Recent, SocketTracker, on_retire, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, READS, WRITES
from .peers import Peers
from .protocols import ProtocolFacts, Protocols

__all__ = ["Takeover", "Takeovers"]

#: Words that are told apart, and takeovers of one that are kept.
_WORDS = 10_000
_KEPT = 16
#: So soon after the newer one's words the older one is closed, and so long it had been at rest before. A loop that closes at
#: its next turn looks for events in between, and does not sleep.
_SOON_NS = 100_000_000
_REST_NS = 10_000_000


class Takeover:
    """One connection ended another."""

    __slots__ = ("asked", "closed", "login", "newer", "older", "peers", "protocol")

    def __init__(
        self, older: SocketFacts, newer: SocketFacts, protocol: ProtocolFacts, login: CallFacts, closed: CallFacts
    ) -> None:
        self.asked: CallFacts | None = None  #: the newer one's words, as its client wrote them; ``None``: not traced
        self.peers: set[int] = set()  #: the other ends of both
        self.older = older.id  #: sockets
        self.newer = newer.id
        self.protocol = protocol  #: what the newer one carries
        self.login = login  #: the read of the newer one's words
        self.closed = closed  #: the end of the older one


class Login:
    """What one accepted connection began with."""

    __slots__ = ("begun", "key", "moved_ns", "reads", "rival")

    def __init__(self) -> None:
        self.begun: CallFacts | None = None
        self.key: tuple[int, bytes] | None = None
        self.moved_ns = -1  #: when bytes last moved
        self.reads = 0
        self.rival: SocketFacts | None = None  #: the newer one that spoke the same words


class Takeovers(SocketTracker[Login]):
    """Compares the first bytes of accepted connections."""

    needs = (Peers, Protocols)
    kept = Login

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._latest: Recent[tuple[int, bytes], SocketFacts] = Recent(_WORDS)
        self._slept: Recent[tuple[int, int], int] = Recent(_WORDS)  # thread -> when it last woke up from a wait
        self.of_process: dict[int, dict[bytes, list[Takeover]]] = {}  #: by process and words

    @returned(*READS, of="stream", moved=True)
    def read(self, call: CallFacts) -> None:
        """Bytes came."""
        socket = call.socket
        if socket is None or socket.origin != "accept":
            return
        known = self.keep(socket)
        known.moved_ns = call.end_ns
        known.reads += 1
        if known.begun is not None:
            return
        known.begun = call
        if socket.late or len(call.payload) < 4:
            return
        key = known.key = call.call.process, call.payload
        older = self._latest.get(key)
        self._latest[key] = socket
        open_still = older is not None and (older.ended_ns is None or older.ended_ns >= call.end_ns)
        if older is None or not open_still:
            return
        # A request that is being answered just then ends by itself.
        before = self.of(older)
        if before.reads > 1 or call.end_ns - before.moved_ns >= _REST_NS:
            self.keep(older).rival = socket

    @returned(*WRITES, of="stream", given=True, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Bytes went."""
        if call.socket is not None:
            self.keep(call.socket).moved_ns = call.end_ns

    @returned(*EPOLL_WAITS, *POLL_CALLS, waited=True)
    def woke(self, call: CallFacts) -> None:
        """A thread slept."""
        self._slept[call.thread] = call.end_ns

    @returned("shutdown", "close", given=True)
    def closed(self, call: CallFacts) -> None:
        """An end was closed by its program."""
        older = call.socket
        newer = self.of(older).rival if older is not None else None
        if older is None or newer is None:
            return
        login, key = self.of(newer).begun, self.of(older).key
        if login is not None and call.thread != login.thread:
            # It may have been woken up by a shutdown that has not returned yet.
            return
        self.keep(older).rival = None
        if login is None or key is None or call.entry_ns - login.end_ns > _SOON_NS:
            return
        # Who closes it for being idle is woken up by a timer, or has a thread of its own.
        if self._slept.get(call.thread, -1) > login.end_ns:
            return
        if self.of(older).moved_ns >= login.end_ns:
            return  # its own exchange went on, and came to its end
        found = self.of_process.setdefault(key[0], {}).setdefault(key[1], [])
        if len(found) >= _KEPT:
            return
        peers, protocols = self.facts[Peers], self.facts[Protocols]
        one = Takeover(older, newer, protocols.of(newer), login, call)
        found.append(one)
        one.peers = {peer.id for end in (older, newer) if (peer := peers.of(end)) is not None}
        client = peers.of(newer)
        one.asked = protocols.of(client).first_write if client is not None else None

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """It ended without a call, or its words are nobody's any more."""
        key = self.of(socket).key
        if key is not None and self._latest.get(key) is socket:
            del self._latest[key]
