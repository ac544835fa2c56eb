"""One read was taken for the whole message."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Certainty
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.options import Options
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads, Turn
from ..trackers.waits import Waits
from ..trackers.writes import Writes
from ..vocabulary import AF_UNIX, CLOSE, MSG_WAITALL, WRITES

__all__ = ["OneRecvPerMessage"]

#: Errors after which a connection is of no use, whoever is to blame.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH)
_READ_TO_THE_END = "Read until the agreed end: here the peer half-closes, so read until recv returns 0 bytes (b'')."


class OneRecvPerMessage(Rule):
    """One read was taken for the whole message."""

    id = "one-recv-per-message"
    title = "one recv() was taken for the whole message"
    covers = (39,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A stream keeps no borders between messages. A read returns what has arrived, up to the size of the buffer, so "
        "a message may come in several reads."
    )
    symptoms = ("message truncated", "incomplete data received", "recv returns only part", "only the first 1024 bytes")
    proof = (
        "The last read ended inside one write of the peer (or left bytes in the kernel's queue, or returned less than "
        "the length in front of it), the program answered or closed without asking for more, and the rest was never "
        "read. Certain when the program answered what it had."
    )
    fix = "Read until the agreed end of the message: a length in front of it, a delimiter, or the peer's half-close."
    disproof = (
        "The program meant to leave the rest unread, for example because it refuses the message; or its messages have "
        "exactly the size that it read."
    )
    references = ("recv(2)", "tcp(7)", "RFC 9293 3.9.1")
    effects = ("close-with-unread-data", "write-after-peer-closed", "both-wait")
    needs = (Closing, Errors, Options, Peers, Polls, Protocols, Reads, Waits, Writes)
    given = Reads
    live = True

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        reads = facts[Reads].of(subject)
        turn = reads.turn
        last = turn.last
        if not subject.stream or last is None or turn.looked_again or not facts[Closing].done(subject):
            return
        if last.flags & MSG_WAITALL or facts[Options].aborts(subject) or facts[Protocols].framed(subject):
            return
        if any(call.errno in _GONE and call.end_ns <= last.end_ns for call in facts[Errors].of(subject).calls):
            # The connection had broken before: what came last is what was left of it.
            return
        if subject.tcp and last.exit is not None and last.exit.state == CLOSE:
            return
        declared = _declared(turn)
        one_read = turn.reads == 1 and turn.whole
        until_short = turn.filled == turn.reads - 1 and last.moved < last.length
        if not (one_read or until_short or declared):
            return
        peer = facts[Peers].of(subject)
        cut = self._cut(facts, subject, peer, last) if peer is not None else None
        unread = facts[Closing].unread(subject)
        if peer is not None and cut is None and facts[Writes].of(peer).recent:
            return
        if cut is not None and not declared and _announced(turn, cut[2]):
            yield self.cannot_tell(
                "payload", "a message begins with its length: the program may have read that and refused the rest"
            )
            return
        left_over = last.exit.receive_queue if last.exit is not None else None
        if cut is None and not (declared and unread) and not (one_read and left_over and unread):
            if one_read and unread is None and facts.layer("kernel") is not None and peer is None:
                yield self.cannot_tell("peer", "the writes of the other end and the kernel's queue were not recorded")
            return
        yield self._evidence(facts, subject, peer, cut, declared)

    @staticmethod
    def _cut(
        facts: Facts, socket: SocketFacts, peer: SocketFacts, last: CallFacts
    ) -> tuple[CallFacts, int, int] | None:
        """The peer's write in which the last read ended, how much of it was read, and its size."""
        if socket.late:
            # Bytes may have been read before: which position a read is at is unknown.
            return None
        begun = last.offset if last.offset is not None else facts[Reads].of(socket).bytes - last.moved
        position = begun + last.moved
        ended = socket.ended_ns or facts.now_ns
        writes = list(facts[Writes].of(peer).recent)
        # A writer that was still in its call when the reader left had given the whole buffer to it.
        writes += [call for call in facts[Waits].of(peer).now.values() if call.name in WRITES]
        for write in writes:
            if write.name in ("sendfile", "splice") or write.offset is None:
                continue
            size = write.length if write.unfinished else write.moved
            if write.offset < position < write.offset + size and write.entry_ns < ended:
                return write, position - write.offset, size
        return None

    def _evidence(
        self,
        facts: Facts,
        socket: SocketFacts,
        peer: SocketFacts | None,
        cut: tuple[CallFacts, int, int] | None,
        declared: bool,
    ) -> Evidence:
        turn = facts[Reads].of(socket).turn
        last = turn.last
        assert last is not None
        call = last.call
        rows = [last.proof()]
        unread = facts[Closing].unread(socket)
        if last.exit is not None and last.exit.receive_queue:
            text = f"{last.exit.receive_queue} bytes still queued when call {call.id} had returned"
            rows.append(last.exit.proof(text))
        if cut is not None:
            write, part, size = cut
            begin = write.offset or 0
            rows.append(
                write.proof(f"peer's call {write.call.id} {write.name}: bytes {begin}–{begin + size - 1} of its stream")
            )
            rest = f"{part} of the {size} bytes that the peer sent in one call"
            if part < last.moved:
                rest = f"{last.moved} bytes; the last {part} of them began the {size} that the peer sent in one call"
        else:
            queued = (unread.receive_queue if unread is not None else None) or 0
            rest = f"{last.moved} bytes and left {queued}"
        if turn.answered is not None:
            rows.append(turn.answered.proof(f"{turn.answered.text()}: the answer to what was read"))
        closed = facts[Closing].of(socket).closed
        if closed is not None and unread is not None and unread.call == closed.call.id:
            rows.append(unread.proof(f"{unread.receive_queue} bytes unread at call {closed.call.id} close"))
        kind = "a stream socket" if socket.family == AF_UNIX else "TCP"
        why = (
            f"{kind} keeps no message borders: {last.name}({call.length}) returned {rest}; no read asked for the rest."
        )
        if declared:
            why = f"The length in front announced {call.length} bytes, {last.name} returned {last.moved}. " + why
        shut = facts[Closing].of(peer).shut if peer is not None else {}
        half_closed = 1 in shut or 2 in shut
        return Evidence(
            self,
            last.end_ns,
            why,
            rows,
            call=call,
            socket=socket.id,
            process=call.process,
            certainty=self._certainty(facts, socket, cut, declared),
            fix=_READ_TO_THE_END if half_closed else self.fix,
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _certainty(
        facts: Facts, socket: SocketFacts, cut: tuple[CallFacts, int, int] | None, declared: bool
    ) -> Certainty:
        turn = facts[Reads].of(socket).turn
        last = turn.last
        assert last is not None
        asked = last.length
        if declared and turn.reads >= 2:
            return "certain"
        if cut is not None and not declared and cut[1] < last.moved == asked and facts[Polls].of(socket).event_loop:
            # A full buffer over the ends of several writes: the stream is taken as it comes, and was given up later.
            return "hint"
        records = cut is not None and asked > 0 and last.moved == asked and cut[2] % asked == 0
        # An event loop reads piece by piece for a parser, which may refuse what it has seen so far.
        reply = turn.answered is not None and turn.reads == 1 and turn.whole
        if cut is not None and reply and not (records or facts[Polls].of(socket).event_loop):
            return "certain"
        return "strong"


def _declared(turn: Turn) -> bool:
    """Whether the last read asked for exactly the length that the read before it had brought, and got less."""
    header, last = turn.before_last, turn.last
    if header is None or last is None or header.moved not in (1, 2, 4, 8):
        return False
    raw = header.payload[: header.moved]
    if len(raw) != header.moved or header.call.length != header.moved or last.moved >= last.length:
        return False
    return last.call.length in (int.from_bytes(raw, "big"), int.from_bytes(raw, "little"))


def _announced(turn: Turn, size: int) -> bool:
    """Whether the message that was cut begins with its own length, of 2, 4 or 8 bytes, itself included or not."""
    begins = turn.first.payload if turn.first is not None else b""
    for width in (2, 4, 8):
        raw = begins[:width]
        if len(raw) == width and size > width:
            lengths = (int.from_bytes(raw, "big"), int.from_bytes(raw, "little"))
            if size in lengths or size - width in lengths:
                return True
    return False
