"""A kept connection that the peer closed while it was idle."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ...trace.verdict import duration
from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.destinations import Destinations
from ..trackers.errors import Errors
from ..trackers.flows import Flow
from ..trackers.peers import Peers
from ..trackers.polls import Polls
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.writes import Writes

__all__ = ["KeepAliveRace"]

#: Requests of one protocol begin with the same word.
_WORD = 3

_BROKEN = (errno.ECONNRESET, errno.EPIPE)
#: A pause that counts as idle.
_IDLE_NS = 100_000_000


class KeepAliveRace(Rule):
    """A request on a connection that the peer had closed for being idle."""

    id = "keep-alive-race"
    title = "the connection was used again after the peer had closed it for being idle"
    covers = (108,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A server closes a kept connection after a time without requests. A client that keeps it longer sends its next request "
        "into a connection that is closed, or is being closed, and gets a reset or the end instead of an answer."
    )
    symptoms = (
        "connection reset by peer after a pause",
        "server disconnected without sending a response",
        "remote end closed connection without response",
        "ECONNRESET",
        "socket hang up",
        "502 bad gateway now and then",
    )
    proof = (
        "A request had been answered on the connection; after a pause the next one was written, and nothing but the end or a "
        "reset came; the peer had closed during the pause."
    )
    fix = "Keep idle connections for less time than the server does; repeat what may be repeated on a new connection."
    disproof = "The peer closed because of what the request said."
    references = ("RFC 9112 9.3.1", "RFC 9112 9.5")
    needs = (Closing, Destinations, Errors, Peers, Polls, Protocols, Reads, Samples, Writes)
    given = Writes
    supersedes = ("connection-reset", "write-after-peer-closed")
    explains = _BROKEN

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        reads, writes = facts[Reads].of(subject), facts[Writes].of(subject)
        answered, asked = reads.last, writes.last
        if not subject.stream or subject.origin != "socket" or answered is None or asked is None:
            return
        end = reads.zero_first
        if asked.entry_ns - answered.end_ns < _IDLE_NS:
            return
        failed = facts[Errors].first(subject, _BROKEN)
        if end is not None and end.end_ns < asked.entry_ns:
            # An event loop has read the end; that the program has not noticed is seen where it asks again as before.
            if not facts[Polls].of(subject).event_loop or not _alike(facts, subject, asked):
                return
        else:
            end = failed if failed is not None else reads.zero_last
            if end is None or end.end_ns < asked.entry_ns:
                return
        ended = failed if failed is not None else end
        signs = self._closed_before(facts, subject, answered, asked)
        if not signs:
            return
        again = facts[Destinations].reached_after(subject, ended.end_ns)
        yield Evidence(
            self,
            asked.end_ns,
            f"The last answer had come {(asked.entry_ns - answered.end_ns) / 1e9:.1f} s before {asked.text()}; meanwhile the "
            f"peer had closed. The program was told by {ended.text()}"
            + (", and got the destination on a new connection." if again else "."),
            [answered.proof(f"{answered.text()}: the last answer"), *signs, asked.proof(), ended.proof()],
            call=asked.call,
            socket=subject.id,
            process=asked.call.process,
            certainty="strong",
            severity="note" if again else "error",
        )

    @staticmethod
    def _closed_before(facts: Facts, socket: SocketFacts, answered: CallFacts, asked: CallFacts) -> list[Proof]:
        """What shows that the peer closed between the last answer and the request."""
        waiting = facts[Samples].of(socket).close_wait_since
        signs = []
        peer = facts[Peers].of(socket)
        closed = facts[Closing].last_close(peer) if peer is not None else None
        if closed is not None and answered.end_ns + _IDLE_NS <= closed.entry_ns <= asked.end_ns:
            assert peer is not None
            last = facts[Reads].of(peer).last
            if last is None or last.end_ns > asked.entry_ns:
                # It saw the request, and closed because of it.
                return []
            signs.append(closed.proof(f"the peer's {closed.text()}"))
        elif closed is not None:
            # It closed with the answer, not for idleness.
            return []
        elif waiting is not None and answered.end_ns <= waiting.at_ns <= asked.end_ns:
            signs.append(waiting.proof("CLOSE_WAIT: the peer's FIN had arrived"))
        elif (
            asked.before is not None
            and asked.before.at_ns >= answered.end_ns
            and asked.before.state_name == "CLOSE_WAIT"
        ):
            signs.append(asked.before.proof("CLOSE_WAIT: the peer's FIN had arrived"))
        return signs

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        client, server = flow.halves
        fin, asked = server.fin, flow.crossing
        if (
            not flow.tcp
            or not flow.whole
            or fin is None
            or asked is None
            or client.first is None
            or server.last is None
        ):
            return
        # The request before was answered, nothing came for a while, and the server ended first.
        answered = client.first.at_ns < server.last.at_ns < min(fin.at_ns, asked.at_ns)
        idle_ns = min(fin.at_ns, asked.at_ns) - server.last.at_ns
        broken = server.reset
        ended_first = client.fin is None or client.fin.at_ns > fin.at_ns
        if not answered or idle_ns < _IDLE_NS or broken is None or not ended_first or client.reset is not None:
            return
        if flow.turn != 0 or asked.at_ns < server.last.at_ns:
            return
        when = (
            f"{duration(asked.at_ns - fin.at_ns)} after"
            if asked.at_ns >= fin.at_ns
            else f"{duration(fin.at_ns - asked.at_ns)} before it saw"
        )
        yield Evidence(
            self,
            asked.at_ns,
            f"{flow.name(1)} ended the connection after {duration(fin.at_ns - server.last.at_ns)} without a request; "
            f"{flow.name(0)} sent its next one {when} that end, and got a reset for an answer.",
            [
                server.last.proof(f"the last answer of {flow.name(1)}"),
                fin.proof(f"FIN of {flow.name(1)}"),
                asked.proof(f"the next request of {flow.name(0)}"),
                broken.proof(f"RST of {flow.name(1)}"),
            ],
            socket=flow.socket(0),
            subjects=flow.subjects,
            where=flow.name(1),
        )


def _alike(facts: Facts, socket: SocketFacts, asked: CallFacts) -> bool:
    """Whether a write begins as an earlier one did: another request, and no word of goodbye."""
    if facts[Protocols].tls(socket):
        return False
    word = asked.payload[:_WORD]
    earlier = (call for call in facts[Writes].of(socket).recent if call.end_ns < asked.entry_ns)
    return len(word) == _WORD and any(call.payload[:_WORD] == word for call in earlier)
