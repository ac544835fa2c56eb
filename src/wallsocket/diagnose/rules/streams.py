"""Faults of byte streams: borders of messages, ends, and turns."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from ...events import Known, State
from ..facts import LONG_WAIT_NS, CallFacts, Facts, SocketFacts, Turn, state_proof
from ..finding import CannotTell, Certainty, Proof
from ..rule import Evidence, Rule
from ..vocabulary import (
    AF_UNIX,
    CLOSE,
    EPOLL_WAITS,
    MSG_WAITALL,
    POLL_CALLS,
    POLLIN,
    READS,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SOL_SOCKET,
    WRITES,
)

__all__ = ["RULES"]

#: The first line of an HTTP/1 request (RFC 9112, section 3).
_HTTP_REQUEST = re.compile(rb"[A-Z]{3,8} \S")
#: Content types of TLS records with the major version that follows (RFC 8446, section 5.1).
_TLS = tuple(bytes((kind, 3)) for kind in (20, 21, 22, 23))
#: Errors after which a connection is of no use, whoever is to blame.
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH)


def _begins(facts: CallFacts | None) -> bytes:
    return (facts.call.payload or b"") if facts is not None else b""


def _stream_name(socket: SocketFacts) -> str:
    return "a stream socket" if socket.family == AF_UNIX else "TCP"


def _after_end(facts: Facts, socket: SocketFacts) -> bool:
    """Whether the program is done with the socket: it closed it, or ended by itself."""
    if facts.ended_ns(socket) is None:
        return False
    process = facts.ended_by(socket)
    return process is None or not facts.killed(process)


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
    effects = ("close-with-unread-data", "write-after-peer-closed", "both-wait")

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        turn = socket.turn
        last = turn.last
        if not socket.stream or last is None or turn.looked_again or not _after_end(facts, socket):
            return
        if last.flags & MSG_WAITALL or facts.aborts(socket) or self._foreign(facts, socket, turn):
            return
        if any(call.call.errno in _GONE and call.end_ns <= last.end_ns for call in socket.errors):
            # The connection had broken before: what came last is what was left of it.
            return
        if socket.tcp and last.exit is not None and last.exit.state == CLOSE:
            return
        declared = _declared(turn)
        one_read = turn.reads == 1 and turn.whole
        until_short = turn.filled == turn.reads - 1 and last.moved < (last.call.length or 0)
        if not (one_read or until_short or declared):
            return
        peer = facts.peer(socket)
        cut = _cut(facts, socket, peer, last) if peer is not None else None
        unread = facts.unread(socket)
        if peer is not None and cut is None and peer.recent_writes:
            return
        left_over = last.exit.receive_queue if last.exit is not None else None
        if cut is None and not (declared and unread) and not (one_read and left_over and unread):
            if one_read and unread is None and facts.layer("kernel") is not None and peer is None:
                yield self.cannot_tell("peer", "the writes of the other end and the kernel's queue were not recorded")
            return
        yield self._evidence(facts, socket, turn, peer, cut, declared)

    @staticmethod
    def _foreign(facts: Facts, socket: SocketFacts, turn: Turn) -> bool:
        """Whether the bytes belong to a protocol whose readers may stop early: HTTP requests, TLS."""
        first = _begins(socket.reads.first)
        return (
            first.startswith(_TLS)
            or _begins(turn.first).startswith(_TLS)
            or (
                b" HTTP/1." in _begins(turn.first)
                or (
                    _HTTP_REQUEST.match(_begins(turn.first)) is not None
                    and (b"HTTP" in _begins(turn.first) or b" /" in _begins(turn.first)[:12])
                )
            )
        )

    def _evidence(
        self,
        facts: Facts,
        socket: SocketFacts,
        turn: Turn,
        peer: SocketFacts | None,
        cut: tuple[CallFacts, int, int] | None,
        declared: bool,
    ) -> Evidence:
        last = turn.last
        assert last is not None
        call = last.call
        rows = [last.proof()]
        unread = facts.unread(socket)
        if last.exit is not None and last.exit.receive_queue:
            text = f"{last.exit.receive_queue} bytes still queued when call {call.id} had returned"
            rows.append(state_proof(last.exit, text))
        if cut is not None:
            write, part, size = cut
            begin = write.call.offset or 0
            rows.append(
                write.proof(f"peer's call {write.call.id} {write.name}: bytes {begin}–{begin + size - 1} of its stream")
            )
            rest = f"{part} of the {size} bytes that the peer sent in one call"
        else:
            queued = (unread.receive_queue if unread is not None else None) or 0
            rest = f"{last.moved} bytes and left {queued}"
        if turn.answered is not None:
            rows.append(turn.answered.proof(f"{turn.answered.text()}: the answer to what was read"))
        if socket.closed is not None and unread is not None and unread.call == socket.closed.call.id:
            text = f"{unread.receive_queue} bytes unread at call {socket.closed.call.id} close"
            rows.append(state_proof(unread, text))
        why = (
            f"{_stream_name(socket)} keeps no message borders: {last.name}({call.length}) returned {rest}; "
            f"no read asked for the rest."
        )
        if declared:
            why = f"The length in front announced {call.length} bytes, {last.name} returned {last.moved}. " + why
        return Evidence(
            self,
            last.end_ns,
            why,
            rows,
            call=call,
            socket=socket.id,
            process=call.process,
            certainty=self._certainty(socket, turn, cut, declared),
            fix=self._fix_for(peer, socket),
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _certainty(
        socket: SocketFacts, turn: Turn, cut: tuple[CallFacts, int, int] | None, declared: bool
    ) -> Certainty:
        last = turn.last
        assert last is not None
        asked = last.call.length or 0
        if declared and turn.reads >= 2:
            return "certain"
        refused = _begins(turn.answered).lower().startswith((b"-err", b"err", b"4", b"5"))
        records = cut is not None and asked > 0 and last.moved == asked and cut[2] % asked == 0
        # An event loop reads piece by piece for a parser, which may refuse what it has seen so far.
        reply = turn.answered is not None and turn.reads == 1 and turn.whole
        if cut is not None and reply and not (refused or records or socket.event_loop):
            return "certain"
        return "strong"

    def _fix_for(self, peer: SocketFacts | None, socket: SocketFacts) -> str:
        if peer is not None and (1 in peer.shut or 2 in peer.shut):
            return "Read until the agreed end: here the peer half-closes, so read until recv returns 0 bytes (b'')."
        return self.fix


def _declared(turn: Turn) -> bool:
    """Whether the last read asked for exactly the length that the read before it had brought, and got less."""
    header, last = turn.before_last, turn.last
    if header is None or last is None or header.moved not in (1, 2, 4, 8):
        return False
    raw = _begins(header)[: header.moved]
    if len(raw) != header.moved or header.call.length != header.moved or last.moved >= (last.call.length or 0):
        return False
    return last.call.length in (int.from_bytes(raw, "big"), int.from_bytes(raw, "little"))


def _cut(facts: Facts, socket: SocketFacts, peer: SocketFacts, last: CallFacts) -> tuple[CallFacts, int, int] | None:
    """The peer's write in which the last read ended, how much of it was read, and its size."""
    if socket.late:
        # Bytes may have been read before: which position a read is at is unknown.
        return None
    position = (last.call.offset if last.call.offset is not None else socket.reads.bytes - last.moved) + last.moved
    ended = facts.ended_ns(socket) or facts.now_ns
    writes = list(peer.recent_writes)
    # A writer that was still in its call when the reader left had given the whole buffer to it.
    writes += [call for call in peer.waiting.values() if call.name in WRITES]
    for write in writes:
        if write.name in ("sendfile", "splice"):
            continue
        begin = write.call.offset
        size = write.moved if write.call.result is not None else (write.call.length or 0)
        if begin is not None and begin < position < begin + size and write.entry_ns < ended:
            return write, position - begin, size
    return None


