"""Connections that several processes use."""

from __future__ import annotations

from collections.abc import Mapping

from ..call import CallFacts
from ..tracker import NONE_YET, SocketTracker, returned
from ..vocabulary import READS, WRITES

__all__ = ["SharerFacts", "Sharers"]

#: Processes of one socket that are told apart.
_PROCESSES = 16


class SharerFacts:
    """Who uses one socket, and where their exchanges crossed."""

    __slots__ = ("asked", "crossed", "readers", "writers")

    def __init__(self) -> None:
        self.readers: Mapping[int, CallFacts] = NONE_YET  #: process -> its first read that brought something
        self.writers: Mapping[int, CallFacts] = NONE_YET
        self.asked: CallFacts | None = None  #: the latest write after which nobody has read
        #: The first write of a process while another one had not read the answer to its own; that one's write before it.
        self.crossed: tuple[CallFacts, CallFacts] | None = None


class Sharers(SocketTracker[SharerFacts]):
    """Notes when a process writes to a stream before another one has read the answer to what it wrote."""

    kept = SharerFacts

    @returned(*WRITES, of="stream", moved=True)
    def wrote(self, call: CallFacts) -> None:
        """A process wrote."""
        socket = call.socket
        if socket is None:
            return
        facts = self.keep(socket)
        if call.call.process not in facts.writers and len(facts.writers) < _PROCESSES:
            facts.writers = {**facts.writers, call.call.process: call}
        asked = facts.asked
        if asked is not None and asked.call.process != call.call.process and facts.crossed is None:
            asker = self.facts.process(asked.call.process)
            # Who has ended will not read: it has handed the connection over, as sshd's processes do.
            if asker is None or asker.ended_ns is None or asker.ended_ns > call.entry_ns:
                facts.crossed = (asked, call)
        facts.asked = call

    @returned(*READS, of="stream", moved=True)
    def read(self, call: CallFacts) -> None:
        """A process read."""
        socket = call.socket
        if socket is None:
            return
        facts = self.keep(socket)
        if call.call.process not in facts.readers and len(facts.readers) < _PROCESSES:
            facts.readers = {**facts.readers, call.call.process: call}
        facts.asked = None
