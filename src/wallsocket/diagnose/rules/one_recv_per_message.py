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
from ..trackers.waits import LONG_WAIT_NS, Waits
from ..trackers.writes import Writes
from ..vocabulary import AF_UNIX, CLOSE, MSG_WAITALL, WRITES

__all__ = ["OneRecvPerMessage"]

#: Errors after which a connection is of no use, whoever is to blame.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH)
#: What frameworks read at a time, at least.
_CHUNK = 65_536
#: A write that took longer has waited for room.
_HELD_NS = 200_000_000
#: Between two writes of one message; who writes by a clock takes longer.
_SAME_MESSAGE_NS = 60_000_000
#: Between two writes of one text, when its reader had closed meanwhile.
_SAME_TEXT_NS = 1_000_000_000
#: Buffers for whole messages are larger.
_SMALLEST = 16
#: What is read by itself in front of a message, for its length or its kind.
_LARGEST_HEADER = 32
#: What ends a text that begins so.
_CLOSING = {b"{": b"}", b"[": b"]", b"<": b">"}
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
        "A stream keeps no boundaries between messages. A read returns what has arrived, up to the size of the "
        "buffer, so a message may come in several reads."
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
        if self._held_up(facts, subject, turn):
            return
        if last.moved == last.length >= _CHUNK and facts[Polls].of(subject).event_loop:
            # A framework takes the stream as it comes, and the program had it stop.
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
            yield from self._went_on(facts, subject, peer, declared)
            return
        if cut is not None and not declared and _announced(turn, cut[2]):
            yield self.cannot_tell(
                "payload", "a message begins with its length: the program may have read that and refused the rest"
            )
            return
        if unread and not declared and _whole_line(last):
            yield self.cannot_tell(
                "payload", "the program took just one line: it may have refused the rest, which it left unread"
            )
            return
        if not declared and turn.answered is None and last.moved == last.length < _SMALLEST:
            yield self.cannot_tell("payload", "so short a buffer may be meant for the first bytes of a message alone")
            return
        left_over = last.exit.receive_queue if last.exit is not None else None
        if cut is None and not (declared and unread) and not (one_read and left_over and unread):
            if one_read and unread is None and facts.layer("kernel") is not None and peer is None:
                yield self.cannot_tell("peer", "the writes of the other end and the kernel's queue were not recorded")
            return
        yield self._evidence(facts, subject, peer, cut, declared)

    @staticmethod
    def _held_up(facts: Facts, socket: SocketFacts, turn: Turn) -> bool:
        """Whether something else kept the program from reading on: it stood in a write, or came to a bad end."""
        last, peer = turn.last, facts[Peers].of(socket)
        assert last is not None
        waits = facts[Waits]
        of = waits.of(socket)
        if any(call.name in WRITES and call.entry_ns >= last.end_ns for call in (*of.now.values(), *of.long)):
            return True
        wrote = [call for call in facts[Writes].of(socket).recent if call.entry_ns >= last.end_ns]
        if any((call.call.took_ns or 0) > _HELD_NS for call in wrote):
            return True
        process = facts[Closing].ended_by(socket)
        ended_badly = process is not None and (process.exit_code or process.signal is not None)
        if turn.answered is not None:
            return bool(ended_badly)
        # It was read so slowly that the peer stood in its write: a reader that stops is another cause.
        theirs = waits.of(peer) if peer is not None else None
        return theirs is not None and any(
            call.name in WRITES and call.entry_ns <= last.end_ns + _HELD_NS
            for call in (*theirs.now.values(), *theirs.long)
            if waits.until_ns(call) - call.entry_ns >= LONG_WAIT_NS
        )

    def _went_on(self, facts: Facts, socket: SocketFacts, peer: SocketFacts, declared: bool) -> Iterator[Judgement]:
        """The read ended where a write of the peer ended, and the peer's next write brought the rest."""
        turn, read_bytes = facts[Reads].of(socket).turn, facts[Reads].of(socket).bytes
        last = turn.last
        assert last is not None
        wrote = list(facts[Writes].of(peer).recent)
        tried = [call for call in facts[Errors].of(peer).calls if call.name in WRITES]
        rest = next((call for call in wrote if call.offset == read_bytes and call.moved), None)
        rest = rest or next((call for call in tried if call.entry_ns >= last.end_ns), None)
        before = next((call for call in reversed(wrote) if (call.offset or 0) + call.moved == read_bytes), None)
        if socket.late or rest is None or before is None:
            return
        heard = [call for call in facts[Reads].of(peer).recent if before.end_ns <= call.end_ns <= rest.entry_ns]
        if heard and not declared:
            # It may have answered what it had read.
            return
        certainty: Certainty = "hint"
        short = f"{last.name}({last.length}) returned {last.moved}"
        if declared:
            certainty = "strong"
            why = f"The length in front announced {last.length} bytes, {last.name} returned {last.moved}"
        elif _is_header(facts[Reads].of(socket).recent):
            certainty = "strong"
            why = f"{short} of a header of {last.length} bytes"
        elif (
            turn.reads == 1
            and turn.whole
            and last.moved < last.length
            and self._one_message(facts, socket, before, rest)
        ):
            why = f"{short}, and the peer's next {rest.name} followed {(rest.entry_ns - before.end_ns) / 1e6:.0f} ms later"
        else:
            return
        rows = [before.proof(f"peer's {before.text()}"), last.proof(), rest.proof(f"peer's {rest.text()}: the rest")]
        if turn.answered is not None:
            rows.append(turn.answered.proof(f"{turn.answered.text()}: the answer to what was read"))
        kind = "a stream socket" if socket.family == AF_UNIX else "TCP"
        yield Evidence(
            self,
            last.end_ns,
            f"{kind} keeps no message boundaries: {why}; no read asked for the rest, which the peer sent.",
            rows,
            call=last.call,
            socket=socket.id,
            process=last.call.process,
            certainty=certainty,
            severity="error" if certainty == "strong" else "warning",
            subjects=frozenset({peer.id}),
        )

    @staticmethod
    def _one_message(facts: Facts, socket: SocketFacts, before: CallFacts, rest: CallFacts) -> bool:
        """Whether two writes of the peer look like parts of one message, to somebody who answered it or had asked for it."""
        turn = facts[Reads].of(socket).turn
        assert turn.first is not None
        asked = facts[Writes].of(socket).first
        concerned = turn.answered is not None or (asked is not None and asked.end_ns <= turn.first.end_ns)
        payload = before.payload
        # Text that ends its line may be a message of its own.
        whole = len(payload) == before.moved and payload[-1:] in (b"\n", b"\0", b"}", b"]", b">")
        loop = facts[Polls].of(socket).event_loop and turn.answered is not None
        gap_ns = rest.entry_ns - before.end_ns
        if not loop and len(payload) == before.moved and _open_ended(payload):
            return True
        closed = facts[Closing].last_close(socket)
        if turn.answered is not None and closed is not None and closed.end_ns <= rest.entry_ns:
            # What is longer than was kept may end anywhere: that the peer went on without an answer speaks for one message.
            return not whole and payload[:1] in _CLOSING and 0 <= gap_ns < _SAME_TEXT_NS
        return concerned and not whole and not loop and 0 <= gap_ns < _SAME_MESSAGE_NS

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
        why = f"{kind} keeps no message boundaries: {last.name}({call.length}) returned {rest}; no read asked for the rest."
        if declared:
            why = f"The length in front announced {call.length} bytes, {last.name} returned {last.moved}. " + why
        shut = facts[Closing].of(peer).shut if peer is not None else {}
        half_closed = 1 in shut or 2 in shut
        certainty = self._certainty(facts, socket, cut, declared)
        return Evidence(
            self,
            last.end_ns,
            why,
            rows,
            call=call,
            socket=socket.id,
            process=call.process,
            certainty=certainty,
            severity="warning" if certainty == "hint" else "error",
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
        if reply and not declared and facts[Closing].unread(socket) and b"\n" in last.payload[:-1]:
            # It began with a whole line: a program that knows the request by that may refuse what follows.
            return "hint"
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


def _whole_line(call: CallFacts) -> bool:
    """Whether a read asked for just the bytes of one line, and got them: it knew where the line ends."""
    payload = call.payload
    return call.moved == call.length == len(payload) and payload.endswith(b"\n")


def _is_header(recent: list[CallFacts]) -> bool:
    """Whether the last read got a part of the few bytes that each message begins with, by what was read before."""
    last = recent[-1]
    if not 1 < last.length <= _LARGEST_HEADER or last.moved >= last.length:
        return False
    alike = [call for call in recent[:-1] if call.length == last.length and call.call.source == last.call.source]
    return bool(alike) and all(call.moved == call.length for call in recent[:-1])


def _open_ended(payload: bytes) -> bool:
    """Whether bytes begin an object, list or element of text (JSON, XML) that does not end in them."""
    text = payload.strip()
    closing = _CLOSING.get(text[:1])
    return closing is not None and text[-1:] not in (closing, b"")


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
