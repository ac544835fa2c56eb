"""EPOLLONESHOT: told when the one report was given, nobody armed the socket again, and the thread sleeps over what is left."""

from __future__ import annotations

import struct

from tests.diagnose.story import MS, S, Story, pair

ADD, MODIFY = 1, 3
IN, ONE_SHOT = 0x1, 1 << 30


def watched(story: Story, server: int, operation: int = ADD, events: int = IN | ONE_SHOT) -> None:
    story.call("epoll_ctl", server, fd=40, a=operation, c=events)


def reported(story: Story, server: int, events: int = IN, took: int = MS) -> None:
    """A wait of the server's thread that reported the socket."""
    value, sockets = struct.pack("<IQ", events, 7), struct.pack("<I", server)
    story.call("epoll_wait", server, 1, fd=40, socket=None, value=value, sockets=sockets, took=took, b=-1)


def slept(story: Story, server: int, took: int = 2 * S) -> None:
    story.call("epoll_wait", server, 0, fd=40, socket=None, value=b"", took=took, b=2000)


def question(story: Story, client: int, server: int, *, read: bool = True) -> None:
    story.call("sendto", client, 9, length=9, payload=b"question\n")
    if read:
        reported(story, server)
        story.call("recvfrom", server, 9, length=100, left=0)
        story.call("sendto", server, 7, length=7, payload=b"answer\n")


def spent(story: Story) -> tuple[int, int]:
    """One question was answered, and the next one has come."""
    server, client = pair(story)
    watched(story, server)
    question(story, client, server)
    question(story, client, server, read=False)
    story.state(server, receive=9)
    return server, client


def test_nobody_armed_it_again() -> None:
    story = Story()
    server, _ = spent(story)
    slept(story, server)
    story.call("close", server, unread=9)
    assert "one-shot-spent strong error" in story.found()


def test_the_thread_still_sleeps_at_the_end() -> None:
    story = Story()
    server, _ = spent(story)
    story.call("epoll_wait", server, None, fd=40, socket=None, b=-1)
    story.now += 3 * S
    assert "one-shot-spent strong error" in story.found()


def test_it_was_armed_again() -> None:
    story = Story()
    server, client = pair(story)
    watched(story, server)
    for _ in range(2):
        question(story, client, server)
        watched(story, server, MODIFY)
    question(story, client, server, read=False)
    story.state(server, receive=9)
    slept(story, server)
    assert "one-shot-spent" not in str(story.found())


def test_without_the_flag_it_is_reported_again_and_again() -> None:
    story = Story()
    server, client = pair(story)
    watched(story, server, events=IN)
    question(story, client, server)
    question(story, client, server, read=False)
    story.state(server, receive=9)
    slept(story, server)
    assert "one-shot-spent" not in str(story.found())


def test_a_thread_that_does_something_else_may_come_back() -> None:
    story = Story()
    server, client = spent(story)
    story.now += 2 * S
    story.call("recvfrom", server, 9, length=100, left=0)
    story.call("sendto", server, 7, length=7)
    story.call("recvfrom", client, 14, length=100)
    assert "one-shot-spent" not in str(story.found())


def test_nothing_is_left_in_the_queue() -> None:
    story = Story()
    server, client = pair(story)
    watched(story, server)
    question(story, client, server)
    story.state(server, receive=0)
    slept(story, server)
    assert "one-shot-spent" not in str(story.found())


def test_a_library_that_arms_when_something_is_wanted() -> None:
    """Then a socket that nobody wants to read is not armed: the cause may be another one."""
    story = Story()
    server, client = pair(story)
    watched(story, server, events=ONE_SHOT)
    watched(story, server, MODIFY)
    question(story, client, server)
    question(story, client, server, read=False)
    story.state(server, receive=9)
    slept(story, server)
    assert "one-shot-spent hint note" in story.found()


def test_a_pause_that_is_short() -> None:
    story = Story()
    server, _ = spent(story)
    slept(story, server, took=200 * MS)
    story.call("close", server, unread=9)
    assert "one-shot-spent" not in str(story.found())
