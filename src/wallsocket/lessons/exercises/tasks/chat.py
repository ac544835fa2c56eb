"""Several clients that hear each other."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Client, Mismatch, Stage

__all__ = ["EXERCISE"]

_TASK = """\
Write a chat, over TCP.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host, and serves any
number of clients at once. A client sends lines: any bytes, with a line feed (byte 10) at the end, at most 4096 bytes.
Each line goes, as it is, to all other clients that are connected, and not to the one that it came from. Lines go out
whole: two clients that send at the same time never get into each other's lines.

When a client has finished sending, your program closes its connection; a line without its end goes to nobody. Clients
leave and vanish at any time, also while something is sent to them; the others go on. A client that does not read must
not stop the others, nor your program: it may keep lines for that client, leave some out, or close the connection.
While nobody sends anything your program sleeps. It goes on for ever.
"""


def _room(stage: Stage, count: int) -> list[Client]:
    stage.start()
    clients = [stage.connect(f"client {number + 1}") for number in range(count)]
    # Whoever is to hear a line must have been accepted.
    stage.student.settle(0.1)
    return clients


def _heard(sender: Client, others: list[Client], line: bytes) -> None:
    sender.send(line)
    for other in others:
        try:
            other.expect(line)
        except Mismatch as mismatch:
            own = other.last[: len(other.came)]
            if own and other.came.startswith(own):
                mismatch.mistake = "echoes-to-sender"
            elif other.came + b"\n" == line:
                mismatch.mistake = "delimiter-missing"
            raise


def _silent(client: Client) -> None:
    try:
        client.expect_nothing(words="nothing: its own line goes to the others")
    except Mismatch as mismatch:
        if mismatch.kind == "too much":
            mismatch.mistake = "echoes-to-sender"
        raise


def _two(stage: Stage) -> None:
    one, two = _room(stage, 2)
    _heard(one, [two], b"hello\n")
    _heard(two, [one], b"hello yourself\n")
    _silent(one)


def _three(stage: Stage) -> None:
    one, two, three = _room(stage, 3)
    _heard(two, [one, three], b"hello, both of you\n")
    _heard(three, [one, two], b"hello, two\n")
    _silent(three)


def _parts(stage: Stage) -> None:
    one, two, three = _room(stage, 3)
    one.send(b"the begin")
    stage.student.settle(0.06)
    two.send(b"a line between\n")
    try:
        three.expect(b"a line between\n")
    except Mismatch as mismatch:
        if three.came.startswith(b"the"):
            mismatch.mistake = "part-passed-on"
        raise
    one.send(b"ning, and the end\nnext\nand one mo")
    three.expect(b"the beginning, and the end\nnext\n")
    one.send(b"re\n")
    three.expect(b"and one more\n")


def _leave(stage: Stage) -> None:
    one, two, three = _room(stage, 3)
    _heard(one, [two, three], b"who is there?\n")
    two.half_close()
    two.expect_closed("a connection that is closed: the client has finished")
    _heard(one, [three], b"who is left?\n")
    four = stage.connect("client 4")
    stage.student.settle(0.1)
    _heard(four, [one, three], b"I am new\n")
    stage.expect_rest()


def _vanish(stage: Stage) -> None:
    one, two, three = _room(stage, 3)
    two.send(b"half a li")
    stage.student.settle(0.06)
    two.reset()
    _heard(one, [three], b"where is two?\n")
    _heard(three, [one], b"gone\n")
    stage.expect_alive()


def _stalled(stage: Stage) -> None:
    stage.start()
    stalled = stage.connect("client 1, who reads nothing", receive_buffer=4096)
    one, two = stage.connect("client 2"), stage.connect("client 3")
    stage.student.settle(0.1)
    line = b"0123456789abcdef" * 250 + b"\n"
    for _ in range(50):
        one.send(line * 20)
        two.expect(line * 20)
    _heard(two, [one], b"still there?\n")
    stage.expect_alive()
    stalled.leave()
    _heard(two, [one], b"and now?\n")


EXERCISE = Exercise(
    name="chat",
    title="clients that hear each other",
    level=3,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("framing", "four-ways"),
    at_once=True,
    scenarios=(
        Scenario("two", "two clients", _two),
        Scenario("three", "three clients", _three),
        Scenario("parts", "lines in parts, and several in one segment", _parts),
        Scenario("leave", "a client that leaves, and one that comes later", _leave),
        Scenario("vanish", "a client that vanishes", _vanish, beside=("write-after-peer-closed",)),
        Scenario(
            "stalled",
            "a client that does not read 4 MB",
            _stalled,
            "waits-for-one-client",
            beside=("write-after-peer-closed",),
        ),
    ),
)
