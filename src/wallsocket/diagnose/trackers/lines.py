"""Sockets by the line that made them: how many there were at once, and which of them the peer has closed."""

from __future__ import annotations

from collections import deque

from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import Line, SocketFacts
from ..tracker import Tracker, on_retire, on_sample, returned
from ..vocabulary import CLOSE_WAIT, READS
from .samples import Samples
from .sockets import Sockets

__all__ = ["LEFT_NS", "LineFacts", "Lines"]

#: Lines that are told apart.
_LINES = 10_000
#: Retired sockets of one line that are kept whole, of those that were in CLOSE_WAIT.
_KEPT = 64
#: Who closes so soon after its peer has not left the socket in CLOSE_WAIT.
LEFT_NS = 1_000_000_000


class LineFacts:
    """The sockets that one line of one process made."""

    __slots__ = ("close_waits", "gone")

    def __init__(self) -> None:
        #: by id, living or ended: those that have been in CLOSE_WAIT, or whose end was read where the kernel was not asked
        self.close_waits: dict[int, SocketFacts] = {}
        self.gone: deque[int] = deque()  #: ids among them that were retired


class Lines(Tracker):
    """An index of sockets by creating line."""

    needs = (Sockets, Samples)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.all: dict[Line, LineFacts] = {}
        self._unasked = facts.layer("kernel") is not None
        self._samples = facts[Samples]
        self._sockets = facts[Sockets]

    def of(self, line: Line) -> LineFacts:
        """What is known of a line; empty when nothing is."""
        found = self.all.get(line)
        if found is None:
            found = LineFacts()
            if len(self.all) < _LINES:
                self.all[line] = found
        return found

    @on_sample(CLOSE_WAIT, of="tcp", changed=True)
    def see(self, socket: SocketFacts, sample: Sample) -> None:
        """A socket that enters CLOSE_WAIT."""
        last = socket.last
        if last is None or last.state != CLOSE_WAIT:
            self.of(Line(socket.process, socket.made_at)).close_waits[socket.id] = socket

    @returned(*READS)
    def read(self, call: CallFacts) -> None:
        """The peer's end was read: where nobody asked the kernel, this says that it has come."""
        socket = call.socket
        if call.result == 0 and call.length and socket is not None and socket.tcp and self._unasked:
            self.of(Line(socket.process, socket.made_at)).close_waits[socket.id] = socket

    @on_retire
    def forget(self, socket: SocketFacts) -> None:
        """Of the sockets that ended the latest are kept, without those that were closed when their peers had."""
        found = self.all.get(Line(socket.process, socket.made_at))
        if found is None or socket.id not in found.close_waits:
            return
        since = self._samples.of(socket).close_wait_since
        if since is not None and (socket.ended_ns or self.facts.now_ns) - since.at_ns < LEFT_NS:
            del found.close_waits[socket.id]
            return
        socket.whole += 1
        found.gone.append(socket.id)
        if len(found.gone) > _KEPT:
            self._sockets.release(found.close_waits.pop(found.gone.popleft()))