class ShortSendIgnored(Rule):
    """A write took only a part, and the rest was never offered again."""

    id = "short-send"
    title = "a short send was taken for a whole one"
    covers = (41,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "send on a non-blocking socket (also one with a timeout, or interrupted by a signal) takes what fits into the "
        "send buffer and returns that number. The rest is the caller's to send."
    )
    symptoms = ("data missing at the receiver", "large messages arrive incomplete", "send returned less than len")
    proof = (
        "A write returned less than it was given; until the program shut the connection down or ended, it offered "
        "fewer bytes than were left over; the peer had not gone."
    )
    fix = "Send the rest in a loop when the socket is writable again; in Python use sendall on a socket that blocks."
    disproof = "The program gave the connection up on purpose."

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        short = socket.short
        if short is None or short.waited or facts.aborts(socket):
            return
        shut = socket.shut.get(1) or socket.shut.get(2)
        if not _after_end(facts, socket) and not (shut is not None and shut.end_ns > short.call.end_ns):
            return
        if any(call.call.errno in _GONE for call in socket.errors) or socket.hangup_seen is not None:
            return
        peer = facts.peer(socket)
        ended = facts.left_ns(socket)
        if peer is not None:
            gone = facts.ended_ns(peer)
            if gone is not None and gone < ended and (peer.late or peer.reads.bytes < socket.writes.bytes):
                return
        call = short.call.call
        rows = [short.call.proof()]
        if socket.closed is not None:
            rows.append(socket.closed.proof())
        why = (
            f"{short.call.name} took {call.result} of {call.length} bytes; of the other {short.owed} "
            f"{f'at most {short.offered} were' if short.offered else 'none was'} offered again."
        )
        if peer is not None and not peer.late:
            why += f" The peer read {peer.reads.bytes} bytes in all."
        yield Evidence(
            self,
            short.call.end_ns,
            why,
            rows,
            call=call,
            socket=socket.id,
            process=call.process,
            subjects=frozenset({peer.id} if peer is not None else ()),
        )


