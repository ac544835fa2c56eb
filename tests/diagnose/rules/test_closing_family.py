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


def kept_in_a_loop(second: bytes) -> list[str]:
    """An event loop has read the end of an idle connection before the program writes on it."""
    story = Story()
    server, client = pair(story)
    story.call("epoll_ctl", client, a=1, b=4 + client, c=1, fd=9)
    story.call("sendto", client, 16, length=16, payload=b"GET / HTTP/1.1\r\n")
    story.call("recvfrom", server, 16, length=100)
    story.call("sendto", server, 5, length=5)
    story.call("recvfrom", client, 5, length=100)
    story.now += S
    story.call("close", server, unread=0)
    story.call("recvfrom", client, 0, length=100)
    story.now += S
    story.call("sendto", client, len(second), length=len(second), payload=second)
    story.call("close", client, unread=0)
    return [line for line in story.found() if line.startswith("keep-alive-race")]


def test_a_loop_has_read_the_end_and_the_program_asks_again() -> None:
    assert kept_in_a_loop(b"GET /2 HTTP/1.1\r\n") == ["keep-alive-race strong error"]
    assert kept_in_a_loop(b"QUIT\r\n") == []


def answered_too_late(*, others: bool, ends: bool) -> list[str]:
    """A server writes to a client that has gone; it ends, or accepts others; others come, or nobody."""
    story = Story()
    service, user = story.process("server"), story.process("client")
    listener = story.socket(service, ("127.0.0.1", 80), None)
    story.call("bind", listener, address=inet("127.0.0.1", 80))
    story.call("listen", listener, a=16, exit={"state": 10, "send": 16})
    client = story.socket(user, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("connect", client, address=inet("127.0.0.1", 80))
    server = story.socket(service, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept", parent=listener)
    story.call("accept4", listener, 3 + server, made=server)
    story.call("sendto", client, 5, length=5)
    story.call("recvfrom", server, 5, length=100)
    story.call("close", client, unread=0)
    story.call("sendto", server, 5, length=5)
    story.call("sendto", server, -errno.EPIPE, length=5)
    if ends:
        story.end(service, code=None, signal=signal.SIGPIPE)
    else:
        story.call("close", server, unread=0)
    if others:
        late = story.socket(user, ("127.0.0.1", 50001), ("127.0.0.1", 80))
        call = story.call("connect", late, -errno.ECONNREFUSED, address=inet("127.0.0.1", 80))
        story.fact(call, "sockets", [])
    story.now += 2 * S
    kept = ("write-after-peer-closed", "dies-of-client-reset")
    return [line for line in story.found() if line.startswith(kept)]


def test_a_client_that_went_away_ends_the_service_or_only_its_own_answer() -> None:
    assert answered_too_late(others=True, ends=True) == ["dies-of-client-reset strong error"]
    assert answered_too_late(others=False, ends=True) == [
        "write-after-peer-closed certain error",
        "dies-of-client-reset hint note",
    ]
    assert answered_too_late(others=False, ends=False) == ["write-after-peer-closed certain note"]


def handed_over(*, closed_at_once: bool) -> list[str]:
    """A worker is handed ten connections and keeps them, or closes each before the next."""
    story = Story()
    worker = story.process("worker")
    channel = story.socket(worker, None, None, family=1, origin="socketpair")
    for _ in range(10):
        one = story.socket(worker, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="received")
        story.rows["descriptor"][-1] = (
            *story.rows["descriptor"][-1][:4],
            "received",
            *story.rows["descriptor"][-1][5:],
        )
        story.call("recvmsg", channel, 4, length=64, sockets=struct.pack("<I", one))
        if closed_at_once:
            story.call("close", one, unread=0)
            row = story.rows["descriptor"][-1]
            story.rows["descriptor"][-1] = (*row[:6], story.now, *row[7:])
    story.end(worker)
    return [line for line in story.found() if line.startswith("passed-descriptors")]


def test_connections_that_are_handed_over_are_kept_or_closed() -> None:
    assert handed_over(closed_at_once=False) == ["passed-descriptors strong warning"]
    assert handed_over(closed_at_once=True) == []


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


def streamed(*, pause: int, pieces: int = 12, number: int = signal.SIGKILL) -> list[str]:
    """A server writes pieces to a client and is killed; ``pause``: between the last piece and its end."""
    story = Story()
    dead, left = story.process("worker"), story.process("client")
    server = story.socket(dead, ("127.0.0.1", 80), ("127.0.0.1", 50000), origin="accept")
    client = story.socket(left, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    for _ in range(pieces):
        story.call("sendto", server, 100, length=100)
        story.call("recvfrom", client, 100, length=1000)
        story.now += S // 100
    story.now += pause
    story.end(dead, code=None, signal=number)
    story.call("recvfrom", client, 0, length=1000)
    return [line for line in story.found() if line.startswith("peer-process-died")]


def test_a_sender_that_is_killed_in_the_middle_of_a_stream() -> None:
    assert streamed(pause=0) == ["peer-process-died strong warning"]


@pytest.mark.parametrize(("pause", "pieces", "number"), [(S, 12, 9), (0, 3, 9), (0, 12, 15)])
def test_a_sender_that_is_ended_after_its_words(pause: int, pieces: int, number: int) -> None:
    assert streamed(pause=pause, pieces=pieces, number=number) == []


def test_a_number_that_is_used_after_its_close_is_one_finding_for_all_uses() -> None:
    story = Story()
    process = story.process()
    first = story.socket(process, ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("close", first)
    second = story.socket(process, ("127.0.0.1", 50001), ("127.0.0.1", 80))
    story.call("close", second, fd=3 + first)
    for name in ("sendto", "getsockname", "getpeername"):
        story.call(name, second, -errno.EBADF, fd=3 + first)
    (found,) = story.diagnosis("closed-descriptor-used").findings
    assert "The same at 2 other times" in found.why
    assert "had named another socket before" in found.why


def test_a_file_that_has_the_number_by_then_is_asked_for_its_name() -> None:
    story = Story()
    client = story.socket(story.process(), ("127.0.0.1", 50000), ("127.0.0.1", 80))
    story.call("close", client)
    story.call("getsockname", client, -errno.ENOTSOCK)
    assert story.diagnosis("closed-descriptor-used").findings == ()
    story.call("sendto", client, -errno.ENOTSOCK)
    (found,) = story.diagnosis("closed-descriptor-used").findings
    assert found.certainty == "strong"


def handed(numbers: list[int]) -> list[str]:
    """A process is handed files, one by each message, under these numbers."""
    story = Story()
    channel = story.socket(story.process("worker"), None, None, family=1, origin="socketpair")
    for number in numbers:
        story.call("recvmsg", channel, 5, length=100, value=struct.pack("<qiii", 20, 1, 1, number))
    return [line for line in story.found() if line.startswith("passed-descriptors")]


def test_files_that_came_in_messages_and_are_never_closed() -> None:
    assert handed(list(range(5, 30))) == ["passed-descriptors strong warning"]


@pytest.mark.parametrize("numbers", [[5] * 30, list(range(5, 15)) * 3, list(range(5, 20))])
def test_files_whose_numbers_come_again(numbers: list[int]) -> None:
    assert handed(numbers) == []
