"""A TLS connection was closed without the word that ends TLS."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.protocols import Protocols
from ..trackers.reads import Reads
from ..trackers.tls_alerts import TlsAlerts, last_record
from ..trackers.writes import Writes

__all__ = ["TlsNotEnded"]


class TlsNotEnded(Rule):
    """A TLS connection was closed without the word that ends TLS."""

    id = "tls-not-ended"
    title = "the connection was closed without ending TLS: the reader cannot tell whether that was all"
    covers = (143,)
    severity = "warning"
    certainty = "strong"
    layers = ("calls",)
    sentence = (
        "TLS ends with an alert (close_notify), because anybody on the way can end a TCP connection. Where it is missing the "
        "reader has to suspect that the end was cut off, and libraries report an error: OpenSSL since 3.0."
    )
    symptoms = (
        "unexpected eof while reading",
        "SSL: UNEXPECTED_EOF_WHILE_READING",
        "EOF occurred in violation of protocol",
        "TLS connection was non-properly terminated",
    )
    proof = (
        "The last record that one end wrote carries data, it had read nothing after that, and then it closed; the other end had "
        "closed nothing, and read the end of the stream after it. A note unless the reading process ended with an error at that."
    )
    fix = "End TLS first: SSL_shutdown, SSLSocket.unwrap(), tls.TLSSocket.end(), and close then."
    disproof = "The messages say by themselves where they end, and the reader had all of the last one."
    references = ("RFC 8446 6.1", "SSL_shutdown(3ssl)")
    subject = "connection"
    needs = (Closing, Protocols, Reads, TlsAlerts, Writes)
    given = Protocols

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        one, other = subject
        if other is None or not facts[Protocols].tls(one):
            return
        for closer, reader in ((one, other), (other, one)):
            yield from self._cut(facts, closer, reader)

    def _cut(self, facts: Facts, closer: SocketFacts, reader: SocketFacts) -> Iterator[Judgement]:
        closing = facts[Closing]
        closed = closing.of(closer).shut.get(1) or closing.of(closer).shut.get(2) or closing.last_close(closer)
        end, last = facts[Reads].of(reader).zero_last, facts[Writes].of(closer).last
        if closer.late or end is None or last is None or not facts[TlsAlerts].of(closer).messages:
            return
        process = closing.ended_by(closer)
        at_ns = closed.entry_ns if closed is not None else closer.ended_ns
        if at_ns is None or (closed is None and (process is None or process.signal)) or last.entry_ns > at_ns:
            return
        heard = facts[Reads].of(closer)
        asked = any(read.end_ns > last.entry_ns for read in heard.recent) or heard.zero_last is not None
        if asked or closing.left_ns(reader) < at_ns or end.end_ns < at_ns:
            return
        # What the reader wrote, and nobody read, is another question.
        said = facts[Writes].of(reader).last
        if said is not None and heard.last is not None and heard.last.end_ns < said.entry_ns < at_ns:
            return
        record = last_record(last)
        if record is None:
            return
        harmed = facts.process(reader.process)
        failed = (
            harmed is not None
            and bool(harmed.exit_code)
            and harmed.ended_ns is not None
            and 0 <= harmed.ended_ns - end.end_ns < 1_000_000_000
        )
        rows = [last.proof(f"{last.text()}: ends with a record of {record} bytes of data"), end.proof()]
        if closed is not None:
            rows.insert(1, closed.proof())
        elif process is not None:
            rows.insert(1, facts.process_proof(process, f"ended with status {process.exit_code}", at_ns))
        yield Evidence(
            self,
            at_ns,
            f"The last that {facts.who(closer.process)} wrote to {reader.name()} was a record of data; then it "
            f"{'closed' if closed is not None else 'ended'} without TLS's own end, and {facts.who(reader.process)} read the end "
            "of the stream.",
            rows,
            call=(closed or last).call,
            socket=closer.id,
            process=closer.process,
            certainty="strong" if failed else "hint",
            severity="warning" if failed else "note",
            subjects=frozenset({reader.id}),
        )
