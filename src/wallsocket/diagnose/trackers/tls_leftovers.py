"""Waits for a TLS socket whose latest record had been read whole, and what the program did after them."""

from __future__ import annotations

from typing import Final

from ..call import CallFacts
from ..facts import Facts
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import EPOLL_WAITS, POLL_CALLS, READS, WRITES
from .polls import Polls
from .readiness import Readiness

__all__ = ["Leftover", "TlsLeftovers"]

#: Head of a record of application data (RFC 8446, section 5.1); OpenSSL reads it by itself, and then the record.
_HEAD: Final = 5
_APPLICATION_DATA: Final = 23
#: A sealed alert: the goodbye, which is no answer.
_ALERT: Final = 19
_LEAST_NS: Final = 500_000_000
#: Who closes so soon after a wait in vain has given up.
_SOON_NS: Final = 100_000_000


class Leftover:
    """What one socket's program read, waited for, and did."""

    __slots__ = ("expected", "given_up", "record", "used", "wait")

    def __init__(self) -> None:
        self.expected = 0  #: the length that a head announced
        self.record: CallFacts | None = None  #: the read of a whole record after which the library asked for no more
        self.wait: CallFacts | None = None  #: a long wait after that
        self.used: tuple[CallFacts, CallFacts, CallFacts] | None = (
            None  #: record, wait, and an answer without a read before
        )
        self.given_up: tuple[CallFacts, CallFacts, CallFacts] | None = None  #: record, wait in vain, and the close


class TlsLeftovers(SocketTracker[Leftover]):
    """Follows reads by OpenSSL's way to read, and the waits between them."""

    needs = (Polls, Readiness)
    kept = Leftover

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._heard: dict[
            tuple[int, int], int
        ] = {}  # thread -> when it last read from any socket, after a wait that counts

    @returned(*READS, of="stream")
    def read(self, call: CallFacts) -> None:
        """Bytes came, or none."""
        socket = call.socket
        if socket is None:
            return
        if call.thread in self._heard and call.moved:
            self._heard[call.thread] = call.end_ns
        found = socket.kept.get(self.place)
        if found is None:
            if call.moved != _HEAD or call.length != _HEAD or call.payload[:2] != b"\x17\x03":
                return
            found = self.keep(socket)
        if call.moved == call.length == _HEAD and call.payload[:1] == bytes([_APPLICATION_DATA]):
            found.expected, found.record = int.from_bytes(call.payload[3:5], "big"), None
        elif found.expected and call.moved == found.expected:
            found.expected, found.record = 0, call
        elif found.expected and call.moved:
            found.expected -= call.moved
        else:
            found.record = None
        found.wait = None

    @returned(*POLL_CALLS, waited=True)
    def polled(self, call: CallFacts) -> None:
        """A poll or select returned."""
        if (call.call.took_ns or 0) < _LEAST_NS or call.result is None or call.result < 0:
            return
        if call.result == 0:
            self._waited(call.socket, call)
            return
        reported = self.facts[Polls].reported(call)
        if len(reported) == call.result == 1:
            self._waited(reported[0][0], call)

    @returned(*EPOLL_WAITS, waited=True)
    def looped(self, call: CallFacts) -> None:
        """An epoll set reported something."""
        if call.result == 1 and (call.call.took_ns or 0) >= _LEAST_NS:
            for socket, _ in self.facts[Readiness].reported(call):
                self._waited(socket, call)

    def _waited(self, socket: SocketFacts | None, call: CallFacts) -> None:
        found = socket.kept.get(self.place) if socket is not None else None
        if found is not None and found.record is not None and found.record.end_ns <= call.entry_ns:
            found.wait = call
            self._heard[call.thread] = -1

    @returned(*WRITES, given=True, moved=True)
    def wrote(self, call: CallFacts) -> None:
        """Something was answered, without a read since the wait."""
        found = socket.kept.get(self.place) if (socket := call.socket) is not None else None
        wait = found.wait if found is not None else None
        if found is None or wait is None or found.record is None or wait.thread != call.thread:
            return
        found.wait = None
        sealed = int.from_bytes(call.payload[3:5], "big") if call.payload[:1] == bytes([_APPLICATION_DATA]) else 0
        if wait.result and self._heard.get(call.thread, 0) < 0 and sealed > _ALERT and found.used is None:
            found.used = found.record, wait, call

    @returned("close", "shutdown", given=True)
    def closed(self, call: CallFacts) -> None:
        """The program had enough."""
        found = socket.kept.get(self.place) if (socket := call.socket) is not None else None
        if found is None or found.wait is None or found.record is None or found.wait.result:
            return
        if found.wait.thread == call.thread and call.entry_ns - found.wait.end_ns < _SOON_NS and found.given_up is None:
            found.given_up = found.record, found.wait, call
