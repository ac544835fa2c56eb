"""A TLS handshake ends with an alert."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..trackers.flows import Flow, Flows

__all__ = ["TlsAlert"]

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
    covers = (161,)
    severity = "error"
    certainty = "certain"
    layers = ("wire",)
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
    proof = "A record of type alert, level fatal, in clear, on a connection that began with TLS."
    fix = "Change what the alert names: the version, the cipher, the certificate or its issuer, the server name."
    disproof = "The connection carried on after it."
    references = ("RFC 8446 6", "RFC 5246 7.2", "RFC 6066 3")
    subject = "flow"
    needs = (Flows,)
    effects = ("connection-reset", "write-after-peer-closed")

    def judge(self, facts: Facts, flow: Flow) -> Iterator[Judgement]:
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
