"""The buffer was smaller than the datagram."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.datagrams import Datagrams
from ..trackers.reads import Reads
from ..vocabulary import AF_UNIX, MSG_TRUNC, SOCK_DGRAM

__all__ = ["DatagramTruncated"]


class DatagramTruncated(Rule):
    """The buffer was smaller than the datagram."""

    id = "datagram-truncated"
    title = "the end of a datagram was cut off: the buffer was too small"
    covers = (26,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "One read takes one datagram. What does not fit into the buffer is thrown away by the kernel, without an "
        "error: only MSG_TRUNC among the flags that recvmsg returns shows it."
    )
    symptoms = ("UDP message truncated", "last part of datagram missing", "MSG_TRUNC", "incomplete packet")
    proof = (
        "recvmsg returned MSG_TRUNC; or the read returned exactly as many bytes as it offered while the kernel had a "
        "longer datagram at the head of the queue, or a traced program had sent a longer one."
    )
    fix = "Offer a buffer for the largest datagram of the protocol (65,535 bytes take any) and check MSG_TRUNC."
    disproof = "The datagram was exactly as long as the buffer."
    references = ("recv(2)", "udp(7)")
    needs = (Datagrams, Reads)
    given = Reads
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not (subject.udp or (subject.type == SOCK_DGRAM and subject.family == AF_UNIX)):
            return
        for read in facts[Reads].of(subject).full:
            found = self._size(facts, subject, read)
            if found is None:
                continue
            size, proof = found
            asked = read.length
            cut = f"{size - asked} of {size} bytes" if size else "an unknown number of bytes"
            told = bool(read.returned_flags & MSG_TRUNC) or (read.result or 0) > asked
            yield Evidence(
                self,
                read.end_ns,
                f"{read.name} offered {asked} bytes for a datagram that was longer; {cut} are lost."
                + (" The program was told so by MSG_TRUNC." if told else " Nothing told the program."),
                [read.proof(), *proof],
                call=read.call,
                socket=subject.id,
                process=read.call.process,
            )

    @staticmethod
    def _size(facts: Facts, socket: SocketFacts, read: CallFacts) -> tuple[int, list[Proof]] | None:
        """Length of the datagram (0: unknown) when it is certain that it was longer than the buffer."""
        asked = read.length
        if (read.result or 0) > asked:
            return read.result or 0, []
        entry = read.entry
        if entry is not None and entry.receive_queue is not None and entry.receive_queue > asked:
            text = f"the next datagram had {entry.receive_queue} bytes at call {read.call.id}"
            return entry.receive_queue, [entry.proof(text)]
        sent = _sent(facts, socket, read)
        if sent is not None:
            return sent.length, [sent.proof(f"sent as {sent.length} bytes by {sent.text()}")]
        return (0, []) if read.returned_flags & MSG_TRUNC else None


def _sent(facts: Facts, socket: SocketFacts, read: CallFacts) -> CallFacts | None:
    """The traced send of the datagram that was read, when it must have been longer than the buffer."""
    payload = read.payload
    if socket.local is None or len(payload) < 8:
        return None
    alike = [
        sent
        for sent in facts[Datagrams].to(socket.local.port)
        if sent.entry_ns <= read.end_ns
        and sent.name in ("sendto", "sendmsg", "write", "writev")
        and sent.payload[: len(payload)] == payload
    ]
    # Any of them may be the one that was read: all must have been longer.
    if alike and all(sent.length > read.length for sent in alike):
        return alike[-1]
    return None
