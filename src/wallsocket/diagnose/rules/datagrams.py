"""Faults of datagrams: cut and dropped."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..facts import CallFacts, Facts, SocketFacts, state_proof
from ..finding import CannotTell, Proof
from ..rule import Evidence, Rule
from ..vocabulary import AF_INET, AF_INET6, AF_UNIX, MSG_TRUNC, SO_ATTACH_FILTER, SOCK_DGRAM, SOL_SOCKET

__all__ = ["RULES"]

#: IPPROTO_UDP, IPPROTO_UDPLITE, "whatever the kernel chooses", not recorded.
_UDP = (17, 136, 0, -1)


def _udp(facts: Facts, socket: SocketFacts) -> bool:
    row = facts.tables.sockets.get(socket.id)
    return socket.type == SOCK_DGRAM and socket.family in (AF_INET, AF_INET6) and (row is None or row.protocol in _UDP)


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
        "error: only MSG_TRUNC among the flags that recvmsg returns tells it."
    )
    symptoms = ("UDP message truncated", "last part of datagram missing", "MSG_TRUNC", "incomplete packet")
    proof = (
        "recvmsg returned MSG_TRUNC; or the read returned exactly as many bytes as it offered while the kernel had a "
        "longer datagram at the head of the queue, or a traced program had sent a longer one."
    )
    fix = "Offer a buffer for the largest datagram of the protocol (65,535 bytes take any) and check MSG_TRUNC."
    disproof = "The datagram was exactly as long as the buffer."

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not (_udp(facts, socket) or (socket.type == SOCK_DGRAM and socket.family == AF_UNIX)):
            return
        for read in socket.truncated:
            found = self._size(facts, socket, read)
            if found is None:
                continue
            size, proof = found
            call = read.call
            asked = call.length or 0
            cut = f"{size - asked} of {size} bytes" if size else "an unknown number of bytes"
            told = bool((call.flags or 0) & MSG_TRUNC) or (call.result or 0) > asked
            yield Evidence(
                self,
                read.end_ns,
                f"{read.name} offered {asked} bytes for a datagram that was longer; {cut} are lost."
                + (" The program was told so by MSG_TRUNC." if told else " Nothing told the program."),
                [read.proof(), *proof],
                call=call,
                socket=socket.id,
                process=call.process,
            )

    @staticmethod
    def _size(facts: Facts, socket: SocketFacts, read: CallFacts) -> tuple[int, list[Proof]] | None:
        """Length of the datagram (0: unknown) when it is certain that it was longer than the buffer."""
        call = read.call
        asked = call.length or 0
        if (call.result or 0) > asked:
            return call.result or 0, []
        entry = read.entry
        if entry is not None and entry.receive_queue is not None and entry.receive_queue > asked:
            text = f"the next datagram had {entry.receive_queue} bytes at call {call.id}"
            return entry.receive_queue, [state_proof(entry, text)]
        sent = _sent(facts, socket, read)
        if sent is not None:
            length = sent.call.length or 0
            return length, [sent.proof(f"sent as {length} bytes by {sent.text()}")]
        return (0, []) if (call.flags or 0) & MSG_TRUNC else None


def _sent(facts: Facts, socket: SocketFacts, read: CallFacts) -> CallFacts | None:
    """The traced send of the datagram that was read, when it must have been longer than the buffer."""
    payload = read.call.payload
    if socket.local is None or not payload or len(payload) < 8:
        return None
    alike = [
        sent
        for sent in facts.datagrams_to.get(socket.local.port, ())
        if sent.entry_ns <= read.end_ns
        and sent.name in ("sendto", "sendmsg", "write", "writev")
        and (sent.call.payload or b"")[: len(payload)] == payload
    ]
    # Any of them may be the one that was read: all must have been longer.
    if alike and all((sent.call.length or 0) > (read.call.length or 0) for sent in alike):
        return alike[-1]
    return None


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
        "the buffer full."
    )
    fix = "Read faster (a thread that only receives, recvmmsg), or ask for a larger SO_RCVBUF before the burst."
    disproof = "The drops came from a filter on the socket or from wrong checksums (InCsumErrors)."

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        first, last = socket.drops_first, socket.drops_last
        if not _udp(facts, socket) or first is None or last is None:
            return
        dropped = (last.drops or 0) - (first.drops or 0)
        if dropped <= 0 or socket.option(SOL_SOCKET, SO_ATTACH_FILTER) is not None:
            return
        risen, counter = facts.risen("UdpRcvbufErrors", "Udp6RcvbufErrors")
        checksums, _ = facts.risen("UdpInCsumErrors", "Udp6InCsumErrors")
        if checksums and checksums >= dropped:
            return
        size = _buffer(last.memory)
        full = _filled(last.memory) if last.memory else 0.0
        limit = f" of {size} bytes" if size else ""
        call = socket.reads.last or socket.bind
        rows = [state_proof(last, f"{last.drops} datagrams dropped by socket {socket.id}")]
        if counter is not None:
            rows.append(counter)
        yield Evidence(
            self,
            last.at_ns,
            f"The kernel dropped {dropped} datagrams for {socket.name()}: they arrived while its receive buffer{limit} "
            f"was full. The program read {socket.reads.calls}.",
            rows,
            call=call.call if call is not None else None,
            socket=socket.id,
            process=socket.process,
            certainty="certain" if (facts.private and risen) or full > 0.5 else "strong",
        )


def _buffer(memory: bytes | None) -> int:
    """SK_MEMINFO_RCVBUF, the second of the nine numbers (include/uapi/linux/sock_diag.h)."""
    return struct.unpack_from("=II", memory)[1] if memory is not None and len(memory) >= 8 else 0


def _filled(memory: bytes) -> float:
    if len(memory) < 8:
        return 0.0
    used, size = struct.unpack_from("=II", memory)
    return float(used / size) if size else 0.0


RULES = (DatagramTruncated, ReceiveBufferOverflow)
