"""Ends that come too early or too late: near stories in which the rules must not speak."""

from __future__ import annotations

import errno

from tests.diagnose.story import S, Story, inet


def conversation(*, answered: bool = False, shut: bool = False, pause_ns: int = S) -> Story:
    """A client writes and waits; the server reads to the end, which comes when the client gives up."""
    story = Story()
    there, here = story.process("server"), story.process("client")
    server = story.socket(there, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    client = story.socket(here, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    if shut:
        story.call("shutdown", client, a=1)
    if answered:
        story.call("sendto", server, 5, length=5)
        story.call("recvfrom", client, 5, length=100)
    story.now += pause_ns
    if not shut:
        story.call("close", client)
    story.call("recvfrom", server, 0, length=100)
    story.call("sendto", server, 5, length=5)
    return story


def rules(story: Story) -> set[str]:
    return {line.split()[0] for line in story.found()}


def test_an_answer_that_waited_for_the_end() -> None:
    assert "end-awaited" in rules(conversation())


def test_an_answer_that_came_before_a_half_close_or_at_once_is_none() -> None:
    assert "end-awaited" not in rules(conversation(answered=True))
    assert "end-awaited" not in rules(conversation(shut=True))
    assert "end-awaited" not in rules(conversation(pause_ns=0))


def test_a_server_that_shuts_its_side_at_a_half_close() -> None:
    story = Story()
    there, here = story.process("server"), story.process("client")
    server = story.socket(there, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    client = story.socket(here, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("sendto", client, 5, length=5)
    story.call("shutdown", client, a=1)
    story.call("recvfrom", server, 5, length=100)
    story.call("recvfrom", server, 0, length=100)
    story.call("shutdown", server, a=1)
    story.call("recvfrom", client, 0, length=100)
    for one in (server, client):
        story.call("close", one, unread=0)
    assert "half-close-taken-for-close" in rules(story)


def test_a_number_that_was_closed_before() -> None:
    story = Story()
    here = story.socket(story.process(), ("127.0.0.1", 80), ("127.0.0.1", 50000))
    story.call("close", here)
    story.call("sendto", here, -errno.EBADF, length=5)
    assert "closed-descriptor-used" in rules(story)


def test_a_number_that_never_was_a_socket_is_another_fault() -> None:
    story = Story()
    here = story.socket(story.process(), None, None)
    story.call("sendto", here, -errno.EBADF, length=5)
    assert "closed-descriptor-used" not in rules(story)


def queue(patience_ns: int) -> Story:
    story = Story()
    there, here = story.process("server"), story.process("client")
    client = story.socket(here, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("connect", client, address=inet("127.0.0.1", 80))
    story.now += patience_ns
    story.call("close", client)
    listener = story.socket(there, ("127.0.0.1", 80), None)
    story.call("bind", listener, address=inet("127.0.0.1", 80))
    story.call("listen", listener, a=16)
    server = story.socket(there, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept", parent=listener)
    story.call("accept4", listener, 5, made=server, address=inet("127.0.0.1", 50000))
    return story


def test_a_client_that_waited_in_the_queue_and_one_that_only_knocked() -> None:
    assert "left-before-accept" in rules(queue(S))
    assert "left-before-accept" not in rules(queue(0))
