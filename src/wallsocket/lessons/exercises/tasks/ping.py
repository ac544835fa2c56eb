"""ICMP echo."""

from __future__ import annotations

import socket
import struct

from ..exercise import Exercise, Scenario
from ..stage import SO_TIMESTAMPNS, Mismatch, Stage, ending, received

__all__ = ["EXERCISE"]

_TASK = """\
Write a ping.

Your program is started with the IPv4 address of a host and a number of requests. It sends so many ICMP echo requests
(RFC 792), with the sequence numbers 1, 2, 3 and so on, one after another: after each it waits one second for its echo
reply. When the reply comes it prints a line with the sequence number and the word reply, and goes on at once; when the
second has passed without it, it prints the number and the word timeout:

    1 reply
    2 timeout
    3 reply

It prints nothing else, and ends with status 0 when there was at least one reply, else with status 1.

There are two kinds of sockets for it: datagram sockets (SOCK_DGRAM with IPPROTO_ICMP), where the kernel fills in
identifier and checksum and gives you only replies to your own requests; and raw sockets, where all of that is yours,
and every ICMP message of the host comes to you, behind its IP header, which has 20 bytes or more (RFC 791). Both are
allowed here without root. Old replies, replies for others, and other messages are no reply, and however many of them
come, the second ends when it has passed.
"""

_REQUEST, _REPLY, _UNREACHABLE = 8, 0, 3
#: raw(7), include/uapi/linux/icmp.h: which types are not wanted.
_SOL_RAW, _ICMP_FILTER = 255, 1
#: Three options that say nothing, and the end of the list (RFC 791): the IP header has 24 bytes.
_OPTIONS = b"\1\1\1\0"
#: Less than the second that a request has, by the kernel's clock.
_TOO_SOON_MS = 850


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)


class _Responder:
    """The host that is asked; the kernel's own answers are turned off."""

    def __init__(self, stage: Stage, count: int) -> None:
        self._stage = stage
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << _REQUEST) & 0xFFFF_FFFF))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((stage.address, 0))
        self._body = b""
        self._identifier = 0
        self._came_ns = 0
        stage.run(stage.address, str(count))

    def request(self, sequence: int, *, later: bool = False) -> None:
        """The next echo request, which must be well made; ``later``: a second after the one before."""
        stage = self._stage
        what = f"an echo request with sequence number {sequence}"
        before_ns = self._came_ns
        while True:
            if not stage.await_ready(self._socket, rest_s=3.0):
                stage.say("no echo request came")
                status = stage.student.status
                seen = "none came" if status is None else f"none came: your program had ended with {ending(status)}"
                raise Mismatch("no answer", what, seen)
            packet, self._came_ns, _ = received(self._socket)
            message = packet[(packet[0] & 15) * 4 :]
            if len(message) >= 8:
                break
        code, _, self._identifier, number = struct.unpack(">BHHH", message[1:8])
        self._body = message[8:]
        stage.say(f"received an echo request, identifier {self._identifier}, sequence number {number}")
        if _checksum(message) != 0:
            right = _checksum(message[:2] + b"\0\0" + message[4:])
            had = struct.unpack(">H", message[2:4])[0]
            swapped = right == struct.unpack("<H", message[2:4])[0]
            seen = f"checksum {had:#06x}" + (", its bytes swapped" if swapped else "")
            raise Mismatch("wrong answer", f"checksum {right:#06x}", seen, None, "checksum")
        if code != 0 or number != sequence:
            swapped = int.from_bytes(sequence.to_bytes(2, "big"), "little") == number
            mistake = "sequence-order" if swapped and code == 0 else None
            raise Mismatch("wrong answer", what, f"sequence number {number}, code {code}", None, mistake)
        passed_ms = (self._came_ns - before_ns) // 1_000_000
        if later and passed_ms < _TOO_SOON_MS:
            seen = f"it came {passed_ms} ms later"
            raise Mismatch("too much", f"request {sequence} one second after the one before", seen, None, "hurries")

    def reply(self, sequence: int, *, identifier: int | None = None, kind: int = _REPLY, words: str = "") -> None:
        """Send a reply."""
        own = self._identifier if identifier is None else identifier
        message = struct.pack(">BBHHH", kind, 0, 0, own, sequence) + self._body
        message = message[:2] + struct.pack(">H", _checksum(message)) + message[4:]
        self._socket.sendto(message, (self._stage.address, 0))
        self._stage.say(f"sent {words or f'the echo reply {sequence}'}")

    def options(self) -> None:
        """From now on the IP headers of replies are longer."""
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, _OPTIONS)

    def foreign(self, sequence: int) -> None:
        """Send a reply for another program."""
        other = (self._identifier + 1) & 0xFFFF
        self.reply(sequence, identifier=other, words=f"an echo reply for another program, identifier {other}")

    def foreign_until_next(self, sequence: int) -> None:
        """Send replies for another program until the next request comes."""
        seconds = 8.0
        came = self._stage.pester(self._socket, lambda: self.foreign(sequence), every_s=0.25, limit_s=seconds)
        if not came and self._stage.student.status is None:
            seen = f"replies for another program came for {seconds:.0f} seconds, and no request"
            raise Mismatch("no answer", "the next request after one second", seen, None, "limit-starts-again")

    def unreachable(self) -> None:
        """Send a message that is no reply."""
        message = struct.pack(">BBHI", _UNREACHABLE, 1, 0, 0) + bytes(28)
        message = message[:2] + struct.pack(">H", _checksum(message)) + message[4:]
        self._socket.sendto(message, (self._stage.address, 0))
        self._stage.say("sent another message: destination unreachable, for somebody else")