class EndOfStreamIgnored(Rule):
    """The end of the stream is read again and again."""

    id = "end-of-stream-ignored"
    title = "the end of the stream is not handled: recv() returns 0 again and again"
    covers = (42,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "recv returns 0 bytes when the peer sends no more; it will do so for ever and at once. A loop that does not "
        "stop there uses a whole processor."
    )
    symptoms = ("100% CPU after client disconnects", "recv returns empty string", "busy loop", "infinite loop on recv")
    proof = "At least 32 reads in a row on one stream returned 0, less than 10 ms apart on average."
    fix = "Leave the loop and close the socket when recv returns 0 bytes."
    disproof = "The reads had a length of 0."

    #: Reads of 0 in a row that no library makes by itself (TLS and HTTP stacks make one to three).
    _RUN = 32
    _APART_NS = 10_000_000

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        flow = socket.reads
        first, last = flow.zero_first, flow.zero_last
        if not socket.stream or flow.zero_run < self._RUN or first is None or last is None:
            return
        span_ns = last.end_ns - first.entry_ns
        if span_ns > flow.zero_run * self._APART_NS:
            return
        yield Evidence(
            self,
            first.end_ns,
            f"{last.name} returned 0 (the peer sends no more) {flow.zero_run} times in a row within "
            f"{span_ns / 1e6:.0f} ms on {socket.name()}.",
            [first.proof(f"{first.text()}: the first"), last.proof(f"{last.text()}: the last")],
            call=last.call,
            socket=socket.id,
            process=last.call.process,
        )


