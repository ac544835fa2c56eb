"""What calls alone prove, as of a log of strace: nobody asked the kernel what a socket was."""

from __future__ import annotations

import errno
import struct

import pytest

from ..story import MS, RESET, Story, inet, pair

S = 1000 * MS
POLLIN, POLLOUT = 1, 4


def untold() -> Story:
    return Story(
        kernel="a strace log holds nothing of the kernel's", lines="strace does not say which line made a call"
    )


def rules(story: Story) -> list[str]:
    return [f"{finding.rule} {finding.certainty}" for finding in story.diagnosis().findings]


@pytest.mark.parametrize(
    ("before", "expected"),
    [(None, ["close-wait strong"]), ("shutdown", []), ("reset", [])],
    ids=["open", "shut", "reset"],
)
def test_ends_that_were_read_and_nothing_was_closed(before: str | None, expected: list[str]) -> None:
    story = untold()
    server = story.process("server")
    for number in range(3):
        one = story.socket(server, ("127.0.0.1", 4567), ("127.0.0.1", 51000 + number), origin="accept")
        story.call("recvfrom", one, 5, length=100, payload=b"hello")
        if before == "shutdown":
            # The peer may have answered our own end: then this is no CLOSE_WAIT.
            story.call("shutdown", one, 0, a=1)
        elif before == "reset":
            story.call("recvfrom", one, RESET, length=100)
        story.call("recvfrom", one, 0, length=100)
    story.now += 2 * S
    assert [said for said in rules(story) if said.startswith("close-wait")] == expected


@pytest.mark.parametrize(("read", "expected"), [(5, ["both-wait certain"]), (3, [])], ids=["all", "less"])
def test_both_ends_wait_when_all_that_was_sent_was_read(read: int, expected: list[str]) -> None:
    story = untold()
    server, client = pair(story)
    story.made[server]["origin"] = "socket"  # whose options are known
    story.call("sendto", client, 5, length=5, payload=b"hello")
    story.call("recvfrom", server, read, length=read, payload=b"hello"[:read])
    story.call("recvfrom", client, None, length=100)
    story.call("recvfrom", server, None, length=100)
    story.now += 3 * S
    assert [said for said in rules(story) if said.startswith("both-wait")] == expected


def test_a_connection_with_itself_that_bytes_went_through() -> None:
    story = untold()
    here = ("127.0.0.1", 50000)
    one = story.socket(story.process("client"), here, here)
    story.call("connect", one, -errno.EINPROGRESS, address=inet(*here))
    asked = story.diagnosis("self-connect")
    assert (asked.findings, asked.cannot_tell[0].missing) == ((), "kernel")
    story.call("sendto", one, 5, length=5, payload=b"hello")
    assert "self-connect certain" in rules(story)


@pytest.mark.parametrize(
    ("events", "expected"), [(POLLOUT, ["dead-address-first strong"]), (POLLIN, [])], ids=["POLLOUT", "POLLIN"]
)
def test_a_poll_says_that_a_connect_has_not_come_through(events: int, expected: list[str]) -> None:
    story = untold()
    client = story.process("client")
    dead, alive = ("10.91.0.20", 6100), ("10.91.0.2", 6100)
    first = story.socket(client, ("10.91.0.1", 40000), None)
    story.call("connect", first, -errno.EINPROGRESS, address=inet(*dead))
    story.call("poll", first, 0, took=2 * S, a=1, b=2000, value=struct.pack("<iHH", 3 + first, events, 0))
    story.call("close", first)
    second = story.socket(client, ("10.91.0.1", 40001), alive)
    story.call("connect", second, 0, address=inet(*alive))
    story.call("sendto", second, 1, length=1)
    assert [said for said in rules(story) if said.startswith("dead-address")] == expected
    doubts = {question.rule for question in story.diagnosis().cannot_tell if question.missing == "kernel"}
    assert ("dead-address-first" in doubts) == (not expected)


@pytest.mark.parametrize("whom", ["nobody", "the client", "somebody"])
def test_clients_that_nobody_had_accepted_when_the_listener_was_closed(whom: str) -> None:
    story = untold()
    server, client = story.process("server"), story.process("client")
    here, there = ("127.0.0.1", 4567), ("127.0.0.1", 51000)
    listener = story.socket(server, here, None)
    story.call("listen", listener, a=16)
    asker = story.socket(client, there, here)
    story.call("connect", asker, 0, address=inet(*here))
    if whom != "nobody":
        remote = there if whom == "the client" else None
        made = story.socket(server, here, remote, origin="accept", parent=listener)
        story.call("accept4", listener, 3 + made, made=made)
    story.call("close", listener)
    story.call("recvfrom", asker, RESET, length=100)
    found = [said for said in rules(story) if said.startswith("listener-closed")]
    assert found == (["listener-closed-with-queue strong"] if whom == "nobody" else [])
