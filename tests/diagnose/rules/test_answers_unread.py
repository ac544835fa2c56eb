"""Answers that nobody reads; connections that rest or are read slowly."""

from __future__ import annotations

import pytest

from tests.diagnose.story import S, Story

HERE = ("127.0.0.1", 80)


def asked(unread: tuple[int, ...], *, stood: int = 2 * S, new_one: bool = False) -> Story:
    story = Story()
    client = story.process("client")
    members = []
    for number, _ in enumerate(unread):
        member = story.socket(client, ("127.0.0.1", 50000 + number), HERE)
        members.append(member)
        story.call("connect", member)
        story.call("sendto", member, 20, length=20, payload=b"question")
        story.call("recvfrom", member, 10, length=10, payload=b"0123456789")
    story.now += stood // 2
    if new_one:
        other = story.socket(client, ("127.0.0.1", 50100), HERE)
        story.call("connect", other)
        story.call("sendto", other, 20, length=20, payload=b"question")
        story.call("recvfrom", other, 10, length=100, payload=b"0123456789", left=0)
        story.call("close", other, unread=0)
    story.now += stood // 2
    for member, count in zip(members, unread, strict=True):
        story.call("close", member, unread=count)
    return story


def paused(early: bool) -> Story:
    """Connections of an event loop, which takes them out of its set; at the end it does so with all."""
    story = Story()
    client = story.process("client")
    members = [story.socket(client, ("127.0.0.1", 50000 + number), HERE) for number in range(2)]
    for member in members:
        story.call("connect", member)
        story.call("epoll_ctl", member, a=1, b=3 + member, c=1, fd=20)
        story.call("sendto", member, 20, length=20, payload=b"question")
        story.call("recvfrom", member, 10, length=10, payload=b"0123456789")
    if not early:
        story.now += 2 * S
    for member in members:
        story.call("epoll_ctl", member, a=2, b=3 + member, fd=20)
    if early:
        story.now += 2 * S
    for member in members:
        story.call("close", member, unread=500)
    return story


@pytest.mark.parametrize(
    ("story", "found"),
    [
        (paused(early=True), True),
        (paused(early=False), False),
        (asked((500, 700)), True),
        (asked((500, 0)), False),
        (asked((500,)), False),
        (asked((500, 700), stood=S // 2), False),
        (asked((500, 700), new_one=True), False),
    ],
    ids=["paused by a loop", "watched by a loop", "all", "one rests", "one", "short", "another works"],
)
def test_answers_that_nobody_reads(story: Story, found: bool) -> None:
    said = [finding.rule for finding in story.diagnosis("answers-unread").findings]
    assert said == (["answers-unread"] if found else [])
