"""A client with timeouts."""

from __future__ import annotations

import socket

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Service, Stage

__all__ = ["EXERCISE"]

_TASK = """\
Write a client that asks a question by UDP, although datagrams get lost.

Your program is started with a host, a port and a text. It sends the question, one datagram, to that host and port: an
identifier of eight hexadecimal digits that your program chooses by chance, a space, and the text in UTF-8. The answer
is a datagram from that host and port with the same identifier, a space and some text. Your program prints that text
and ends with status 0.

When no answer has come within half a second, your program sends the question again, with the same identifier; three
times in all. Half a second after the third time it prints "no answer" and ends with status 1. It does the same where
nobody listens on the port. What comes from elsewhere, or has another identifier, is no answer: your program ignores
it and waits on.
"""


def _ask(stage: Stage, text: str = "what time is it?") -> Service:
    service = stage.service()
    stage.run(stage.address, str(stage.port), text)
    return service


def _question(service: Service, text: str = "what time is it?") -> bytes:
    """The identifier of the next question."""
    data = service.expect("a question")
    identifier, _, rest = data.partition(b" ")
    if len(identifier) != 8 or not all(byte in b"0123456789abcdefABCDEF" for byte in identifier):
        raise service.mismatch("wrong answer", "eight hexadecimal digits, a space, the text", repr(data[:40])[1:])
    if rest != text.encode():
        raise service.mismatch("wrong answer", f"the text {text!r}", repr(rest[:40])[1:])
    return identifier


def _again(service: Service, identifier: bytes) -> None:
    """The same question once more."""
    try:
        repeated = _question(service)
    except Mismatch as mismatch:
        if mismatch.kind == "no answer":
            mismatch.mistake = "not-repeated" if "ended" in mismatch.seen else None
        raise
    if repeated != identifier:
        changed = service.mismatch("wrong answer", f"the identifier {identifier!r}", repr(repeated))
        changed.mistake = "identifier-changes"
        raise changed


def _answered(stage: Stage) -> None:
    service = _ask(stage)
    service.answer(_question(service) + b" half past ten")
    stage.expect_end(0, "half past ten")


def _utf8(stage: Stage) -> None:
    text = "wie spät ist es? ⏰"
    service = _ask(stage, text)
    service.answer(_question(service, text) + " fünf vor zwölf".encode())
    stage.expect_end(0, "fünf vor zwölf")


def _lost(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    stage.say("did not answer: that datagram was lost")
    _again(service, identifier)
    service.answer(identifier + b" half past ten")
    stage.expect_end(0, "half past ten")


def _never(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    stage.say("did not answer")
    for _ in range(2):
        _again(service, identifier)
        stage.say("did not answer")
    stage.expect_end(1, "no answer")


def _late(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    other = b"00000000" if identifier != b"00000000" else b"11111111"
    service.answer(other + b" an answer to another question")
    service.answer(identifier + b" half past ten")
    stage.expect_end(0, "half past ten", mistake="identifier-ignored")


def _stranger(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    assert service.asker is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((stage.address, 0))
        stranger.sendto(identifier + b" midnight, says a stranger", service.asker)
        stage.say("an answer with the right identifier was sent from another port")
    stage.student.settle(0.05, 0.3)
    service.answer(identifier + b" half past ten")
    stage.expect_end(0, "half past ten", mistake="stranger-believed")


def _nobody(stage: Stage) -> None:
    stage.say("nobody listens on the port")
    stage.run(stage.address, str(stage.port), "anybody?")
    stage.expect_end(1, "no answer")


EXERCISE = Exercise(
    name="ask",
    title="a question that may get lost",
    level=3,
    protocol="udp",
    role="client",
    usage="FILE HOST PORT TEXT",
    task=_TASK,
    scenarios=(
        Scenario("answered", "an answer at once", _answered),
        Scenario("utf-8", "a text with letters that are no ASCII", _utf8),
        Scenario("lost", "the first question gets lost", _lost),
        Scenario("never", "no answer comes", _never),
        Scenario("late", "an answer to another question comes first", _late),
        Scenario("stranger", "somebody else answers first", _stranger),
        Scenario("nobody", "nobody listens on the port", _nobody, beside=("datagrams-to-nobody",)),
    ),
)
