"""A client with timeouts."""

from __future__ import annotations

import socket

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Service, Stage, shown

__all__ = ["EXERCISE"]

_TASK = """\
Write a client that asks a question by UDP, although datagrams get lost.

Your program is started with a host, a port and a text. It sends the question, one datagram, to that host and port: an
identifier of eight hexadecimal digits that your program chooses by chance in each run, a space, and the text in UTF-8.
The answer is a datagram from that host and port with the same identifier, a space and some text. Your program prints
that text, with a line feed and nothing else, and ends with status 0.

When no answer has come within half a second, your program sends the question again, with the same identifier; three
times in all. Half a second after the third time it prints "no answer" and ends with status 1. Where nobody listens on
the port it does the same, or ends so at once. What comes from elsewhere, or has another identifier, is no answer: your
program ignores it and waits on, until the half second has passed since the question was sent, however much of it
comes.
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


#: Less than half a second, by the kernel's clock, which says when each question came.
_TOO_SOON_MS = 400


def _again(service: Service, identifier: bytes) -> None:
    """The same question once more, when half a second has passed."""
    before_ns = service.came_ns
    try:
        repeated = _question(service)
    except Mismatch as mismatch:
        if mismatch.kind == "no answer":
            mismatch.mistake = "not-repeated" if "ended" in mismatch.seen else None
        raise
    passed_ms = (service.came_ns - before_ns) // 1_000_000
    if passed_ms < _TOO_SOON_MS:
        soon = service.mismatch("too much", "the next question half a second later", f"it came {passed_ms} ms later")
        soon.mistake = "hurries"
        raise soon
    if repeated != identifier:
        changed = service.mismatch("wrong answer", f"the identifier {identifier!r}", repr(repeated))
        changed.mistake = "identifier-changes"
        raise changed


def _answered(stage: Stage) -> None:
    seen = set()
    for _ in range(2):
        service = _ask(stage)
        identifier = _question(service)
        seen.add(identifier)
        service.answer(identifier + b" half past ten")
        stage.expect_end(0, "half past ten", instead={(identifier + b" half past ten").decode(): "answer-whole"})
        service.close()
    if len(seen) == 1:
        same = service.mismatch("wrong answer", "another identifier in the second run", f"{identifier.decode()} again")
        same.mistake = "identifier-constant"
        raise same


def _utf8(stage: Stage) -> None:
    text = "wie spät ist es? ⏰"
    service = _ask(stage, text)
    service.answer(_question(service, text) + " fünf vor zwölf".encode())
    stage.expect_end(0, "fünf vor zwölf")


def _lost(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    for _ in range(2):
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
    try:
        stage.expect_end(1, "no answer")
    finally:
        if (more := service.more()) is not None:
            stage.say(f"received one more datagram of {shown(more)}")
            often = service.mismatch("too much", "three questions", "a fourth one")
            often.mistake = "repeats-too-often"
            raise often


def _late(stage: Stage) -> None:
    service = _ask(stage)
    identifier = _question(service)
    other = b"00000000" if identifier != b"00000000" else b"11111111"
    strays = 0

    def stray() -> None:
        nonlocal strays
        strays += 1
        service.answer(other + b" an answer to another question")

    instead = {"an answer to another question": "identifier-ignored"}
    if not stage.pester(service.socket, stray, every_s=0.1, limit_s=8.0):
        if stage.student.status is not None:
            stage.expect_end(0, "half past ten", instead=instead)
        seen = f"{strays} answers to another question came in 8 seconds, and no question"
        never = service.mismatch("no answer", "the question again, half a second after the first time", seen)
        never.mistake = "limit-starts-again"
        raise never
    _again(service, identifier)
    service.answer(identifier + b" half past ten")
    stage.expect_end(0, "half past ten", instead=instead)


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
    stage.expect_end(0, "half past ten", instead={"midnight, says a stranger": "stranger-believed"})


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
    lessons=("udp-receiving", "udp-sending", "errors"),
    scenarios=(
        Scenario("answered", "an answer at once", _answered),
        Scenario("utf-8", "a text with letters that are no ASCII", _utf8),
        Scenario("lost", "two questions get lost", _lost),
        Scenario("never", "no answer comes", _never),
        Scenario("nobody", "nobody listens on the port", _nobody, beside=("datagrams-to-nobody",)),
        Scenario("stranger", "somebody else answers first", _stranger),
        Scenario("late", "answers to another question come, again and again", _late),
    ),
)
