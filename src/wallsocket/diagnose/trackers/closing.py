"""How a socket came to its end."""

from __future__ import annotations

from ...events import Process
from ..call import CallFacts
from ..facts import Facts
from ..sample import Sample
from ..subjects import SocketFacts
from ..tracker import SocketTracker, returned
from ..vocabulary import CLOSE_WAIT
from .descriptors import Descriptors
from .reads import Reads
from .samples import Samples

__all__ = ["ENDED_LATE_NS", "Closing", "ClosingFacts"]

#: The end of a process with several threads is told a little after the kernel has closed its sockets.
ENDED_LATE_NS = 100_000_000

#: A close call and the end of the last descriptor that belong together.
_SAME_NS = 5_000_000


class ClosingFacts:
    """Calls that end one socket."""

    __slots__ = ("closed", "shut")

    def __init__(self) -> None:
        self.shut: dict[int, CallFacts] = {}  #: the first shutdown by how: 0 reading, 1 writing, 2 both
        self.closed: CallFacts | None = None  #: the latest close


class Closing(SocketTracker[ClosingFacts]):
    """Keeps shutdown and close, and says who ended a socket and what was left in it."""

    needs = (Descriptors, Reads, Samples)
    kept = ClosingFacts

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._descriptors = facts[Descriptors]
        self._reads = facts[Reads]
        self._samples = facts[Samples]

    @returned("shutdown")
    def shut(self, call: CallFacts) -> None:
        """A direction was shut."""
        if call.succeeded and call.socket is not None:
            self.keep(call.socket).shut.setdefault(call.how or 0, call)

    @returned("close")
    def closed(self, call: CallFacts) -> None:
        """A descriptor was closed."""
        if call.result == 0 and call.socket is not None:
            self.keep(call.socket).closed = call

    # -- questions

    def for_good(self, socket: SocketFacts) -> bool:
        """Whether the latest close call closed the last descriptor."""
        closed, ended = self.of(socket).closed, socket.ended_ns
        return closed is not None and ended is not None and ended <= closed.end_ns + _SAME_NS

    def last_close(self, socket: SocketFacts) -> CallFacts | None:
        """The close call that ended it; ``None``: it lives, or ended otherwise."""
        return self.of(socket).closed if self.for_good(socket) else None

    def left_ns(self, socket: SocketFacts) -> int:
        """When the program began to close it for good, or its process ended; of a living socket now."""
        closed = self.last_close(socket)
        if closed is not None:
            return closed.entry_ns
        return self.facts.now_ns if socket.ended_ns is None else socket.ended_ns

    def ended_by(self, socket: SocketFacts) -> Process | None:
        """The process whose end closed the socket; ``None``: it was closed by a call, or lives."""
        ended = socket.ended_ns
        if ended is None or self.for_good(socket):
            return None
        for process in self._descriptors.owners(socket):
            row = self.facts.process(process)
            if row is not None and row.ended_ns is not None and abs(row.ended_ns - ended) < 1_000_000_000:
                return row
        return None

    def done(self, socket: SocketFacts) -> bool:
        """Whether the program is done with the socket: it closed it, or ended by itself."""
        if socket.ended_ns is None:
            return False
        process = self.ended_by(socket)
        return process is None or not self.facts.killed(process)

    def unread(self, socket: SocketFacts) -> Sample | None:
        """The sample that shows bytes nobody had read when the socket ended; ``None``: none, or not sampled."""
        if socket.ended_ns is None:
            return None
        closed = self.last_close(socket)
        if closed is not None:
            sample = closed.entry
        else:
            # The tracer looks at what a process has open just before it ends; that sample belongs to no call.
            sample, read = socket.last or self._samples.of(socket).destroyed, self._reads.of(socket).turn.last
            if sample is not None and read is not None and sample.at_ns < read.end_ns:
                sample = read.exit
        if sample is None or not sample.receive_queue:
            return None
        # sock_diag counts the peer's FIN as one byte until it was read (net/ipv4/tcp_diag.c).
        if sample.receive_queue == 1 and sample.state == CLOSE_WAIT:
            return None
        return sample