class BothWait(Rule):
    """Each end waits for the other."""

    id = "both-wait"
    title = "both ends wait for the other"
    covers = (43, 44)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "When both programs wait in recv and nothing is on the way, or both in send and neither reads, no event can "
        "wake either of them: a deadlock over the network."
    )
    symptoms = ("program hangs", "deadlock", "both client and server block", "stuck in recv", "stuck in send")
    proof = (
        "Both ends of one connection are traced; each is inside a call without time limit for at least a second, both "
        "in recv with empty queues or both in send with unread data at both ends. Certain when each process has one "
        "thread and the sockets say that they have no time limit."
    )
    fix = "Agree whose turn it is, and read while writing large data; give every wait a time limit."
    disproof = "Another thread or a signal lets one of them go on."
    pictures = "also"
    supersedes = ("silent-peer",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not socket.stream or not (socket.waiting or socket.long_waits):
            return
        for kind, option in ((READS, SO_RCVTIMEO), (WRITES, SO_SNDTIMEO)):
            waits = [] if _limited(facts, socket, option) else _waits(socket, kind)
            if not waits:
                continue
            peer = facts.peer(socket)
            if peer is None:
                waiting = [wait for wait in waits if wait.call.took_ns is None]
                since = waiting[-1].entry_ns if waiting and facts.final and socket.remote is not None else None
                if since is not None and _until(facts, waiting[-1]) - since >= LONG_WAIT_NS:
                    yield self.cannot_tell("peer", "the other end of a waiting connection was not traced")
                continue
            if peer.id < socket.id or _limited(facts, peer, option):
                continue
            pairs = [(mine, theirs) for mine in waits for theirs in _waits(peer, kind)]
            for mine, theirs in reversed(pairs):
                since = max(mine.entry_ns, theirs.entry_ns)
                waited_ns = min(_until(facts, mine), _until(facts, theirs)) - since
                states = _while_waiting(mine), _while_waiting(theirs)
                awaits = mine.name in EPOLL_WAITS or theirs.name in EPOLL_WAITS
                if awaits:
                    # A loop wakes for other things: how long nothing came says for how long it has waited for this.
                    waited_ns = min(socket.silent_ms or 0, peer.silent_ms or 0) * 1_000_000
                if waited_ns < LONG_WAIT_NS or states[0] is None or states[1] is None:
                    continue
                queues = [state.receive_queue or 0 for state in states if state is not None]
                if any(queues) if kind is READS else not all(queues):
                    continue
                ends = (socket, mine, states[0]), (peer, theirs, states[1])
                if awaits:
                    yield self._resting(facts, *ends, waited_ns)
                    break
                if self._others(facts, mine, theirs):
                    yield self.cannot_tell("threads", "both ends wait, but other threads of the programs may go on")
                    break
                known = all(wait.name in POLL_CALLS or _limited(facts, end, option) is False for end, wait, _ in ends)
                yield self._evidence(facts, *ends, waited_ns, kind is READS, known)
                break

    def _resting(
        self,
        facts: Facts,
        one: tuple[SocketFacts, CallFacts, State],
        other: tuple[SocketFacts, CallFacts, State],
        silent_ns: int,
    ) -> Evidence:
        """Tasks of event loops await both ends: a deadlock, or a connection between two requests."""
        names, rows = [], []
        for socket, call, state in (one, other):
            name, place = _who(facts, call)
            names.append(place)
            what = "a task awaits it" if call.name in EPOLL_WAITS else call.text()
            rows.append(call.proof(f"{name}: {what}"))
            rows.append(state_proof(state, f"socket {socket.id}: nothing to read, nothing on the way out"))
        return Evidence(
            self,
            one[1].entry_ns,
            f"{names[0]} and {names[1]} have waited for {silent_ns / 1e9:.1f} s to receive on one connection, and both "
            "queues are empty: each waits for the other, unless the connection rests between two requests.",
            rows,
            call=one[1].call,
            socket=one[0].id,
            process=one[1].call.process,
            certainty="hint",
            severity="note",
            title="both ends wait to receive",
            subjects=frozenset({other[0].id}),
        )

    @staticmethod
    def _others(facts: Facts, mine: CallFacts, theirs: CallFacts) -> bool:
        """Whether a thread that made socket calls is known not to wait: it may send what the others wait for."""
        these = {(wait.call.process, wait.call.tid) for wait in (mine, theirs)}
        known = {(process, tid) for process, _ in these for tid in facts.threads.get(process, ())}
        return any(thread not in facts.waiting_threads for thread in known - these)

    def _evidence(
        self,
        facts: Facts,
        one: tuple[SocketFacts, CallFacts, State],
        other: tuple[SocketFacts, CallFacts, State],
        waited_ns: int,
        reading: bool,
        limits_known: bool,
    ) -> Evidence:
        rows: list[Proof] = []
        names = []
        alone = True
        for socket, call, state in (one, other):
            name, place = _who(facts, call)
            names.append(place)
            rows.append(call.proof(f"{name}: {call.text()}"))
            queued = f"{state.receive_queue} bytes to read, {state.send_queue or 0} on the way out"
            rows.append(state_proof(state, f"socket {socket.id}: {queued}"))
            process = call.call.process
            known = facts.threads.get(process, set()) | facts.attached.get(process, frozenset())
            alone &= len(known) == 1
        first, second = (one, other) if one[1].entry_ns >= other[1].entry_ns else (other, one)
        if reading:
            title, why = "both ends wait for the other in recv", "both queues are empty"
        else:
            title, why = "both ends wait for the other in send", "both have unread data and neither reads"
        why += (
            ", and neither wait has a time limit" if limits_known else "; whether a time limit ends this is not known"
        )
        return Evidence(
            self,
            first[1].entry_ns,
            f"{names[0]} and {names[1]} waited for {waited_ns / 1e9:.1f} s on one connection: {why}.",
            rows,
            call=first[1].call,
            socket=first[0].id,
            process=first[1].call.process,
            certainty="certain" if alone and limits_known else "strong",
            title=title,
            subjects=frozenset({second[0].id}),
        )


def _who(facts: Facts, call: CallFacts) -> tuple[str, str]:
    """The process that made a call, and the same with the line of it."""
    name = f"{facts.command(call.call.process) or 'process'} (pid {facts.pid(call.call.process)})"
    line = facts.line(call.call)
    return name, f"{name} at {line}" if line else name


def _waits(socket: SocketFacts, kind: frozenset[str]) -> list[CallFacts]:
    """Calls of this kind without a time limit that have not returned, or waited long and brought nothing."""
    found = []
    for call in (*socket.long_waits, *socket.waiting.values()):
        value = call.call.value or b""
        polls = kind is READS and call.name in POLL_CALLS and call.call.a == 1 and (call.call.b or 0) < 0
        awaits = kind is READS and call.name in EPOLL_WAITS and call.call.known == Known.AWAITING
        if call.name in kind or awaits or (polls and len(value) >= 8 and int.from_bytes(value[4:6], "little") & POLLIN):
            found.append(call)
    return found


def _until(facts: Facts, wait: CallFacts) -> int:
    """When a wait ended: the call returned, or its process ended, or not yet."""
    if wait.call.exit_ns is not None:
        return wait.call.exit_ns
    process = facts.tables.processes.get(wait.call.process)
    ended = process.ended_ns if process is not None else None
    return facts.now_ns if ended is None else ended


def _while_waiting(wait: CallFacts) -> State | None:
    """What the socket was in a wait: the latest sample in it, else the one at its beginning or before."""
    return wait.during or wait.entry or wait.before


def _limited(facts: Facts, socket: SocketFacts, option: int) -> bool | None:
    """Whether its waits have a time limit; ``None``: it lived before it was seen, and was not asked."""
    call = socket.option(SOL_SOCKET, option)
    if call is not None:
        return any(call.call.value or b"")
    in_force = socket.in_force(SOL_SOCKET, option)
    if in_force is not None:
        return bool(in_force)
    row = facts.tables.sockets.get(socket.id)
    if row is None or socket.late or facts.pictures:
        return None
    if row.origin == "accept":
        # It has the options that its listener had (net/core/sock.c, sk_clone_lock).
        listener = facts.sockets.get(row.parent) if row.parent is not None else None
        return _limited(facts, listener, option) if listener is not None else None
    return False if row.origin in ("socket", "socketpair") else None


RULES = (OneRecvPerMessage, ShortSendIgnored, EndOfStreamIgnored, BothWait)
