"""A service on datagrams."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Stage
from .capitals import expect

__all__ = ["EXERCISE"]

_TASK = """\
Write a service that answers each UDP datagram with its text in capital letters.

Your program is started with a port number. It binds a UDP socket to that port, on all addresses of the host, and then
for ever: it receives a datagram, turns the letters a to z into A to Z, leaves every other byte as it is, and sends
the result, as one datagram, back to whom the datagram came from.

Datagrams may be as long as 8000 bytes. They may also be empty, which needs no answer. Clients come and go; some are
gone when the answer comes.
"""


def _short(stage: Stage) -> None:
    stage.start()
    client = stage.datagrams()
    client.send(b"hello, world")
    expect(client, b"HELLO, WORLD")


def _several(stage: Stage) -> None:
    stage.start()
    one, two = stage.datagrams("client 1"), stage.datagrams("client 2")
    one.send(b"one")
    two.send(b"two")
    expect(two, b"TWO")
    expect(one, b"ONE")
    one.send(b"again")
    expect(one, b"AGAIN")
    two.expect_nothing()


def _bytes(stage: Stage) -> None:
    stage.start()
    client = stage.datagrams()
    data = b" \t" + bytes(range(256)) + b" \r\n"
    client.send(data, "(all values of a byte)")
    expect(client, data.upper())


def _long(stage: Stage) -> None:
    stage.start()
    client = stage.datagrams()
    data = b"abcdefgh" * 1000
    client.send(data)
    expect(client, data.upper())


def _empty(stage: Stage) -> None:
    stage.start()
    client = stage.datagrams()
    client.send(b"")
    # Not every library can send an empty answer: asyncio's transports leave it out (CPython 3.11).
    client.may_be_empty = True
    stage.student.settle()
    client.send(b"still there?")
    expect(client, b"STILL THERE?")


def _gone(stage: Stage) -> None:
    stage.start()
    for number in range(3):
        gone = stage.datagrams(f"client {number + 1}")
        gone.send(b"bye")
        gone.leave()
        stage.student.settle()
    client = stage.datagrams("client 4")
    client.send(b"hello")
    expect(client, b"HELLO")


def _loopback(stage: Stage) -> None:
    stage.start()
    client = stage.datagrams(address="127.0.0.1")
    client.send(b"from this host")
    expect(client, b"FROM THIS HOST")
    stage.expect_rest()


EXERCISE = Exercise(
    name="uppercase-udp",
    title="capital letters by datagrams",
    level=1,
    protocol="udp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("udp-binding", "udp-receiving", "udp-sending"),
    scenarios=(
        Scenario("short", "a short datagram", _short),
        Scenario("several", "two clients in turn", _several),
        Scenario("bytes", "bytes that are no text", _bytes, "bytes-as-text"),
        Scenario("long", "a datagram of 8000 bytes", _long),
        Scenario("empty", "an empty datagram", _empty),
        Scenario("gone", "clients that leave before the answer", _gone),
        Scenario("loopback", "a client on the same host, and then silence", _loopback),
    ),
)
