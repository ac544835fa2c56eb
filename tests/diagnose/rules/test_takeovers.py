"""Sessions that end each other, and connections that only look like it."""

from __future__ import annotations

import pytest

from tests.diagnose.story import MS, Story

LOGIN = b"LOGIN sensor\n"


def logins(
    *, clients: int, answered: bool = False, words: bytes = LOGIN, rounds: int = 5, idle: str = "", woken: bool = False
) -> list[str]:
    """Each new connection begins with ``words``, and the server closes the one before.

    ``answered``: after its answer; ``idle``: because it was idle, by a timer of the loop or a thread of its own; ``woken``: by a
    shutdown, which wakes the thread of that connection up before it has returned.
    """
    story = Story()
    server = story.process("broker")
    processes = [story.process(f"sensor{number}") for number in range(clients)]
    story.socket(server, ("127.0.0.1", 80), None)
    older = None
    for number in range(rounds):
        port = 50000 + number
        client = story.socket(processes[number % clients], ("127.0.0.1", port), ("127.0.0.1", 80))
        accepted = story.socket(server, ("127.0.0.1", 80), ("127.0.0.1", port), origin="accept", parent=1)
        story.call("sendto", client, len(words), length=len(words), payload=words)
        story.call("recvfrom", accepted, len(words), length=100, payload=words)
        if older is not None:
            if answered:
                story.call("sendto", older, 3, length=3, payload=b"ok\n")
            if idle == "timer":
                story.call("epoll_wait", accepted, 0, took=100 * MS, socket=None, fd=99, b=100)
            if woken:
                begun = story.now
                story.call("close", older, tid=98, took=20_000)
                story.now = begun
                story.call("shutdown", older, a=2, took=90_000)
            else:
                story.call("close", older, tid=99 if idle == "thread" else None)
        if not answered:
            story.call("sendto", accepted, 3, length=3, payload=b"ok\n")
        story.now += 200 * MS
        older = accepted
    return [line for line in story.found() if line.startswith("same-name-twice")]


def test_two_clients_with_one_name() -> None:
    assert logins(clients=2) == ["same-name-twice strong error"]
    assert logins(clients=2, woken=True) == ["same-name-twice strong error"]


@pytest.mark.parametrize(
    ("clients", "answered", "words", "rounds"),
    [
        (1, False, LOGIN, 5),  # one client, which connects anew before it closes what it had
        (2, True, LOGIN, 5),  # each request is answered, and its connection closed then
        (2, False, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 5),  # a request is no name
        (2, False, LOGIN, 3),  # it happens
    ],
)
def test_others_that_take_turns(clients: int, answered: bool, words: bytes, rounds: int) -> None:
    assert logins(clients=clients, answered=answered, words=words, rounds=rounds) == []


@pytest.mark.parametrize("idle", ["timer", "thread"])
def test_a_server_that_closes_idle_connections(idle: str) -> None:
    assert logins(clients=2, idle=idle) == []
