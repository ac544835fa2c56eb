"""Faults of the end of a connection."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

from ...events import Moment
from ..facts import CallFacts, Facts, SocketFacts, state_name, state_proof
from ..finding import CannotTell, Proof
from ..rule import Evidence, Rule
from ..vocabulary import CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT1, FIN_WAIT2, LAST_ACK, TIME_WAIT, WRITES

__all__ = ["RULES"]

#: States of a socket whose own side was shut down.
_SHUT = (FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK, CLOSING)
#: Content types of TLS records with the major version that follows (RFC 8446, section 5.1).
_TLS = tuple(bytes((kind, 3)) for kind in (20, 21, 22, 23))
#: What an interpreter closes so shortly before its end is closed by its end.
_FINAL_NS = 500_000_000
#: How long after a close the kernel's counters may be read: the tracer reads them a few times a second.
_COUNTER_LAG_NS = 500_000_000


class CloseWithUnreadData(Rule):
    """The program closed while data waited to be read."""

    id = "close-with-unread-data"
    title = "close() with unread data resets the connection"
    covers = (53,)
    severity = "error"
    certainty = "certain"
    layers = ("calls", "kernel")
    sentence = (
        "When a TCP socket is closed (also by the end of the program) while received bytes have not been read, Linux "
        "sends RST instead of FIN. The peer sees a reset and may lose what was sent to it before."
    )
    symptoms = ("connection reset by peer", "ECONNRESET", "reply lost", "TCPAbortOnClose", "RST after close")
    proof = (
        "The kernel had bytes to read when the last descriptor was closed. TCPAbortOnClose, an RST on the wire and an "
        "error at the traced peer are added where they were recorded."
    )
    fix = "Read to the end first: shutdown(SHUT_WR), read until recv returns 0 bytes, then close."
    disproof = "The queue was empty at the close."
    effects = ("write-after-peer-closed",)

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not socket.tcp or facts.aborts(socket) or socket.listen is not None:
            return
        state = facts.unread(socket)
        if state is None:
            return
        connected = state.state in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT1, FIN_WAIT2, None)
        if not connected and state.moment != Moment.DESTROYED:
            return
        process = facts.ended_by(socket)
        if process is not None and facts.killed(process):
            return
        peer = facts.peer(socket)
        ended = facts.left_ns(socket)
        error = None
        if peer is not None:
            gone = facts.ended_ns(peer)
            error = _reset_seen(peer, ended)
            if gone is not None and gone <= ended:
                # The peer had closed first: the reset reaches nobody.
                return
        tls = (socket.reads.first.call.payload or b"").startswith(_TLS) if socket.reads.first is not None else False
        if tls and error is None:
            # What is left of a TLS stream is its close_notify or a session ticket as a rule.
            return
        yield self._evidence(facts, socket, state.receive_queue or 0, peer, error, ended)

    def _evidence(
        self,
        facts: Facts,
        socket: SocketFacts,
        unread: int,
        peer: SocketFacts | None,
        error: CallFacts | None,
        ended_ns: int,
    ) -> Evidence:
        state = facts.unread(socket)
        assert state is not None
        closed = socket.closed if facts.closed_for_good(socket) else None
        process = facts.ended_by(socket)
        rows: list[Proof] = []
        if closed is not None:
            rows.append(closed.proof())
            how = f"call {closed.call.id} close()"
        elif process is not None:
            rows.append(
                Proof("calls", "process", process.id, process.ended_ns or ended_ns, f"the end of pid {process.pid}")
            )
            how = f"the end of process {process.pid}"
        else:
            how = "the last close"
        rows.append(state_proof(state, f"{unread} bytes unread, {state_name(state.state)}"))
        _, counter = facts.risen_between("TcpExtTCPAbortOnClose", ended_ns - 1_000_000, ended_ns + _COUNTER_LAG_NS)
        if counter is not None and facts.private:
            rows.append(counter)
        since_ns = closed.entry_ns if closed is not None else ended_ns - 1_000_000
        reset = facts.reset(socket.local, socket.remote, since_ns)
        if reset is not None:
            rows.append(reset)
        if error is not None:
            rows.append(error.proof(f"the peer's {error.text()}"))
        shown = closed or socket.turn.last
        return Evidence(
            self,
            ended_ns,
            f"{unread} bytes had not been read at {how}: the kernel answered the peer with RST instead of FIN.",
            rows,
            call=shown.call if shown is not None else None,
            socket=socket.id,
            process=socket.process,
            severity="error" if peer is not None else "warning",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )


def _reset_seen(peer: SocketFacts, since_ns: int) -> CallFacts | None:
    """The peer's first call that failed because of a reset."""
    codes = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ECONNABORTED)
    return next((call for call in peer.errors if call.call.errno in codes and call.end_ns >= since_ns), None)


