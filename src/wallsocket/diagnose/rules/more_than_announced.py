"""More bytes were sent than the message announced."""

from __future__ import annotations

from collections.abc import Iterator

from ..facts import Facts
from ..rule import Evidence, Judgement, Rule
from ..subjects import SocketFacts
from ..trackers.messages import Messages
from ..trackers.peers import Peers

__all__ = ["MoreThanAnnounced"]


class MoreThanAnnounced(Rule):
    """A length that is too small."""

    id = "more-than-announced"
    title = "more bytes were sent than announced"
    covers = (138,)
    severity = "error"
    certainty = "certain"
    layers = ("calls",)
    sentence = (
        "What follows the announced end of a body is read as the beginning of the next message: the body arrives cut, and "
        "the rest is an error of syntax. Often characters were counted, not bytes."
    )
    symptoms = (
        "body is cut",
        "400 Bad Request after a request that worked",
        "Bad request syntax",
        "unexpected token at the end of JSON",
    )
    proof = "Behind the end that the head of an HTTP/1 message announced the sender sent bytes that begin no message."
    fix = (
        "Announce the number of bytes: the length of the encoded body (len(text.encode()), Buffer.byteLength), or "
        "send the body in chunks."
    )
    disproof = "The peers agreed to leave HTTP on this connection."
    references = ("RFC 9112 6.2", "RFC 9112 6.3")
    needs = (Messages, Peers)
    given = Messages
    effects = ("close-with-unread-data", "write-after-peer-closed", "one-recv-per-message", "protocols-differ")

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        sent = facts[Messages].of(subject).sent
        found, who = sent, "sent"
        if sent.over is None:
            peer = facts[Peers].of(subject)
            found, who = facts[Messages].of(subject).received, "received"
            if found.over is None or peer is not None:
                # The sender's own calls say it better.
                return
        assert found.over is not None
        message, call = found.over
        rows = [message.call.proof(f"{message.call.text()}: announces {message.body} bytes of body")]
        if call is not message.call:
            rows.append(call.proof())
        peer = facts[Peers].of(subject)
        yield Evidence(
            self,
            call.end_ns,
            f"{facts.who(subject.process)} {who} the head of an HTTP message with a body of {message.body} bytes, and at least "
            f"{found.excess} more behind it that begin no message.",
            rows,
            call=message.call.call,
            socket=subject.id,
            process=subject.process,
            subjects=frozenset({peer.id} if peer is not None else ()),
        )
