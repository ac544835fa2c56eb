"""A server with an event loop."""

from __future__ import annotations

from ..exercise import Exercise, Scenario
from ..stage import Mismatch, Stage
from .lines import FRAMED

__all__ = ["EXERCISE"]

_TASK = """\
Write a service for lines that serves any number of clients at once without a thread for each.

Your program is started with a port number. It listens on that TCP port, on all addresses of the host. Each client
sends lines: any bytes, with a line feed (byte 10) at the end, at most 4096 bytes; your program answers each line with
the same line in capital letters: a to z become A to Z, all other bytes stay. A hundred clients may be there at once,
and none may wait for another: use sockets that do not block with select(), poll() or epoll, or an event loop that
does. All threads of all its processes may not be more than 20.

A client may send many lines and read no answers for a while, some megabytes: the others are served meanwhile, and when
it reads it gets all of them, also when it has finished sending before. Your program may read on and keep the answers,
or stop reading from that client until it reads. While there is nothing to do your program sleeps. When a client has
finished sending it gets its last answers, and then your program closes the connection; a line without its end has no
answer. Clients vanish at any time; your program goes on for ever, and can be stopped and started again at once.
"""

#: Lines of 4000 bytes in which each eight tell where in the stream they stand (:func:`~..mistakes.ending.position`).
_NUMBERED = b"".join(b"%07d%c" % (number, b" \n"[number % 500 == 499]) for number in range(500_000))
_CLIENTS = 100
_THREADS = 20


def _many(stage: Stage) -> None:
    stage.start()
    clients = [stage.connect(f"client {number + 1}") for number in range(_CLIENTS)]
    for number, client in enumerate(clients):
        client.send(b"half of line %d, " % number)
    # The last one first: who waits for the end of another line never comes to this one.
    for number, client in reversed(list(enumerate(clients))):
        client.send(b"and its end\n")
        FRAMED.answer(client, b"half of line %d, and its end" % number)
    threads = stage.student.threads
    if threads > _THREADS:
        stage.say(f"with {_CLIENTS} clients your program had {threads} threads")
        raise Mismatch("too much", f"at most {_THREADS} threads", f"{threads}", None, "thread-per-client")


def _turns(stage: Stage) -> None:
    stage.start()
    one, two = stage.connect("client 1"), stage.connect("client 2")
    FRAMED.ask(two, b"second comes first")
    FRAMED.ask(one, b"first")
    FRAMED.ask(two, b"second again, and bytes that are no text: \xe4\xff\x00")
    stage.expect_rest()


def _stalled(stage: Stage) -> None:
    stage.start()
    stalled = stage.connect("client 1, who reads nothing", receive_buffer=4096)
    sent = stalled.send_some(_NUMBERED)
    other = stage.connect("client 2")
    FRAMED.ask(other, b"is anybody there?")
    stage.expect_rest()
    if sent < len(_NUMBERED):
        stalled.send(_NUMBERED[sent:], "and reads now")
    stalled.half_close()
    stage.student.settle(0.1)
    try:
        stalled.expect(_NUMBERED)
    except Mismatch as mismatch:
        if mismatch.kind == "ended early":
            mismatch.mistake = "answers-left"
        raise
    stalled.expect_end()
    FRAMED.ask(other, b"and now?")


EXERCISE = Exercise(
    name="one-thread",
    title="an event loop for a hundred clients",
    level=4,
    protocol="tcp",
    role="server",
    usage="FILE PORT",
    task=_TASK,
    lessons=("tcp-streams", "framing", "four-ways"),
    at_once=True,
    scenarios=(
        Scenario("one", "one line after another", FRAMED.one),
        Scenario("turns", "two clients in turn, bytes that are no text, and then silence", _turns),
        Scenario("parts", "a line that comes in parts", FRAMED.parts),
        Scenario("glued", "several lines in one segment", FRAMED.glued),
        Scenario("half-close", "a client that finishes sending before it reads", FRAMED.half_close),
        Scenario("many", f"{_CLIENTS} clients at once", _many),
        Scenario("stalled", "a client that sends 4 MB, finishes sending, and reads only then", _stalled),
        Scenario("vanish", "clients that vanish, then another one", FRAMED.vanish),
        Scenario("again", "the program is stopped and started again", FRAMED.again),
        Scenario("slow", "a slow client on the same host", FRAMED.slow),
    ),
)