class WriteAfterPeerClosed(Rule):
    """The program went on writing after the peer had closed."""

    id = "write-after-peer-closed"
    title = "data was written after the peer had closed"
    covers = (50, 55)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "The first write after the peer has closed succeeds and draws a reset; a later one fails with EPIPE or "
        "ECONNRESET, and SIGPIPE ends a program that does not ignore it."
    )
    symptoms = ("broken pipe", "EPIPE", "SIGPIPE", "BrokenPipeError", "connection reset by peer on send")
    proof = (
        "A write failed with EPIPE or ECONNRESET, the program had not shut its own side, and before it the peer had "
        "closed: recv returned 0, the socket was in CLOSE_WAIT, or the traced peer closed."
    )
    fix = "Stop when recv returns 0 bytes or poll says HUP; ignore SIGPIPE (MSG_NOSIGNAL) and handle EPIPE."
    disproof = "The program had shut down its own sending side, or the connection broke for another reason."

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        failed = next(
            (
                call
                for call in socket.errors
                if call.name in WRITES and call.call.errno in (errno.EPIPE, errno.ECONNRESET)
            ),
            None,
        )
        if not socket.stream or failed is None:
            return
        if any(how in socket.shut and socket.shut[how].end_ns <= failed.entry_ns for how in (1, 2)):
            return
        peer = facts.peer(socket)
        if socket.late and any(state.state in _SHUT for state in socket.transitions if state.at_ns <= failed.entry_ns):
            return
        signs = self._signs(facts, socket, peer, failed)
        if socket.late and not socket.tcp:
            yield self.cannot_tell("calls", "the program may have shut its own side before the trace began")
            return
        if not signs:
            if peer is None and socket.tcp:
                yield self.cannot_tell("peer", "nothing recorded says whether the peer closed before the write failed")
            return
        row = facts.tables.processes.get(failed.call.process)
        died = row is not None and row.signal == signal.SIGPIPE
        told = socket.reads.zero_last is not None or socket.hangup_seen is not None
        code = errno.errorcode[failed.call.errno or errno.EPIPE]
        why = f"{failed.name} failed with {code} because the peer had closed the connection before."
        if died:
            why += " SIGPIPE ended the program."
            signs.append(Proof("calls", "process", row.id, row.ended_ns or 0, "ended by SIGPIPE"))  # type: ignore[union-attr]
        yield Evidence(
            self,
            failed.end_ns,
            why,
            [failed.proof(), *signs],
            call=failed.call,
            socket=socket.id,
            process=failed.call.process,
            severity="error" if died or told or peer is not None else "warning",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    @staticmethod
    def _signs(facts: Facts, socket: SocketFacts, peer: SocketFacts | None, failed: CallFacts) -> list[Proof]:
        signs = []
        end = socket.reads.zero_last
        if end is not None and end.end_ns <= failed.entry_ns:
            signs.append(end.proof(f"{end.text()}: the peer had closed"))
        waiting = socket.close_wait_since
        if waiting is not None and waiting.at_ns <= failed.end_ns:
            signs.append(state_proof(waiting, "CLOSE_WAIT: the peer's FIN had arrived"))
        if peer is not None:
            gone = facts.ended_ns(peer)
            if gone is not None and gone <= failed.end_ns:
                process = facts.ended_by(peer)
                if peer.closed is not None and facts.closed_for_good(peer):
                    signs.append(peer.closed.proof(f"the peer's {peer.closed.text()}"))
                elif process is not None:
                    signs.append(
                        Proof(
                            "calls",
                            "process",
                            process.id,
                            process.ended_ns or gone,
                            f"the peer, pid {process.pid}, ended",
                        )
                    )
        return signs


class CloseWait(Rule):
    """The peer has closed, and the program does not."""

    id = "close-wait"
    title = "sockets stay in CLOSE_WAIT: close() is missing"
    covers = (57,)
    severity = "error"
    certainty = "certain"
    layers = ("kernel",)
    sentence = (
        "CLOSE_WAIT means that the peer has closed and the kernel waits for the program to do the same. Nothing ends "
        "this state but a close: each such socket keeps a descriptor and memory."
    )
    symptoms = ("CLOSE_WAIT", "too many open files", "descriptor leak", "connections pile up")
    proof = (
        "Sockets made at the same line were in CLOSE_WAIT for more than a second, the program had read their end "
        "(recv returned 0) and had not closed them when the recording or the process ended. Certain from three on."
    )
    fix = "Close the socket when recv returns 0 bytes, on every path: `with`, `finally`, defer."
    disproof = "The program was still working on an answer for a peer that had only half-closed."
    pictures = "also"

    _LEAST_NS = 1_000_000_000
    _MANY = 3

    def evaluate(self, facts: Facts, socket: SocketFacts) -> Iterator[Evidence | CannotTell]:
        if not facts.final or not socket.tcp or socket.close_wait_since is None:
            return
        group = self._group(facts, socket)
        if not group or group[0] is not socket:
            return
        pictures = facts.pictures
        late = not pictures and any(one.late for one in group)
        moved_on = any(self._moved_on(facts, one) for one in group)
        if len(group) < self._MANY and (pictures or not moved_on):
            return
        oldest = socket.close_wait_since
        age_s = max(self._age_ns(facts, one) for one in group) / 1e9
        rows = [
            state_proof(one.close_wait_since, f"socket {one.id} ({one.name()}) in CLOSE_WAIT")
            for one in group[:5]
            if one.close_wait_since is not None
        ]
        for one in group[:3]:
            if one.reads.zero_last is not None:
                rows.append(one.reads.zero_last.proof(f"{one.reads.zero_last.text()}: the peer had closed"))
        for holder in facts.holders(socket)[:1]:
            text = f"descriptor {holder.number} of pid {facts.pid(holder.process)} is still open"
            rows.append(Proof("calls", "descriptor", holder.id, oldest.at_ns, text))
        made = facts.tables.sockets.get(socket.id)
        many = len(group) >= self._MANY
        number = f"{len(group)} sockets have" if len(group) > 1 else "A socket has"
        last = socket.reads.zero_last or socket.reads.last
        yield Evidence(
            self,
            oldest.at_ns,
            f"{number} been in CLOSE_WAIT for up to {age_s:.1f} s: the peers closed, "
            f"{facts.command(socket.process) or 'the program'} {'' if late else 'read the end and '}did not close"
            f"{f' (socket {made.id} was made by call {made.call})' if made is not None and made.call else ''}.",
            rows,
            call=last.call if last is not None else None,
            socket=socket.id,
            process=socket.process,
            certainty="certain" if many and not (pictures or late) else "strong",
            # A pool of connections that were open before may notice a closed one only when it wants to use it.
            severity="error" if many and not late else "warning",
            subjects=frozenset(one.id for one in group),
        )

    def _group(self, facts: Facts, socket: SocketFacts) -> list[SocketFacts]:
        """Leaking sockets of the same process and creating line, in the order of their ids."""
        own = facts.tables.sockets.get(socket.id)
        line = own.source if own is not None else None
        found = []
        for one in facts.sockets.values():
            row = facts.tables.sockets.get(one.id)
            alike = one.process == socket.process and row is not None and row.source == line
            if alike and one.close_wait_since is not None and self._leaks(facts, one):
                found.append(one)
        return sorted(found, key=lambda one: one.id)

    def _leaks(self, facts: Facts, socket: SocketFacts) -> bool:
        if self._age_ns(facts, socket) < self._LEAST_NS:
            return False
        ended = facts.ended_ns(socket)
        if ended is not None and facts.ended_by(socket) is None:
            # An interpreter closes what is left when it ends: that is no close of the program's.
            row = facts.tables.processes.get(socket.process)
            if row is None or row.ended_ns is None or row.ended_ns - ended > _FINAL_NS:
                return False
        untouched = not (socket.reads.calls or socket.writes.calls or socket.reads.zero_run)
        if facts.pictures or (socket.late and untouched):
            return socket.last is not None and socket.last.state == CLOSE_WAIT
        end = socket.reads.zero_last
        wrote = socket.writes.last
        return end is not None and (wrote is None or wrote.end_ns <= end.end_ns or socket.reads.zero_run > 1)

    @staticmethod
    def _age_ns(facts: Facts, socket: SocketFacts) -> int:
        since = socket.close_wait_since
        until = facts.ended_ns(socket) or facts.now_ns
        return until - since.at_ns if since is not None else 0

    def _moved_on(self, facts: Facts, socket: SocketFacts) -> bool:
        """Whether the thread that read the end waits elsewhere since."""
        end = socket.reads.zero_last
        if end is None:
            return False
        waiting = facts.waiting_threads.get((end.call.process, end.call.tid))
        return waiting is not None and waiting.call.socket != socket.id


RULES = (CloseWithUnreadData, WriteAfterPeerClosed, CloseWait)
