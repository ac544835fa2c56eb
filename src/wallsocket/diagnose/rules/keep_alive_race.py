"""A kept connection that the peer closed while it was idle."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..finding import Proof
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.closing import Closing
from ..trackers.destinations import Destinations
from ..trackers.errors import Errors
from ..trackers.peers import Peers
from ..trackers.reads import Reads
from ..trackers.samples import Samples
from ..trackers.writes import Writes

__all__ = ["KeepAliveRace"]

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
    needs = (Closing, Destinations, Errors, Peers, Reads, Samples, Writes)
    given = Writes
    supersedes = ("write-after-peer-closed",)
    explains = _BROKEN

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        reads, writes = facts[Reads].of(subject), facts[Writes].of(subject)
        answered, asked = reads.last, writes.last
        if not subject.stream or subject.origin != "socket" or answered is None or asked is None:
            return
        end = reads.zero_first
        if asked.entry_ns - answered.end_ns < _IDLE_NS or (end is not None and end.end_ns < asked.entry_ns):
            return
        failed = facts[Errors].first(subject, _BROKEN)
        ended = failed if failed is not None else reads.zero_last
        if ended is None or ended.end_ns < asked.entry_ns:
            return
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
        if closed is not None and answered.entry_ns < closed.entry_ns and closed.entry_ns <= asked.end_ns:
            assert peer is not None
            last = facts[Reads].of(peer).last
            if last is None or last.end_ns > asked.entry_ns:
                # It saw the request, and closed because of it.
                return []
            signs.append(closed.proof(f"the peer's {closed.text()}"))
        elif waiting is not None and answered.end_ns <= waiting.at_ns <= asked.end_ns:
            signs.append(waiting.proof("CLOSE_WAIT: the peer's FIN had arrived"))
        elif (
            asked.before is not None
            and asked.before.at_ns >= answered.end_ns
            and asked.before.state_name == "CLOSE_WAIT"
        ):
            signs.append(asked.before.proof("CLOSE_WAIT: the peer's FIN had arrived"))
        return signs
