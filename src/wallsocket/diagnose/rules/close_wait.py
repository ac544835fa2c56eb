"""The peer has closed, and the program does not."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..sample import Sample
from ..subjects import Line, SocketFacts
from ..trackers.closing import Closing
from ..trackers.descriptors import Descriptors
from ..trackers.errors import Errors
from ..trackers.lines import LEFT_NS, Lines
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import CLOSE_WAIT

__all__ = ["CloseWait"]

#: What an interpreter closes so shortly before its end is closed by its end.
_FINAL_NS = 500_000_000


#: After these a read of nothing says nothing of the peer.
_BROKEN = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT})


class CloseWait(Rule):
    """The peer has closed, and the program does not."""

    id = "close-wait"
    title = "sockets stay in CLOSE_WAIT: close() is missing"
    covers = (57,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "CLOSE_WAIT means that the peer has closed and the kernel waits for the program to do the same. Nothing ends "
        "this state but a close: each such socket keeps a descriptor and memory."
    )
    symptoms = ("CLOSE_WAIT", "too many open files", "descriptor leak", "connections pile up")
    proof = (
        "Sockets made at the same line were in CLOSE_WAIT for more than a second, the program had read their end "
        "(recv returned 0) and had not closed them when the recording or the process ended. Certain from three on. A hint "
        "for three or more whose end nobody has read. Strong where the kernel was not asked, and only the reads say it."
    )
    fix = "Close the socket when recv returns 0 bytes, on every path: `with`, `finally`, defer."
    disproof = "The program was still working on an answer for a peer that had only half-closed."
    references = ("close(2)", "tcp(7)", "RFC 9293 3.6")
    pictures = "also"
    subject = "line"
    needs = (Closing, Descriptors, Errors, Lines, Reads, Samples, Waits, Writes)

    _MANY = 3

    def judge(self, facts: Facts, subject: Line) -> Iterator[Judgement]:
        waited = facts[Lines].of(subject).close_waits
        pictures = facts.pictures
        group = [socket for _, socket in sorted(waited.items()) if self._leaks(facts, socket)]
        if not group and not pictures:
            yield from self._unnoticed(facts, [socket for _, socket in sorted(waited.items())])
        if not group:
            return
        late = not pictures and any(one.late for one in group)
        moved_on = any(self._moved_on(facts, one) for one in group)
        if len(group) < self._MANY and (pictures or not moved_on):
            return
        first = group[0]
        oldest = self._since(facts, first)
        assert oldest is not None
        sampled = isinstance(oldest, Sample)
        since_ns = oldest.at_ns if isinstance(oldest, Sample) else oldest.end_ns
        age_s = max(self._age_ns(facts, one) for one in group) / 1e9
        rows = []
        for one in group[:5]:
            since = facts[Samples].of(one).close_wait_since
            if since is not None:
                rows.append(since.proof(f"socket {one.id} ({one.name()}) in CLOSE_WAIT"))
        for one in group[:3]:
            end = facts[Reads].of(one).zero_last
            if end is not None:
                rows.append(end.proof(f"{end.text()}: the peer had closed"))
        for holder in facts[Descriptors].open(first)[:1]:
            text = f"descriptor {holder.number} of pid {facts.pid(holder.process)} is still open"
            rows.append(Proof("calls", "descriptor", holder.id, since_ns, text))
        many = len(group) >= self._MANY
        number = f"{len(group)} sockets have" if len(group) > 1 else "A socket has"
        made = first.row.call if first.row is not None else None
        last = facts[Reads].of(first).zero_last or facts[Reads].of(first).last
        yield Evidence(
            self,
            since_ns,
            f"{number} {'been in CLOSE_WAIT' if sampled else 'stayed open'} for up to {age_s:.1f} s: the peers closed, "
            f"{facts.command(first.process) or 'the program'} {self._read(facts, group, late=late)}did not close"
            f"{f' (socket {first.id} was made by call {made})' if made else ''}.",
            rows,
            call=last.call if last is not None else None,
            socket=first.id,
            process=first.process,
            certainty="certain" if many and sampled and not (pictures or late) else "strong",
            # A pool of connections that were open before may notice a closed one only when it wants to use it.
            severity="error" if many and not late else "warning",
            subjects=frozenset(one.id for one in group),
        )

    def _unnoticed(self, facts: Facts, sockets: list[SocketFacts]) -> Iterator[Judgement]:
        """Nobody has read the ends: connections at rest in a pool, or forgotten ones."""
        kept = [
            one for one in sockets if facts[Reads].of(one).zero_last is None and self._age_ns(facts, one) >= LEFT_NS
        ]
        since = facts[Samples].of(kept[0]).close_wait_since if kept else None
        if len(kept) < self._MANY or since is None:
            return
        first, last = kept[0], facts[Reads].of(kept[0]).last
        oldest_s = max(self._age_ns(facts, one) for one in kept) / 1e9
        yield Evidence(
            self,
            since.at_ns,
            f"{len(kept)} sockets were in CLOSE_WAIT for up to {oldest_s:.1f} s: the peers closed, and "
            f"{facts.command(first.process) or 'the program'} neither read their ends nor closed. A pool closes such "
            "connections when it next looks at them; forgotten ones stay.",
            [since.proof(f"socket {first.id} ({first.name()}) in CLOSE_WAIT")],
            call=last.call if last is not None else None,
            socket=first.id,
            process=first.process,
            certainty="hint",
            severity="note",
            subjects=frozenset(one.id for one in kept),
        )

    def _leaks(self, facts: Facts, socket: SocketFacts) -> bool:
        if self._age_ns(facts, socket) < LEFT_NS:
            return False
        ended = socket.ended_ns
        if ended is not None and facts[Closing].ended_by(socket) is None:
            # An interpreter closes what is left when it ends: that is no close of the program's.
            row = facts.process(socket.process)
            if row is None or row.ended_ns is None or row.ended_ns - ended > _FINAL_NS:
                return False
        reads, wrote = facts[Reads].of(socket), facts[Writes].of(socket)
        untouched = not (reads.calls or wrote.calls or reads.zero_run)
        if facts.pictures or (socket.late and untouched):
            return socket.last is not None and socket.last.state == CLOSE_WAIT
        end = reads.zero_last
        return end is not None and (wrote.last is None or wrote.last.end_ns <= end.end_ns or reads.zero_run > 1)

    @staticmethod
    def _read(facts: Facts, group: list[SocketFacts], *, late: bool) -> str:
        """What the program did with what came, as far as that is known."""
        if not facts.pictures:
            return "" if late else "read the end and "
        # The peer's FIN has a sequence number of its own: the queue counts it as a byte until it is read (tcp_recvmsg).
        queues = [(one.last.receive_queue or 0) if one.last is not None else 0 for one in group]
        if not any(queues):
            return "read the end and "
        unread = sum(max(queue - 1, 0) for queue in queues)
        if not unread:
            return "read all data but not the end and "
        of = f" of {sum(1 for queue in queues if queue > 1)} of them" if len(group) > 1 else ""
        return f"left {unread} bytes{of} unread and "

    @staticmethod
    def _age_ns(facts: Facts, socket: SocketFacts) -> int:
        since = CloseWait._since(facts, socket)
        if since is None:
            return 0
        return (socket.ended_ns or facts.now_ns) - (since.at_ns if isinstance(since, Sample) else since.end_ns)

    @staticmethod
    def _since(facts: Facts, socket: SocketFacts) -> Sample | CallFacts | None:
        """The first sample in this state; where nobody asked the kernel, the read that found the end of a stream that was whole."""
        sample = facts[Samples].of(socket).close_wait_since
        if sample is not None or facts.layer("kernel") is None:
            return sample
        broken = any(call.errno in _BROKEN for call in facts[Errors].of(socket).calls)
        return None if broken or facts[Closing].of(socket).shut else facts[Reads].of(socket).zero_first

    @staticmethod
    def _moved_on(facts: Facts, socket: SocketFacts) -> bool:
        """Whether the thread that read the end waits elsewhere since."""
        end = facts[Reads].of(socket).zero_last
        if end is None:
            return False
        waiting = facts[Waits].waiting.get(end.thread)
        return waiting is not None and waiting.call.socket != socket.id
