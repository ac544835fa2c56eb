"""The two ends speak different protocols."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

from ..._core import segments
from ..call import CallFacts
from ..facts import Facts
from ..finding import Certainty
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.flows import Flow
from ..trackers.prefixes import Prefixes
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.waits import LONG_WAIT_NS
from ..trackers.writes import Writes

__all__ = ["ProtocolsDiffer"]

#: First bytes of TLS records: their content types (RFC 8446 5.1).
_RECORDS: Final = frozenset({b"\x14", b"\x15", b"\x16", b"\x17"})
#: The head of a TLS record (RFC 8446, section 5.1), which libraries read by itself.
_HEAD = 5
#: Turns of two ends on the wire that did not understand each other: a greeting, a hello, a complaint, an answer to it.
_GIVEN_UP_TURNS = 4
#: Nobody asks for so much at once who does not believe that it comes.
_LARGE = 1 << 20


class ProtocolsDiffer(Rule):
    """TLS was spoken to a port that does not, or the reverse; HTTP to what speaks something else."""

    id = "protocols-differ"
    title = "the two ends speak different protocols"
    covers = (47,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "A TLS handshake begins with records that a plain server cannot read, and a plain request is no record for a TLS "
        "server. Each ends the connection, with a message of its own protocol at best. It is the same with HTTP/2 and "
        "HTTP/1, or with HTTP and a server that reads a length first: POST is 1347375956, GET and a space 1195725856."
    )
    symptoms = (
        "wrong version number",
        "WRONG_VERSION_NUMBER",
        "http request was sent to https port",
        "unknown protocol",
        "garbage at the beginning",
        "ssl handshake failure",
        "Received HTTP/0.9 when not allowed",
        "malformed HTTP response",
        "message length 1195725856",
    )
    proof = (
        "The first bytes of one direction are a TLS record and those of the other are not, or belong to two other protocols; "
        "or a program read the five bytes of a record's head, got something else, and closed while more was there; or it "
        "took the first bytes of HTTP or TLS for a length. Strong when the answer to HTTP is no HTTP, or the head was all "
        "that was read."
    )
    fix = "Use the port, scheme or setting that fits: https instead of http, an SSL context at both ends or at none."
    disproof = "The connection went on after those bytes."
    references = ("RFC 8446 5.1", "RFC 9112 3", "RFC 9113 3.4")
    subject = "connection"
    needs = (Closing, Prefixes, Protocols, Reads, SetUp, Writes)
    given = Protocols
    supersedes = (
        "connection-reset",
        "tls-alert",
        "one-recv-per-message",
        "both-wait",
        "end-awaited",
        "silent-peer",
        "fewer-than-announced",
        "length-prefix-order",
    )
    effects = ("close-with-unread-data", "write-after-peer-closed", "dies-of-client-reset")
    explains = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        for end in subject.ends:
            known = facts[Protocols].of(end)
            sent, received = known.first_write, known.first_read
            if end.late or not end.stream:
                continue
            if sent is not None and received is not None and (known.sent == "tls") != (known.received == "tls"):
                tls, plain = (sent, received) if known.sent == "tls" else (received, sent)
                if _record(plain) or tls.payload[:1] not in _RECORDS:
                    # Both began in plain text, and one direction's change to TLS (STARTTLS) was not looked at any more.
                    continue
                yield self._evidence(facts, subject, end, tls, plain)
                return
        for end in subject.ends:
            found = self._other(facts, subject, end) or self._taken_for_a_length(facts, subject, end)
            if found is not None:
                yield found
                return
        found = self._hello_unanswered(facts, subject)
        if found is not None:
            yield found
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
            title="one end speaks TLS, the other does not",
            subjects=frozenset(one.id for one in connection.ends),
        )

    def _other(self, facts: Facts, connection: Connection, end: SocketFacts) -> Evidence | None:
        """Two protocols that are known, or HTTP that was answered with something else."""
        known = facts[Protocols].of(end)
        sent, received = known.first_write, known.first_read
        if end.late or not end.stream or sent is None or received is None or known.sent is None:
            return None
        if facts[SetUp].of(end).connect is None or {"proxy", "tls"} & {known.sent, known.received}:
            return None
        if known.received is not None and known.received != known.sent:
            certainty: Certainty = "certain"
        elif (
            known.sent == "http"
            and known.received is None
            and not _http(received.payload)
            and not _http(sent.payload)
            and _request(sent)
        ):
            certainty = "strong"
        else:
            return None
        here, there = _words(known.sent), _words(known.received)
        return Evidence(
            self,
            received.end_ns,
            f"On {end.name()} {facts.who(end.process)} sent {here} and received {there}.",
            [sent.proof(f"{sent.text()}: {here}"), received.proof(f"{received.text()}: {there}")],
            call=(facts[SetUp].of(end).connect or sent).call,
            socket=end.id,
            process=end.process,
            certainty=certainty,
            subjects=frozenset(one.id for one in connection.ends),
        )

    def _taken_for_a_length(self, facts: Facts, connection: Connection, end: SocketFacts) -> Evidence | None:
        """The first bytes were read by themselves, and as many bytes asked for as they are as a number."""
        prefix, reads = facts[Prefixes].of(end).first, facts[Reads].of(end)
        other = next((one for one in connection.ends if one is not end), None)
        if prefix is None or end.late or prefix.read is not reads.first:
            return None
        name = facts[Protocols].of(other).sent if other is not None else segments.protocol(prefix.read.payload)
        after = prefix.after
        if name is None or not (end.stream and prefix.read.offset == 0):
            return None
        certainty: Certainty = "certain"
        if after is not None and (after.length in prefix.values() or _LARGE <= after.length < max(prefix.values())):
            # A runtime may ask for less at once: Go for 1 GiB.
            then = f"asked for {after.length}"
        elif after is None and reads.calls == 1 and facts[Closing].last_close(end) is not None:
            then, certainty = "gave up", "strong"
        else:
            return None
        return Evidence(
            self,
            prefix.read.end_ns,
            f"{facts.who(end.process)} took the first {prefix.read.moved} bytes of {_words(name)} from "
            f"{end.remote or 'its peer'} for a length, {prefix.values()[0]}, and {then}.",
            [prefix.read.proof(), *([after.proof()] if after is not None else [])],
            call=prefix.read.call,
            socket=end.id,
            process=end.process,
            certainty=certainty,
            title=f"the first bytes of {_words(name)} are taken for the length of a message",
            subjects=frozenset(one.id for one in connection.ends),
        )

    def _hello_unanswered(self, facts: Facts, connection: Connection) -> Evidence | None:
        """A TLS server answers the greeting at once; who has read it whole and waits on takes it for something else."""
        server, client = connection
        if client is None or server.origin != "accept" or server.late or not server.stream:
            return None
        known, reads = facts[Protocols].of(client), facts[Reads].of(server)
        hello, last = known.first_write, reads.last
        if known.sent != "tls" or hello is None or last is None or known.first_read is not None:
            return None
        if len(hello.payload) < _HEAD or facts[Writes].of(server).calls or facts[Writes].of(client).calls > 1:
            return None
        if reads.bytes < _HEAD + int.from_bytes(hello.payload[3:5], "big") or reads.first is None:
            return None
        silent_ns = min(facts[Closing].left_ns(client), facts[Closing].left_ns(server)) - last.end_ns
        if silent_ns < LONG_WAIT_NS:
            return None
        return Evidence(
            self,
            last.end_ns,
            f"{facts.who(client.process)} began with TLS; {facts.who(server.process)} read its greeting and said nothing for "
            f"{silent_ns / 1e9:.1f} s: it waits for something else.",
            [hello.proof(f"{hello.text()}: TLS"), last.proof()],
            call=(facts[SetUp].of(client).connect or hello).call,
            socket=client.id,
            process=client.process,
            certainty="strong",
            title="one end speaks TLS, the other does not",
            subjects=frozenset({server.id}),
        )

    def _read_a_head(self, facts: Facts, end: SocketFacts) -> Evidence | None:
        """A TLS library reads five bytes, sees no record, and gives up."""
        reads, known = facts[Reads].of(end), facts[Protocols].of(end)
        first = reads.first
        if end.late or first is None or first.payload == b"" or _record(first) or known.received == "tls":
            return None
        closed = facts[Closing].last_close(end)
        gave_up = first.length == first.moved == _HEAD and reads.calls == 1 and facts[Writes].of(end).calls == 0
        # Five bytes that were all that came may have been a whole message.
        more = facts[Closing].unread(end)
        if not gave_up or closed is None or (known.received is None and more is None):
            return None
        if facts[SetUp].of(end).connect is not None:
            # A client of TLS speaks first.
            return None
        return Evidence(
            self,
            first.end_ns,
            f"{facts.who(end.process)} read {_HEAD} bytes, the head of a TLS record, got {_words(known.received)} from "
            f"{end.remote or 'its peer'}, and closed without an answer.",
            [
                first.proof(f"{first.text()}: no TLS"),
                closed.proof(),
                *([more.proof(f"{more.receive_queue} more bytes were not read")] if more is not None else []),
            ],
            call=first.call,
            socket=end.id,
            process=end.process,
            # Any program may ask for five bytes of something that is not known; OpenSSL does so by read (bss_sock.c).
            certainty="strong" if known.received is not None or first.name == "read" else "hint",
            title="one end speaks TLS, the other does not",
        )

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        client, server = flow.halves
        if not flow.tcp or not flow.whole or client.first is None or server.first is None:
            return
        sent, received = (_protocol(half.first_bytes) for half in flow.halves)
        if (sent == "tls") == (received == "tls") or min(len(half.first_bytes) for half in flow.halves) < _HEAD:
            return
        # Who upgrades a connection begins in clear at both ends; and whoever understood goes on.
        if flow.turns > _GIVEN_UP_TURNS:
            return
        yield Evidence(
            self,
            max(client.first.at_ns, server.first.at_ns),
            f"{flow.name(0)} began with {_words(sent)} and {flow.name(1)} with {_words(received)}.",
            [
                client.first.proof(f"the first bytes of {flow.name(0)}: {_words(sent)}"),
                server.first.proof(f"the first bytes of {flow.name(1)}: {_words(received)}"),
            ],
            socket=flow.socket(0),
            # Bytes that are no text may be a damaged record.
            certainty="certain" if all(_known(half.first_bytes) for half in flow.halves) else "strong",
            title="one end speaks TLS, the other does not",
            subjects=flow.subjects,
            where=flow.name(1),
        )


def _protocol(first: bytes) -> str | None:
    """What a stream begins with; a TLS client may begin in the form of SSL 2 (RFC 5246, appendix E.2)."""
    old = first[:1] >= b"\x80" and first[2:4] in (b"\x01\x03", b"\x01\x00")
    return "tls" if old else segments.protocol(first)


def _known(first: bytes) -> bool:
    """Whether bytes are of a protocol that is known, or text."""
    return _protocol(first) is not None or all(32 <= byte < 127 or byte in b"\r\n\t" for byte in first)


def _http(payload: bytes) -> bool:
    """Whether bytes are, or may become, the beginning of an HTTP/1 response; or whether nothing is known of them."""
    return b"HTTP/".startswith(payload[:5])


def _request(call: CallFacts) -> bool:
    """Whether the bytes are a line of HTTP, or one that is longer than what was kept: other protocols have a GET, too."""
    line, end, _ = call.payload.partition(b"\n")
    return b" HTTP/" in line or (not end and len(call.payload) < call.moved)


def _record(call: CallFacts) -> bool:
    """Whether bytes may be the beginning of a TLS record that was cut."""
    return call.payload[:1] in _RECORDS and len(call.payload) < _HEAD


def _words(protocol: str | None) -> str:
    names = {"tls": "TLS", "http": "plain HTTP", "http/2": "plain HTTP/2", "ssh": "SSH", "proxy": "the PROXY protocol"}
    return names.get(protocol or "", "bytes that are none")
