"""The program closed while data waited to be read."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof, Severity
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.counters import Counters
from ..trackers.errors import Errors
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.resets import Resets
from ..trackers.set_up import SetUp
from ..trackers.writes import Writes
from ..vocabulary import CLOSE_WAIT, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, READS

__all__ = ["CloseWithUnreadData"]

#: How long after a close the kernel's counters may be read: the tracer reads them a few times a second.
_COUNTER_LAG_NS = 500_000_000
#: How the peer learns of the reset.
_RESET = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ECONNABORTED)


class CloseWithUnreadData(Rule):
    """The program closed while data waited to be read."""

    id = "close-with-unread-data"
    title = "close() with unread data resets the connection"
    covers = (53,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "When a TCP socket is closed (also by the end of the program) while received bytes have not been read, Linux "
        "sends RST instead of FIN. The peer sees a reset and may lose what was sent to it before."
    )
    symptoms = ("connection reset by peer", "ECONNRESET", "reply lost", "TCPAbortOnClose", "RST after close")
    proof = (
        "The kernel had bytes to read when the last descriptor was closed. TCPAbortOnClose, an RST on the wire and an "
        "error at the traced peer are added where they were recorded. Strong where the kernel was not asked: it sent an RST "
        "with an ACK in the close, and SO_LINGER was not set so."
    )
    fix = "Read to the end first: shutdown(SHUT_WR), read until recv returns 0 bytes, then close."
    disproof = "The queue was empty at the close."
    references = ("RFC 2525 2.17", "RFC 1122 4.2.2.13", "net/ipv4/tcp.c")
    effects = ("write-after-peer-closed",)
    needs = (Closing, Counters, Errors, Options, Peers, Protocols, Reads, Resets, SetUp, Writes)
    live = True
    explains = _RESET

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        if not subject.tcp or facts[Options].aborts(subject) or facts[SetUp].of(subject).listen is not None:
            return
        left = facts[Closing].unread(subject)
        reset = None
        if left is None:
            reset = self._reset(facts, subject)
            if reset is None:
                if self._doubtful(facts, subject):
                    yield self.cannot_tell("kernel", f"what {subject.name()} had not read: {facts.layer('kernel')}")
                return
        elif left.state not in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, None) and not left.destroyed:
            return
        process = facts[Closing].ended_by(subject)
        if process is not None and facts.killed(process):
            return
        peer = facts[Peers].of(subject)
        ended_ns = facts[Closing].left_ns(subject)
        error = None
        if peer is not None:
            error = next(
                (call for call in facts[Errors].of(peer).calls if call.errno in _RESET and call.end_ns >= ended_ns),
                None,
            )
            if peer.ended_ns is not None and peer.ended_ns <= ended_ns:
                # The peer had closed first: the reset reaches nobody.
                return
        read_failed = error is not None and error.name in READS
        if facts[Protocols].tls(subject) and not read_failed:
            # What is left of a TLS stream is its goodbye or a session ticket as a rule.
            return
        rows, how, shown = self._end(facts, subject, left, ended_ns)
        if reset is not None and reset not in rows:
            rows.append(reset)
        if error is not None:
            rows.append(error.proof(f"the peer's {error.text()}"))
        yield Evidence(
            self,
            ended_ns,
            f"{left.receive_queue if left is not None else 'Some'} bytes had not been read at {how}: the kernel answered the "
            "peer with RST instead of FIN.",
            rows,
            call=shown.call if shown is not None else None,
            socket=subject.id,
            process=subject.process,
            # That it was for want of memory, or by TCP_LINGER2, frames do not rule out.
            certainty="certain" if left is not None else "strong",
            severity=self._severity(facts, subject, peer, read_failed),
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _reset(facts: Facts, socket: SocketFacts) -> Proof | None:
        """Where nobody asked the kernel: the RST that it sent of its own accord when the socket was closed."""
        if facts.layer("kernel") is None or socket.ended_ns is None:
            return None
        closed = facts[Closing].last_close(socket)
        if closed is not None:
            return facts[Resets].of_its_own(socket, closed.entry_ns, closed.end_ns)
        if facts[Closing].ended_by(socket) is None:
            return None
        moves = (facts[Reads].of(socket).last, facts[Writes].of(socket).last)
        last_ns = max((call.end_ns for call in moves if call is not None), default=socket.created_ns)
        return facts[Resets].of_its_own(socket, last_ns, socket.ended_ns)

    @staticmethod
    def _doubtful(facts: Facts, socket: SocketFacts) -> bool:
        """Whether something may have been left that neither the kernel nor a frame tells of."""
        missing = facts.layer("kernel") is not None and facts.wire(socket.network) is not None
        return missing and socket.ended_ns is not None and facts[Reads].of(socket).zero_last is None

    @staticmethod
    def _severity(facts: Facts, socket: SocketFacts, peer: SocketFacts | None, read_failed: bool) -> Severity:
        """Grave when something of ours did not arrive; a client that leaves an answer unread harms nobody."""
        if peer is None:
            return "note" if facts[Protocols].of(socket).received == "http" and _answer(facts, socket) else "warning"
        lost = not peer.late and facts[Reads].of(peer).bytes < facts[Writes].of(socket).bytes
        return "error" if lost or read_failed else "note"

    @staticmethod
    def _end(
        facts: Facts, socket: SocketFacts, left: Sample | None, ended_ns: int
    ) -> tuple[list[Proof], str, CallFacts | None]:
        """The proof of the end, its name, and the call whose line is shown."""
        closed = facts[Closing].last_close(socket)
        process = facts[Closing].ended_by(socket)
        rows: list[Proof] = []
        if closed is not None:
            rows.append(closed.proof())
            how = f"call {closed.call.id} close()"
        elif process is not None:
            rows.append(facts.process_proof(process, f"the end of pid {process.pid}", ended_ns))
            how = f"the end of process {process.pid}"
        else:
            how = "the last close"
        if left is not None:
            rows.append(left.proof(f"{left.receive_queue} bytes unread, {left.state_name}"))
        _, counter = facts[Counters].risen_between(
            socket, "TcpExtTCPAbortOnClose", ended_ns - 1_000_000, ended_ns + _COUNTER_LAG_NS
        )
        if counter is not None and facts[Counters].private(socket.network):
            rows.append(counter)
        since_ns = closed.entry_ns if closed is not None else ended_ns - 1_000_000
        reset = facts[Resets].first(socket.local, socket.remote, since_ns)
        if reset is not None:
            rows.append(reset)
        return rows, how, closed or facts[Reads].of(socket).turn.last


def _answer(facts: Facts, socket: SocketFacts) -> bool:
    """Whether what was received is an HTTP answer, not a request."""
    first = facts[Protocols].of(socket).first_read
    return first is not None and first.payload.startswith(b"HTTP/")
