"""Datagrams came faster than the program read them."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.counters import Counters
from ..trackers.drops import DropFacts, Drops
from ..trackers.options import Options
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.waits import Waits
from ..vocabulary import SO_ATTACH_FILTER, SOL_SOCKET

__all__ = ["ReceiveBufferOverflow"]


class ReceiveBufferOverflow(Rule):
    """Datagrams came faster than the program read them."""

    id = "receive-buffer-overflow"
    title = "datagrams were dropped: the receive buffer was full"
    covers = (27,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "A datagram that arrives while the socket's receive buffer is full is dropped by the receiving kernel. Neither "
        "the sender nor the receiver gets an error."
    )
    symptoms = ("UDP packet loss on localhost", "missing datagrams", "RcvbufErrors", "packet receive errors")
    proof = (
        "The kernel's own count of drops of this socket rose, and the namespace's RcvbufErrors rose or a sample shows "
        "the buffer full. In pictures: the count is above zero; a warning when it did not rise while they were taken."
    )
    fix = "Read faster (a thread that only receives, recvmmsg), or ask for a larger SO_RCVBUF before the burst."
    disproof = "The drops came from a filter on the socket or from wrong checksums (InCsumErrors)."
    references = ("udp(7)", "socket(7)")
    pictures = "also"
    needs = (Counters, Drops, Options, Reads, SetUp, Waits)
    given = Drops

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        drops = facts[Drops].of(subject)
        last, dropped = drops.last, drops.count
        if facts.pictures:
            yield from self._seen(facts, subject, drops)
            return
        if not subject.udp or last is None or dropped <= 0:
            return
        if facts[Options].call(subject, SOL_SOCKET, SO_ATTACH_FILTER) is not None:
            return
        risen, counter = facts[Counters].risen(subject, "UdpRcvbufErrors", "Udp6RcvbufErrors")
        checksums, _ = facts[Counters].risen(subject, "UdpInCsumErrors", "Udp6InCsumErrors")
        if checksums and checksums >= dropped:
            return
        memory = last.memory
        size = memory.receive_buffer or 0 if memory is not None else 0
        used = memory.receive_allocated or 0 if memory is not None else 0
        limit = f" of {size} bytes" if size else ""
        reads = facts[Reads].of(subject)
        call = reads.last or facts[SetUp].of(subject).bind
        rows = [last.proof(f"{last.drops} datagrams dropped by socket {subject.id}")]
        if counter is not None:
            rows.append(counter)
        yield Evidence(
            self,
            last.at_ns,
            f"The kernel dropped {dropped} datagrams for {subject.name()}: they arrived while its receive buffer{limit} "
            f"was full. The program read {reads.calls}.",
            rows,
            call=call.call if call is not None else None,
            socket=subject.id,
            process=subject.process,
            certainty="certain"
            if (facts[Counters].private(subject.network) and risen) or 2 * used > size > 0
            else "strong",
        )

    def _seen(self, facts: Facts, subject: SocketFacts, drops: DropFacts) -> Iterator[Judgement]:
        """What pictures show: the count since the socket was made, and whether it rises."""
        last, now = drops.last, subject.last
        if not subject.udp or last is None or not last.drops or now is None:
            return
        size = now.memory.receive_buffer or 0 if now.memory is not None else 0
        used = now.memory.receive_allocated or 0 if now.memory is not None else 0
        rise = drops.count
        when = f"{rise} of them while it was looked at" if rise else "none of them while it was looked at"
        full = f", which is {min(used / size, 1):.0%} full" if size and used else ""
        doing = facts[Waits].of_process(subject.process)
        yield Evidence(
            self,
            last.at_ns,
            f"The kernel has dropped {last.drops} datagrams for {subject.name()} since it was made, {when}; "
            f"{now.receive_queue or 0} bytes wait in its receive buffer{full}.",
            [last.proof(f"{last.drops} datagrams dropped by socket {subject.id}")],
            call=doing.call if doing is not None else None,
            socket=subject.id,
            process=subject.process,
            # Another reason (a filter on the socket, wrong checksums) cannot be seen from outside, a full buffer can.
            certainty="certain" if rise and 2 * used > size > 0 else "strong",
            severity="error" if rise else "warning",
        )
