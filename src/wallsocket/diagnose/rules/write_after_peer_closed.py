"""The program went on writing after the peer had closed."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

from ..._core import segments
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.accepted_by import AcceptedBy
from ..trackers.closing import Closing
from ..trackers.errors import Errors
from ..trackers.flows import Flow
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.servers import Servers
from ..vocabulary import CLOSING, FIN_WAIT1, FIN_WAIT2, LAST_ACK, TIME_WAIT, WRITES

__all__ = ["WriteAfterPeerClosed"]

#: States of a socket whose own side was shut down.
_SHUT = (FIN_WAIT1, FIN_WAIT2, TIME_WAIT, LAST_ACK, CLOSING)
#: Content type of a TLS alert (RFC 8446, section 6).
_ALERT = b"\x15"
#: An alert with the padding, counter and tag of any cipher.
_ALERT_BYTES = 64
_BROKEN = (errno.EPIPE, errno.ECONNRESET)
#: A server that lives on for as long as this has got over it.
_WENT_ON_NS = 500_000_000

#: On the wire: so little is a word of goodbye.
_GOODBYE = 64


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
    symptoms = ("broken pipe", "BrokenPipeError", "EPIPE", "SIGPIPE", "connection reset by peer on send")
    proof = (
        "A write failed with EPIPE or ECONNRESET, the program had not shut down its own side, and before it the "
        "peer had closed: recv returned 0, the socket was in CLOSE_WAIT, or the traced peer closed."
    )
    fix = "Stop when recv returns 0 bytes or poll says HUP; ignore SIGPIPE (MSG_NOSIGNAL) and handle EPIPE."
    disproof = "The program had shut down its own sending side, or the connection broke for another reason."
    references = ("send(2)", "signal(7)", "RFC 9293 3.10.7")
    needs = (AcceptedBy, Closing, Errors, Peers, Polls, Protocols, Reads, Samples, Servers)
    given = Errors
    explains = _BROKEN
    supersedes = ("connection-reset",)
    effects = ("dies-of-client-reset",)

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        failed = facts[Errors].first(subject, _BROKEN, WRITES)
        if not subject.stream or failed is None:
            return
        shut = facts[Closing].of(subject).shut
        if any(how in shut and shut[how].end_ns <= failed.entry_ns for how in (1, 2)):
            return
        peer = facts[Peers].of(subject)
        states = facts[Samples].of(subject).transitions
        if subject.late and any(sample.state in _SHUT for sample in states if sample.at_ns <= failed.entry_ns):
            return
        signs = self._signs(facts, subject, peer, failed)
        if subject.late and not subject.tcp:
            yield self.cannot_tell("calls", "the program may have shut down its own side before the trace began")
            return
        if not signs:
            if peer is None and subject.tcp:
                yield self.cannot_tell("peer", "nothing recorded says whether the peer closed before the write failed")
            return
        if facts[Protocols].tls(subject) and (failed.payload[:1] == _ALERT or failed.length <= _ALERT_BYTES):
            # The goodbye of TLS to a peer that did not wait for it.
            return
        process = facts.process(failed.call.process)
        told = facts[Reads].of(subject).zero_last is not None or facts[Polls].of(subject).hangup is not None
        code = errno.errorcode[failed.errno or errno.EPIPE]
        why = f"{failed.name} failed with {code} because the peer had closed the connection before."
        died = process is not None and process.signal == signal.SIGPIPE
        queued = facts[AcceptedBy].queued_on(subject)
        # A server whose client has gone away, and which stopped at the first error and went on with the others, has coped.
        coped = (
            subject.origin == "accept"
            and not told
            and facts[Servers].listened(failed.call.process)
            and (process is None or process.ended_ns is None or process.ended_ns - failed.end_ns > _WENT_ON_NS)
            and facts[Closing].left_ns(subject) - failed.end_ns < _WENT_ON_NS
            and sum(call.errno in _BROKEN for call in facts[Errors].of(subject).calls) == 1
        )
        if process is not None and died:
            why += " SIGPIPE ended the program."
            signs.append(facts.process_proof(process, "ended by SIGPIPE", 0))
        yield Evidence(
            self,
            failed.end_ns,
            why,
            [failed.proof(), *signs],
            call=failed.call,
            socket=subject.id,
            process=failed.call.process,
            severity="note" if coped else "error" if died or told or peer is not None else "warning",
            subjects=frozenset(one for one in (peer.id if peer else None, queued) if one is not None),
        )

    @staticmethod
    def _signs(facts: Facts, socket: SocketFacts, peer: SocketFacts | None, failed: CallFacts) -> list[Proof]:
        """What shows that the peer had closed."""
        signs = []
        end = facts[Reads].of(socket).zero_last
        if end is not None and end.end_ns <= failed.entry_ns:
            signs.append(end.proof(f"{end.text()}: the peer had closed"))
        waiting = facts[Samples].of(socket).close_wait_since
        if waiting is not None and waiting.at_ns <= failed.end_ns:
            signs.append(waiting.proof("CLOSE_WAIT: the peer's FIN had arrived"))
        gone = peer.ended_ns if peer is not None else None
        if peer is not None and gone is not None and gone <= failed.end_ns:
            closed = facts[Closing].last_close(peer)
            process = facts[Closing].ended_by(peer)
            if closed is not None:
                signs.append(closed.proof(f"the peer's {closed.text()}"))
            elif process is not None:
                signs.append(facts.process_proof(process, f"the peer, pid {process.pid}, ended", gone))
        return signs

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        written = flow.after_end
        if written is None or not flow.tcp:
            return
        for side in (0, 1):
            half, other = flow.halves[side], flow.halves[1 - side]
            reset, fin = half.reset, half.fin
            if reset is None or fin is None or other.fin is not None or not fin.at_ns <= written.at_ns <= reset.at_ns:
                continue
            # TLS says goodbye to whoever has ended: that nobody takes it does no harm.
            if segments.protocol(other.first_bytes) == "tls" and other.after_end_bytes < _GOODBYE:
                continue
            yield Evidence(
                self,
                reset.at_ns,
                f"{flow.name(side)} had closed; {flow.name(1 - side)} sent data after that, and {flow.name(side)} answered with a "
                "reset.",
                [
                    fin.proof(f"FIN of {flow.name(side)}"),
                    written.proof(f"data of {flow.name(1 - side)}"),
                    reset.proof(f"RST of {flow.name(side)}"),
                ],
                socket=flow.socket(1 - side),
                # Whether the program wrote once more, and got an error, the wire does not show.
                severity="warning" if other.after_end_bytes >= _GOODBYE else "note",
                subjects=flow.subjects,
                where=flow.name(1),
            )
