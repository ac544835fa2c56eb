"""select waits for a TLS socket whose bytes are in the library's buffer."""

from __future__ import annotations

from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stall, Stalls
from ..trackers.tls_leftovers import TlsLeftovers
from ..trackers.writes import Writes
from ..vocabulary import POLL_CALLS, WRITES

__all__ = ["TlsBytesPending"]

#: Head of a record (RFC 8446, section 5.1).
_HEAD = 5
_APPLICATION_DATA = 23


class TlsBytesPending(Rule):
    """A record was read whole, a part of it used, and select asked for more."""

    id = "tls-bytes-pending"
    title = "select waits for bytes that are already in the TLS library's buffer"
    covers = (112,)
    severity = "error"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "A TLS library reads whole records. When the program takes only a part of one, the rest waits in the library, where "
        "select, poll and epoll cannot see it."
    )
    symptoms = ("select does not fire on an ssl socket", "SSL_pending", "poll hangs although the peer has answered")
    proof = (
        "The latest record of application data was read as a whole; then select or poll waited on the empty socket for "
        "about a second, while the peer had sent everything and waited for an answer; or the wait ended and the next that the "
        "thread did was to write, without a read before. A hint where it gave up after the wait."
    )
    fix = (
        "Ask the library first (pending(), SSL_pending) or read until it wants more, and only then wait for the socket."
    )
    disproof = "The program has taken all of the record and waits for another one."
    references = ("select(2)", "poll(2)", "SSL_pending(3ssl)")
    subject = "connection"
    needs = (Protocols, Reads, Stalls, TlsLeftovers, Writes)
    given = Protocols
    supersedes = ("both-wait", "end-awaited", "silent-peer")
    effects = ("dies-of-client-reset", "write-after-peer-closed")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        for end in subject.ends:
            found = facts[TlsLeftovers].of(end)
            peer = subject.other if end is subject.one else subject.one
            if found.used is not None:
                yield self._found(facts, end, peer, *found.used)
                return
            if found.given_up is not None and peer is not None:
                yield self._found(facts, end, peer, *found.given_up)
                return
        stall = facts[Stalls].on(subject)
        if stall is not None and stall.reads.name in POLL_CALLS and facts[Protocols].tls(stall.answerer):
            yield from self._unanswered(facts, stall)

    def _found(
        self,
        facts: Facts,
        end: SocketFacts,
        peer: SocketFacts | None,
        record: CallFacts,
        wait: CallFacts,
        then: CallFacts,
    ) -> Evidence:
        """What came after the wait shows that the bytes were there already, or that the program missed something."""
        sure = then.name in WRITES
        what = (
            f"when it woke up it wrote an answer ({then.text()}) without having read anything: what it answered had been "
            "in the library all the time"
            if sure
            else "then it gave up"
        )
        return Evidence(
            self,
            wait.entry_ns,
            f"{facts.who(end.process)} had read a TLS record of {record.moved} bytes as a whole; its {wait.name} then waited "
            f"{(wait.end_ns - wait.entry_ns) / 1e9:.1f} s for the socket, {'' if sure else 'where nothing more came; '}{what}.",
            [record.proof(), wait.proof(), then.proof()],
            call=wait.call,
            socket=end.id,
            process=end.process,
            certainty="strong" if sure else "hint",
            severity="error" if sure else "note",
            subjects=frozenset({peer.id} if peer is not None else ()),
        )

    def _unanswered(self, facts: Facts, stall: Stall) -> Iterator[Judgement]:
        """A request was read whole, and select was asked for more."""
        reads = list(facts[Reads].of(stall.answerer).recent)
        record = next(
            (read for read in reversed(reads) if read.length == read.moved == _HEAD and len(read.payload) == _HEAD),
            None,
        )
        body = reads[-1] if reads else None
        if body is None:
            return
        if record is not None:
            kind, length = record.payload[0], int.from_bytes(record.payload[3:5], "big")
        elif len(body.payload) >= _HEAD:
            kind, length = body.payload[0], int.from_bytes(body.payload[3:5], "big")
        else:
            return
        whole = body.moved == length if record is not None else body.moved >= length + _HEAD
        if kind != _APPLICATION_DATA or not whole:
            return
        yield Evidence(
            self,
            stall.reads.entry_ns,
            f"{facts.who(stall.answerer.process)} had read a TLS record of {length} bytes as a whole; its {stall.reads.name} "
            f"then waited {stall.waited_ns / 1e9:.1f} s for the socket, where nothing more was to come: "
            f"{facts.who(stall.asker.process)} had sent everything and waited for the answer.",
            [
                body.proof(),
                stall.reads.proof(),
                stall.asks.proof(f"{facts.who(stall.asker.process)}: {stall.asks.text()}"),
            ],
            call=stall.reads.call,
            socket=stall.answerer.id,
            process=stall.answerer.process,
            certainty="strong",
            subjects=frozenset({stall.asker.id}),
        )
