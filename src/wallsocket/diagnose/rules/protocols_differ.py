"""One end speaks TLS, the other does not."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from ..call import CallFacts
from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.writes import Writes

__all__ = ["ProtocolsDiffer"]

#: The head of a TLS record (RFC 8446, section 5.1), which libraries read by itself.
_HEAD = 5


class ProtocolsDiffer(Rule):
    """TLS was spoken to a port that does not, or the reverse."""

    id = "protocols-differ"
    title = "one end speaks TLS, the other does not"
    covers = (47,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A TLS handshake begins with records that a plain server cannot read, and a plain request is no record for a TLS "
        "server. Each ends the connection, with a message of its own protocol at best."
    )
    symptoms = (
        "wrong version number",
        "WRONG_VERSION_NUMBER",
        "http request was sent to https port",
        "unknown protocol",
        "garbage at the beginning",
        "ssl handshake failure",
    )
    proof = (
        "The first bytes of one direction are a TLS record and those of the other are not; or a program read the five "
        "bytes of a record's head, got something else, and closed."
    )
    fix = "Use the port, scheme or setting that fits: https against http, an SSL context at both ends or at none."
    disproof = "The connection went on after those bytes."
    subject = "connection"
    needs = (Closing, Protocols, Reads, SetUp, Writes)
    given = Protocols
    supersedes = ("one-recv-per-message",)
    effects = ("close-with-unread-data", "write-after-peer-closed")
    explains = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        for end in subject.ends:
            known = facts[Protocols].of(end)
            sent, received = known.first_write, known.first_read
            if end.late or not end.stream:
                continue
            if sent is not None and received is not None and (known.sent == "tls") != (known.received == "tls"):
                tls, plain = (sent, received) if known.sent == "tls" else (received, sent)
                if _record(plain):
                    continue
                yield self._evidence(facts, subject, end, tls, plain)
                return
        for end in subject.ends:
            found = self._read_a_head(facts, end)
            if found is not None:
                yield found
                return

    def _evidence(
        self, facts: Facts, connection: Connection, end: SocketFacts, tls: CallFacts, plain: CallFacts
    ) -> Evidence:
        here = "sent" if facts[Protocols].of(end).sent == "tls" else "received"
        there = "received" if here == "sent" else "sent"
        client = next((one for one in connection.ends if facts[SetUp].of(one).connect is not None), end)
        shown = facts[SetUp].of(client).connect or tls
        return Evidence(
            self,
            max(tls.end_ns, plain.end_ns),
            f"On {end.name()} {facts.who(end.process)} {here} a TLS record and {there} "
            f"{_words(facts[Protocols].of(end).received if there == 'received' else facts[Protocols].of(end).sent)}.",
            [tls.proof(f"{tls.text()}: TLS"), plain.proof(f"{plain.text()}: no TLS")],
            call=shown.call,
            socket=client.id,
            process=client.process,
            subjects=frozenset(one.id for one in connection.ends),
        )

    def _read_a_head(self, facts: Facts, end: SocketFacts) -> Evidence | None:
        """A TLS library reads five bytes, sees no record, and gives up."""
        reads, known = facts[Reads].of(end), facts[Protocols].of(end)
        first = reads.first
        if end.late or first is None or first.payload == b"" or _record(first) or known.received == "tls":
            return None
        closed = facts[Closing].last_close(end)
        gave_up = first.length == first.moved == _HEAD and reads.calls == 1 and facts[Writes].of(end).calls == 0
        if not gave_up or closed is None:
            return None
        return Evidence(
            self,
            first.end_ns,
            f"{facts.who(end.process)} read {_HEAD} bytes, the head of a TLS record, got {_words(known.received)} from "
            f"{end.remote or 'its peer'}, and closed without an answer.",
            [first.proof(f"{first.text()}: no TLS"), closed.proof()],
            call=first.call,
            socket=end.id,
            process=end.process,
            certainty="strong",
        )


def _record(call: CallFacts) -> bool:
    """Whether bytes may be the beginning of a TLS record that was cut."""
    return call.payload[:1] in (b"\x14", b"\x15", b"\x16", b"\x17") and len(call.payload) < _HEAD


def _words(protocol: str | None) -> str:
    names = {"http": "plain HTTP", "http/2": "plain HTTP/2", "ssh": "SSH", "proxy": "the PROXY protocol"}
    return names.get(protocol or "", "bytes that are none")
