"""A TLS handshake ends with an alert."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

from ..call import CallFacts
from ..facts import Facts
from ..finding import Certainty
from ..rule import Evidence, Judgement, Rule
from ..subjects import Connection, SocketFacts
from ..trackers.closing import Closing
from ..trackers.flows import Flow
from ..trackers.reads import Reads
from ..trackers.set_up import SetUp
from ..trackers.tls_alerts import TlsAlerts, is_sealed
from ..trackers.writes import Writes

__all__ = ["TlsAlert"]

#: A server judges a certificate at once, and so does a client.
_AT_ONCE_NS = 1_000_000_000
#: A server's first flight has its certificate in it.
_FLIGHT = 600

#: Alerts in clear (RFC 8446, section 6; RFC 6066; RFC 7301): name, and what it says.
_SAYS: Final = {
    10: ("unexpected_message", "the other end's message came out of turn"),
    20: ("bad_record_mac", "a record did not decrypt"),
    22: ("record_overflow", "a record is too long: often it is no TLS"),
    40: ("handshake_failure", "no version, cipher or certificate that both accept"),
    42: ("bad_certificate", "the certificate is damaged or not acceptable"),
    43: ("unsupported_certificate", "a certificate of a kind that it does not know"),
    44: ("certificate_revoked", "the certificate was revoked"),
    45: ("certificate_expired", "the certificate is out of date, or a clock is wrong"),
    46: ("certificate_unknown", "the certificate was not accepted"),
    47: ("illegal_parameter", "a field is out of range"),
    48: ("unknown_ca", "the certificate's issuer is not trusted"),
    49: ("access_denied", "the certificate is valid, and not allowed"),
    50: ("decode_error", "a message could not be decoded"),
    51: ("decrypt_error", "a signature or key did not fit"),
    70: ("protocol_version", "no version of TLS that both accept"),
    71: ("insufficient_security", "the ciphers offered are too weak for it"),
    80: ("internal_error", "it failed for a reason of its own"),
    86: ("inappropriate_fallback", "an older version was tried although a newer one is known"),
    109: ("missing_extension", "an extension is missing"),
    112: ("unrecognized_name", "it has no host of the name that was asked for"),
    116: ("certificate_required", "the client gave no certificate"),
    120: ("no_application_protocol", "no application protocol (ALPN) that both accept"),
}


class TlsAlert(Rule):
    """A TLS handshake ends with an alert."""

    id = "tls-alert"
    title = "the TLS handshake ends with an alert"
    covers = (147, 161)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "An end that cannot go on says why in an alert before it closes. Before keys are agreed the alert travels in clear; "
        "the program at the other end often reports less than it says."
    )
    symptoms = (
        "handshake failure",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV1_ALERT_UNKNOWN_CA",
        "tlsv1 alert protocol version",
        "unrecognized name",
        "ssl handshake failure",
        "alert number 40",
    )
    proof = (
        "A record of type alert, level fatal, in clear, on a connection that began with TLS. Of TLS 1.3, where alerts are "
        "sealed: a record as long as an alert as the last one, sent by the client instead of its Finished, or by the server "
        "right after the client's last flight, with nothing else after it. Or a client that closed at once when the server's "
        "certificate had come, without a word more."
    )
    fix = "Change what the alert names: the version, the cipher, the certificate or its issuer, the server name."
    disproof = "The connection carried on after it."
    references = ("RFC 8446 6", "RFC 5246 7.2", "RFC 6066 3")
    subject = "connection"
    needs = (Closing, Reads, SetUp, TlsAlerts, Writes)
    given = TlsAlerts
    effects = ("connection-reset", "write-after-peer-closed", "close-with-unread-data")
    explains = (errno.ECONNRESET, errno.EPIPE)

    def judge(self, facts: Facts, subject: Connection) -> Iterator[Judgement]:
        for end in subject.ends:
            other = next((one for one in subject.ends if one is not end), None)
            known = facts[TlsAlerts].of(end)
            if end.late or not known.greeted:
                continue
            if known.clear is not None:
                call, number = known.clear
                name, says = _SAYS.get(number, (f"number {number}", "see the registry of TLS alerts"))
                yield self._told(
                    facts,
                    end,
                    other,
                    call,
                    f"{facts.who(end.process)} ended the handshake with {end.remote or 'its peer'} by the alert {name}: {says}.",
                    f"the TLS handshake ends with the alert {name}",
                    "certain",
                )
                return
            if self._left_without_a_word(facts, end):
                yield self._left(facts, end, other)
                return
            if known.sealed is None or other is None or other.late:
                continue
            if facts[SetUp].of(end).connect is not None:
                if not known.messages and facts[Reads].of(end).calls:
                    yield self._told(
                        facts,
                        end,
                        other,
                        known.sealed,
                        f"{facts.who(end.process)} ended the handshake with {end.remote or 'its peer'} by a sealed alert instead "
                        "of its Finished: it does not accept what the server sent, as a rule its certificate. Its own "
                        "message says why.",
                        "the TLS client refuses the server in the handshake",
                        "strong",
                    )
                    return
            elif self._after_the_handshake(facts, end, other, known.sealed, known.previous):
                yield self._told(
                    facts,
                    end,
                    other,
                    known.sealed,
                    f"{facts.who(end.process)} sent a sealed alert right after the last flight of {end.remote or 'its peer'}, "
                    "and nothing else: in TLS 1.3 a client believes the handshake is over before the server has looked at "
                    "its certificate. The server's own message says why.",
                    "the TLS server refuses the client after its last flight",
                    "strong",
                )
                return

    @staticmethod
    def _left_without_a_word(facts: Facts, client: SocketFacts) -> bool:
        """Whether a client closed as soon as the server's first flight had come: some libraries lose the alert with it."""
        reads, closed = facts[Reads].of(client), facts[Closing].last_close(client)
        last = reads.last
        return (
            facts[SetUp].of(client).connect is not None
            and facts[TlsAlerts].of(client).writes == 1
            and facts[Writes].of(client).calls == 1
            and closed is not None
            and last is not None
            and reads.zero_last is None
            and reads.bytes >= _FLIGHT
            and reads.recent[0].payload[:2] == b"\x16\x03"
            and 0 <= closed.entry_ns - last.end_ns < _AT_ONCE_NS
        )

    def _left(self, facts: Facts, client: SocketFacts, other: SocketFacts | None) -> Evidence:
        last, closed, connect = facts[Reads].of(client).last, facts[Closing].last_close(client), facts[SetUp].of(client)
        assert last is not None
        assert closed is not None
        assert connect.connect is not None
        return Evidence(
            self,
            closed.entry_ns,
            f"{facts.who(client.process)} closed {(closed.entry_ns - last.end_ns) / 1e6:.0f} ms after the first flight of "
            f"{client.remote or 'its peer'} had come, before its own Finished and without an alert: it does not accept what "
            "the server sent, as a rule its certificate. Its own message says why.",
            [last.proof(), closed.proof()],
            call=connect.connect.call,
            socket=client.id,
            process=client.process,
            certainty="strong",
            severity="warning",
            title="the TLS client gives the handshake up when the server's certificate has come",
            covers=(161,),
            subjects=frozenset({other.id} if other is not None else ()),
        )

    @staticmethod
    def _after_the_handshake(
        facts: Facts, server: SocketFacts, client: SocketFacts, sealed: CallFacts, previous: CallFacts | None
    ) -> bool:
        """Whether the server's only word after its first flight came in answer to the client's second, and at once."""
        flights = facts[TlsAlerts].of(client)
        if previous is None or not flights.messages:
            return False
        written = list(facts[Writes].of(client).recent)
        finished = [call for call in written if call.end_ns > previous.entry_ns]
        # What the server wrote after the client's first sealed words was an answer: its alert is the usual goodbye.
        if not finished or any(is_sealed(call) for call in written if call.end_ns <= previous.entry_ns):
            return False
        first = min(call.entry_ns for call in finished)
        ended = facts[Reads].of(server).zero_last
        if previous.entry_ns > first or (ended is not None and ended.end_ns <= sealed.entry_ns):
            return False
        return sealed.entry_ns - first < _AT_ONCE_NS and facts[Closing].left_ns(client) > sealed.entry_ns

    def _told(
        self,
        facts: Facts,
        end: SocketFacts,
        other: SocketFacts | None,
        alert: CallFacts,
        why: str,
        title: str,
        certainty: Certainty,
    ) -> Evidence:
        client = next((one for one in (end, other) if one is not None and facts[SetUp].of(one).connect), end)
        shown = facts[SetUp].of(client).connect or alert
        return Evidence(
            self,
            alert.end_ns,
            why,
            [alert.proof(f"{alert.text()}: an alert")],
            call=shown.call,
            socket=end.id,
            process=end.process,
            title=title,
            certainty=certainty,
            subjects=frozenset({other.id} if other is not None else ()),
        )

    def judge_flow(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
        if flow.alert is None:
            return
        seen, side, number = flow.alert
        name, says = _SAYS.get(number, (f"number {number}", "see the registry of TLS alerts"))
        hello = flow.halves[1 - side].first
        rows = [hello.proof(f"the first bytes of {flow.name(1 - side)}")] if hello is not None else []
        yield Evidence(
            self,
            seen.at_ns,
            f"{flow.name(side)} ended the handshake with {flow.name(1 - side)} by the alert {name}: {says}.",
            [*rows, seen.proof(f"fatal alert {name} of {flow.name(side)}")],
            socket=flow.socket(side),
            title=f"the TLS handshake ends with the alert {name}",
            subjects=flow.subjects,
            where=flow.name(1),
        )
