"""How connections end: near stories in which the rules must not speak."""

from __future__ import annotations

import errno
import signal
import struct

import pytest

from tests.diagnose.story import S, Story, inet, pair

LINGER = struct.pack("<ii", 1, 0)


def test_a_reset_that_was_asked_for_and_loses_nothing_is_a_note() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("sendto", server, 10, length=10)
    story.call("setsockopt", server, a=1, b=13, value=LINGER)
    story.call("close", server, entry={"send": 0})
    assert story.found() == ["linger-zero certain note"]


def test_a_reset_with_bytes_on_the_way_loses_them() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("sendto", server, 10, length=10)
    story.call("setsockopt", server, a=1, b=13, value=LINGER)
    story.call("close", server, entry={"send": 10})
    assert story.found() == ["linger-zero certain error"]


def test_a_probe_that_closes_with_a_reset_is_silent() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("setsockopt", server, a=1, b=13, value=LINGER)
    story.call("close", server)
    assert story.found() == []


@pytest.mark.parametrize(("number", "severity"), [(signal.SIGKILL, "error"), (signal.SIGTERM, "note")])
def test_a_peer_that_is_killed_while_it_owes_an_answer(number: int, severity: str) -> None:
    story = Story()
    dead, left = story.process("worker"), story.process("client")
    server = story.socket(dead, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    client = story.socket(left, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    story.end(dead, code=None, signal=number)
    story.call("recvfrom", client, 0, length=100)
    assert f"peer-process-died certain {severity}" in story.found()


def test_a_peer_that_is_killed_after_its_answer_is_no_fault() -> None:
    story = Story()
    dead, left = story.process("worker"), story.process("client")
    server = story.socket(dead, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    client = story.socket(left, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    story.call("sendto", server, 5, length=5)
    story.call("recvfrom", client, 5, length=100)
    story.end(dead, code=None, signal=signal.SIGKILL)
    story.call("recvfrom", client, 0, length=100)
    assert [line for line in story.found() if line.startswith("peer-process-died")] == []


def kept_connection(pause_ns: int, *, closed: bool) -> Story:
    story = Story()
    client = story.socket(story.process(), ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", client, 5, length=100)
    story.now += pause_ns
    if closed:
        story.state(client, at=story.now - pause_ns // 2, state=8)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", client, -errno.ECONNRESET, length=100)
    return story


def test_a_kept_connection_that_was_closed_in_the_pause() -> None:
    assert kept_connection(S, closed=True).found() == ["keep-alive-race strong error"]


def test_without_a_pause_or_a_sign_of_the_close_it_is_another_fault() -> None:
    assert "keep-alive-race strong error" not in kept_connection(0, closed=True).found()
    assert "keep-alive-race strong error" not in kept_connection(S, closed=False).found()


def test_a_listener_with_an_empty_queue_may_be_closed() -> None:
    for queue, expected in ((0, []), (3, ["listener-closed-with-queue certain error"])):
        story = Story()
        listener = story.socket(story.process(), ("127.0.0.1", 80), None)
        story.call("bind", listener, address=inet("127.0.0.1", 80))
        story.call("listen", listener, a=16, exit={"state": 10, "receive": 0, "send": 16})
        client = story.socket(story.process("client"), ("127.0.0.1", 50000), ("127.0.0.1", 80))
        story.call("close", listener, entry={"state": 10, "receive": queue, "send": 16})
        if queue:
            story.call("recvfrom", client, -errno.ECONNRESET, length=100)
        assert story.found() == expected
