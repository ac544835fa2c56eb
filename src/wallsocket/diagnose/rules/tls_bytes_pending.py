"""select waits for a TLS socket whose bytes are in the library's buffer."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.stalls import Stalls
from ..trackers.writes import Writes
from ..vocabulary import POLL_CALLS

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
        "about a second, while the peer had sent everything and waited for an answer."
    )
    fix = (
        "Ask the library first (pending(), SSL_pending) or read until it wants more, and only then wait for the socket."
    )
    disproof = "The program has taken all of the record and waits for another one."
    references = ("select(2)", "poll(2)", "SSL_pending(3ssl)")
    subject = "connection"
    needs = (Protocols, Reads, Stalls, Writes)
    given = Protocols
    supersedes = ("both-wait", "end-awaited", "silent-peer")

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        stall = facts[Stalls].on(subject)
        if stall is None or stall.reads.name not in POLL_CALLS or not facts[Protocols].tls(stall.answerer):
            return
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
