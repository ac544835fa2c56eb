"""Echo requests of datagram sockets, whose identifier the kernel replaces."""

from __future__ import annotations

import errno
import socket as sockets

from tests.diagnose.story import Story, inet


def ping(replies: tuple[int, ...], sent: int) -> set[str]:
    """A program sends requests 1, 2, … with identifier 7, reads replies with the kernel's, and then waits in vain."""
    story = Story()
    here = story.socket(
        story.process("ping"), ("127.0.0.1", 9), None, type=sockets.SOCK_DGRAM, protocol=sockets.IPPROTO_ICMP
    )
    for number in range(1, sent + 1):
        request = bytes((8, 0, 0, 0, 0, 7, 0, number)) + b"data"
        story.call("sendto", here, 12, length=12, payload=request, address=inet("127.0.0.1", 0))
    for number in replies:
        reply = bytes((0, 0, 0, 0, 0, 9, 0, number)) + b"data"
        story.call("recvfrom", here, 12, length=100, payload=reply, address=inet("127.0.0.1", 0))
    story.call("recvfrom", here, -errno.EAGAIN, length=100)
    story.call("close", here)
    return {line.split()[0] for line in story.found()}


def test_a_reply_that_is_not_recognised() -> None:
    assert "echo-identifier-replaced" in ping((1,), 1)
    assert "echo-identifier-replaced" in ping((1, 2, 3), 3)


def test_a_wait_for_another_request_proves_nothing() -> None:
    assert "echo-identifier-replaced" not in ping((1, 3), 3)