def _all(stage: Stage) -> None:
    host = _Responder(stage, 3)
    for sequence in (1, 2, 3):
        host.request(sequence)
        host.reply(sequence)
    stage.expect_end(0, "1 reply\n2 reply\n3 reply")


def _lost(stage: Stage) -> None:
    host = _Responder(stage, 3)
    for sequence in (1, 2, 3):
        host.request(sequence)
        if sequence != 2:
            host.reply(sequence)
    stage.expect_end(0, "1 reply\n2 timeout\n3 reply", instead={"1 reply\n2 reply\n3 reply": "own-request"})


def _none(stage: Stage) -> None:
    host = _Responder(stage, 2)
    host.request(1)
    host.request(2, later=True)
    stage.expect_end(1, "1 timeout\n2 timeout", instead={"1 reply\n2 reply": "own-request"})


def _options(stage: Stage) -> None:
    host = _Responder(stage, 1)
    host.request(1)
    host.options()
    host.reply(1, words="the echo reply 1, in a packet whose IP header has 24 bytes")
    stage.expect_end(0, "1 reply")


def _old(stage: Stage) -> None:
    host = _Responder(stage, 2)
    host.request(1)
    host.reply(1)
    host.request(2)
    host.reply(1, words="the echo reply 1 once more, and none with 2")
    stage.expect_end(0, "1 reply\n2 timeout", instead={"1 reply\n2 reply": "sequence-ignored"})


def _foreign(stage: Stage) -> None:
    host = _Responder(stage, 2)
    host.request(1)
    host.foreign_until_next(1)
    instead = {"1 reply\n2 reply": "foreign-echo"}
    try:
        host.request(2)
    except Mismatch as mismatch:
        if mismatch.kind == "no answer":
            stage.expect_end(0, "1 timeout\n2 reply", instead=instead)
        raise
    host.foreign(2)
    host.reply(2)
    stage.expect_end(0, "1 timeout\n2 reply", instead=instead)


def _other(stage: Stage) -> None:
    host = _Responder(stage, 2)
    host.request(1)
    host.unreachable()
    host.reply(1)
    host.request(2)
    host.unreachable()
    stage.expect_end(0, "1 reply\n2 timeout", instead={"1 reply\n2 reply": "type-ignored"})


#: Who pings by a datagram socket may leave the identifier to the kernel.
_BESIDE = ("echo-identifier-replaced",)

EXERCISE = Exercise(
    name="ping",
    title="echo requests",
    level=3,
    protocol="icmp",
    role="client",
    usage="FILE HOST COUNT",
    task=_TASK,
    lessons=("raw-sending", "raw-receiving"),
    scenarios=(
        Scenario("all", "three requests that are answered", _all, beside=_BESIDE),
        Scenario("lost", "the second reply gets lost", _lost, beside=_BESIDE),
        Scenario("none", "nobody answers", _none, beside=_BESIDE),
        Scenario("old", "an old reply comes again", _old, beside=_BESIDE),
        Scenario("foreign", "replies for another program", _foreign, beside=_BESIDE),
        Scenario("other", "ICMP messages that are no reply", _other, beside=_BESIDE),
        Scenario("options", "a reply with a longer IP header", _options, beside=_BESIDE),
    ),
)
