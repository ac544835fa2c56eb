"""Speed and limits: the smallest stories in which these rules speak, and the near ones in which they must not."""

from __future__ import annotations

import errno
import socket as sockets
import struct
from typing import Any

import pytest

from tests.diagnose.story import MS, S, Story, inet, pair

POLLIN, POLLOUT, POLLHUP = 1, 4, 16
LISTEN = 10


def only(story: Story, rule: str) -> list[str]:
    return [f"{one.certainty} {one.severity}" for one in story.diagnosis(rule).findings]


def poll(story: Story, socket: int, events: int, returned: int, **more: Any) -> int:
    value = struct.pack("<iHH", 3 + socket, events, returned)
    result = int(bool(returned))
    return story.call("poll", socket, result, a=1, b=-1, value=value, sockets=struct.pack("<I", socket), **more)


# -- a loop that stands still


def loop(story: Story, *, blocked_ms: int, queued_ms: int) -> None:
    """A thread polls its listener and a client, works, and polls again; a connection came while it worked."""
    server, client = pair(story)
    listener = story.socket(story.made[server]["process"], ("127.0.0.1", 80), None)
    poll(story, server, POLLIN, POLLIN)
    story.call("recvfrom", server, 5, length=100)
    story.state(listener, state=LISTEN, receive=1, send=16, at=story.now + (blocked_ms - queued_ms) * MS)
    story.now += blocked_ms * MS
    story.call("sendto", server, 5, length=5)
    poll(story, listener, POLLIN, POLLIN)
    story.call("accept4", listener, 9)
    story.call("recvfrom", client, 5, length=100)


def test_a_blocked_loop() -> None:
    story = Story()
    loop(story, blocked_ms=2_000, queued_ms=1_800)
    assert only(story, "loop-blocked") == ["strong warning"]


def test_a_poll_of_one_other_socket_is_a_blocking_call_of_an_epoll_loop() -> None:
    story = Story()
    server, client = pair(story)
    process = story.made[server]["process"]
    listener = story.socket(process, ("127.0.0.1", 80), None)
    backend = story.socket(process, ("127.0.0.1", 50001), ("127.0.0.1", 5432))
    epoll: dict[str, Any] = {"fd": 99, "socket": None}
    story.call("accept4", listener, 9)
    story.call("epoll_wait", server, 1, sockets=struct.pack("<I", server), **epoll)
    story.call("recvfrom", server, 5, length=100)
    story.state(listener, state=LISTEN, receive=1, send=16)
    poll(story, backend, POLLIN, 0, took=2 * S)
    story.call("epoll_wait", server, 1, sockets=struct.pack("<I", listener), **epoll)
    story.call("accept4", listener, 9)
    assert only(story, "loop-blocked") == ["strong warning"]


def test_a_loop_that_is_a_little_late_is_none() -> None:
    story = Story()
    loop(story, blocked_ms=800, queued_ms=700)
    assert only(story, "loop-blocked") == []


def test_what_came_just_before_the_wait_did_not_wait() -> None:
    story = Story()
    loop(story, blocked_ms=3_000, queued_ms=50)
    assert only(story, "loop-blocked") == []


def test_without_the_kernel_layer_a_blocked_loop_cannot_be_told() -> None:
    story = Story(kernel="no sock_diag here")
    loop(story, blocked_ms=2_000, queued_ms=1_800)
    diagnosis = story.diagnosis("loop-blocked")
    assert not diagnosis.findings
    assert [one.missing for one in diagnosis.cannot_tell] == ["kernel"]


def test_an_idle_loop_is_none() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(3):
        poll(story, server, POLLIN, POLLIN, took=3 * S)
        story.call("recvfrom", server, 5, length=100)
        story.call("sendto", server, 5, length=5)
    assert only(story, "loop-blocked") == []


# -- descriptors


def test_accept_without_a_descriptor() -> None:
    story = Story()
    listener = story.socket(story.process(), ("127.0.0.1", 80), None)
    call = story.call("accept4", listener, -errno.EMFILE)
    story.fact(call, "limits", {"open_files_soft": 16, "open_files_hard": 16, "open_files": 16})
    assert "descriptor-limit certain error" in story.found()


def test_other_failures_of_accept_are_no_limit() -> None:
    story = Story()
    listener = story.socket(story.process(), ("127.0.0.1", 80), None)
    story.call("accept4", listener, -errno.EAGAIN)
    story.call("accept4", listener, -errno.ECONNABORTED)
    assert only(story, "descriptor-limit") == []


def connections(story: Story, count: int, *, close: bool, answers: int = 1, together: bool = False) -> None:
    process = story.process("client")
    opened = []
    for _ in range(count):
        client = story.socket(process, None, ("10.0.0.2", 80), source=None)
        story.call("connect", client, 0, address=inet("10.0.0.2", 80))
        opened.append(client)
        if not together:
            use(story, client, answers, close=close)
    if together:
        for client in opened:
            use(story, client, answers, close=close)
    story.now += 3 * S
    story.end(process)


def use(story: Story, client: int, answers: int, *, close: bool) -> None:
    for _ in range(answers):
        story.call("sendto", client, 5, length=5)
        story.call("recvfrom", client, 5, length=100)
    if close:
        story.call("close", client)


def test_sockets_that_pile_up() -> None:
    story = Story()
    connections(story, 12, close=False)
    assert only(story, "socket-pileup") == ["strong warning"]


def test_sockets_that_pile_up_and_are_never_answered() -> None:
    story = Story()
    process = story.process()
    for _ in range(12):
        client = story.socket(process, None, ("10.0.0.2", 80), source=None)
        story.call("connect", client, 0, address=inet("10.0.0.2", 80))
        story.call("sendto", client, 5, length=5)
    story.now += 3 * S
    story.end(process)
    assert only(story, "socket-pileup") == ["strong warning"]


@pytest.mark.parametrize(
    "how",
    [{"close": True}, {"close": False, "together": True}, {"close": False, "answers": 3}],
    ids=["closed", "a pool that is filled first", "used again"],
)
def test_sockets_that_do_not_pile_up(how: dict[str, Any]) -> None:
    story = Story()
    connections(story, 12, **how)
    assert only(story, "socket-pileup") == []


def test_a_connection_for_each_request() -> None:
    story = Story()
    connections(story, 40, close=True)
    assert only(story, "connection-per-request") == ["hint note"]


@pytest.mark.parametrize("how", [{"answers": 4}, {"together": True}, {"answers": 0}], ids=["kept", "at once", "a scan"])
def test_connections_for_something_else(how: dict[str, Any]) -> None:
    story = Story()
    connections(story, 40, close=True, **how)
    assert only(story, "connection-per-request") == []


# -- calls


def test_a_call_for_each_byte() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(1_100):
        story.call("recvfrom", server, 1, length=1)
    assert only(story, "tiny-calls") == ["certain warning"]


def test_bytes_that_come_one_by_one() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(1_100):
        story.call("recvfrom", server, 1, length=1, took=30 * MS)
    assert only(story, "tiny-calls") == []


def test_an_echo_of_single_bytes() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(1_100):
        story.call("recvfrom", server, 1, length=1)
        story.call("sendto", server, 1, length=1)
    assert only(story, "tiny-calls") == []


def test_a_storm_of_tries_in_vain() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(2_000):
        story.call("recvfrom", server, -errno.EAGAIN, length=100)
    assert only(story, "tiny-calls") == ["certain warning"]


def test_a_try_now_and_then() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(2_000):
        story.call("recvfrom", server, -errno.EAGAIN, length=100)
        story.now += 10 * MS
    assert only(story, "tiny-calls") == []


@pytest.mark.parametrize(
    ("returned", "rule"), [(POLLHUP | POLLIN, "ready-ignored"), (POLLIN, "ready-ignored"), (POLLOUT, "writable-spin")]
)
def test_waits_that_return_at_once(returned: int, rule: str) -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(1_100):
        poll(story, server, POLLIN | POLLOUT, returned)
    assert only(story, rule) == ["certain warning"]
    assert [one.rule for one in story.diagnosis("ready-ignored", "writable-spin").findings] == [rule]


def test_a_moment_of_waits_that_return_at_once_is_a_note() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(300):
        poll(story, server, POLLIN | POLLOUT, POLLOUT)
    assert only(story, "writable-spin") == ["certain note"]


@pytest.mark.parametrize("returned", [POLLIN, POLLOUT])
def test_what_is_done_after_each_wait_is_no_spin(returned: int) -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(300):
        poll(story, server, POLLIN | POLLOUT, returned)
        story.call("recvfrom" if returned == POLLIN else "sendto", server, 5, length=100)
    assert story.diagnosis("ready-ignored", "writable-spin").findings == ()


# -- queues


@pytest.mark.parametrize(("asked", "found"), [(100_000, ["certain note"]), (4096, []), (-1, []), (2**31 - 1, [])])
def test_a_backlog_that_is_cut(asked: int, found: list[str]) -> None:
    story = Story()
    listener = story.socket(story.process(), ("127.0.0.1", 80), None)
    story.call("listen", listener, 0, a=asked, exit={"state": LISTEN, "receive": 0, "send": 4096})
    assert only(story, "backlog-cut") == found


def listening(story: Story, port: int) -> int:
    listener = story.socket(story.process(), ("127.0.0.1", port), None)
    story.call("listen", listener, 0, a=8, exit={"state": LISTEN, "receive": 0, "send": 8})
    return listener


def test_a_full_queue_of_half_open_connections() -> None:
    story = Story()
    listening(story, 80)
    story.counter("TcpExtTCPReqQFullDoCookies", 0)
    story.now += S
    story.counter("TcpExtTCPReqQFullDoCookies", 44)
    assert only(story, "syn-queue-full") == ["certain warning"]


def test_which_of_two_listeners_is_not_certain() -> None:
    story = Story()
    listening(story, 80)
    listening(story, 81)
    story.counter("TcpExtTCPReqQFullDoCookies", 0)
    story.now += S
    story.counter("TcpExtTCPReqQFullDoCookies", 44)
    assert {f"{one.certainty} {one.severity}" for one in story.diagnosis("syn-queue-full").findings} == {"hint note"}


# -- corks


def corked(story: Story, *, cleared: bool, late_ms: int) -> None:
    server, client = pair(story)
    story.call("setsockopt", server, a=sockets.IPPROTO_TCP, b=3, value=struct.pack("<i", 1))
    for _ in range(3):
        story.call("sendto", server, 20, length=20)
        if cleared:
            story.call("setsockopt", server, a=sockets.IPPROTO_TCP, b=3, value=struct.pack("<i", 0))
        story.call("recvfrom", client, 20, length=100, took=late_ms * MS)


def test_a_cork_that_is_left_on() -> None:
    story = Story()
    corked(story, cleared=False, late_ms=205)
    assert only(story, "cork-left-on") == ["certain warning"]


@pytest.mark.parametrize(("cleared", "late_ms"), [(True, 205), (False, 5), (False, 1_500)])
def test_other_delays_are_not_the_corks(cleared: bool, late_ms: int) -> None:
    story = Story()
    corked(story, cleared=cleared, late_ms=late_ms)
    assert only(story, "cork-left-on") == []


# -- threads


def test_two_threads_read_one_stream() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(3):
        for tid in (11, 12):
            story.now -= 2 * MS
            story.call("recvfrom", server, 5, length=100, took=4 * MS, tid=tid)
    assert only(story, "threads-share-stream") == ["strong warning"]


@pytest.mark.parametrize(
    ("head", "rest", "order", "found"),
    [
        (b"\0\0\0\x05", b"hello", (11, 12, 11, 12), ["strong warning"]),
        (b"\0\0\0\x05", b"hello", (11, 11, 12, 12), []),
        (b"set a ", b"1\n", (11, 12, 11, 12), ["strong warning"]),
        (b"one\n", b"two\n", (11, 12, 11, 12), []),
        (b"\0\0\0\x09", b"hello", (11, 12, 11, 12), []),
    ],
)
def test_a_write_between_the_parts_of_another_threads_message(
    head: bytes, rest: bytes, order: tuple[int, ...], found: list[str]
) -> None:
    story = Story()
    server, _ = pair(story)
    begun = set()
    for tid in order:
        part = rest if tid in begun else head
        begun.add(tid)
        story.call("write", server, len(part), length=len(part), payload=part, tid=tid)
    assert only(story, "threads-share-stream") == found


def test_threads_that_take_turns() -> None:
    story = Story()
    server, _ = pair(story)
    for _ in range(3):
        for tid in (11, 12):
            story.call("sendto", server, 5, length=5, tid=tid)
            story.call("recvfrom", server, 5, length=100, took=4 * MS, tid=tid)
    assert only(story, "threads-share-stream") == []


# -- signals


def interrupted(story: Story, *, again: bool, goes_on: bool) -> None:
    _, client = pair(story)
    story.call("recvfrom", client, -errno.EINTR, length=100, took=300 * MS)
    if again:
        story.call("recvfrom", client, 5, length=100)
    story.call("close", client)
    if goes_on:
        story.now += 2 * S
    story.end(story.made[client]["process"])
    story.now += 2 * S


@pytest.mark.parametrize(
    ("again", "goes_on", "found"),
    [(False, True, ["strong warning"]), (True, True, []), (False, False, [])],
    ids=["given up", "repeated", "it was to end"],
)
def test_an_interrupted_call(again: bool, goes_on: bool, found: list[str]) -> None:
    story = Story()
    interrupted(story, again=again, goes_on=goes_on)
    assert only(story, "interrupted-call") == found


@pytest.mark.parametrize(
    ("name", "took", "code", "found"),
    [
        ("SIGALRM", 300 * MS, 1, ["strong warning"]),
        ("SIGALRM", S, 1, ["hint note"]),
        ("SIGCHLD", 300 * MS, 0, ["hint note"]),
        ("SIGTERM", 300 * MS, 1, ["hint note"]),
        ("SIGVTALRM", 300 * MS, 1, []),
    ],
    ids=["a timer", "a time limit", "a child has ended", "it was to end", "the runtime woke the thread"],
)
def test_the_signal_that_interrupted_it(name: str, took: int, code: int, found: list[str]) -> None:
    story = Story()
    _, client = pair(story)
    story.call("recvfrom", client, -errno.EINTR, length=100, took=took)
    story.add("mark", story.now, story.made[client]["process"], story.made[client]["process"] + 1000, "signal", name)
    story.call("close", client)
    story.end(story.made[client]["process"], code=code)
    story.now += 2 * S
    assert only(story, "interrupted-call") == found


# -- limits of time


def trickle(story: Story, *, count: int, each_ms: int, limit_ms: int) -> None:
    _, client = pair(story)
    story.call("sendto", client, 5, length=5)
    for _ in range(count):
        value = struct.pack("<iHH", 3 + client, POLLIN, POLLIN)
        story.call("poll", client, 1, a=1, b=limit_ms, value=value, took=each_ms * MS)
        story.call("recvfrom", client, 1, length=100)


def test_a_limit_for_each_call() -> None:
    story = Story()
    trickle(story, count=10, each_ms=400, limit_ms=1_000)
    assert only(story, "limit-per-call") == ["hint note"]


def test_an_answer_within_the_limit() -> None:
    story = Story()
    trickle(story, count=10, each_ms=40, limit_ms=1_000)
    assert only(story, "limit-per-call") == []


def gives_up(story: Story, request: bytes) -> None:
    process = story.process("client")
    for _ in range(3):
        client = story.socket(process, None, ("10.0.0.2", 80))
        story.call("connect", client, 0, address=inet("10.0.0.2", 80))
        story.call("sendto", client, len(request), length=len(request), payload=request)
        value = struct.pack("<iHH", 3 + client, POLLIN, 0)
        story.call("poll", client, 0, a=1, b=5_000, value=value, took=5 * S)
        story.call("close", client)


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (b"*3\r\n$5\r\nBLPOP\r\n$4\r\njobs\r\n$2\r\n30\r\n", ["strong warning"]),
        (b"*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$5\r\n30000\r\n$7\r\nSTREAMS\r\n", ["strong warning"]),
        (b"GET /events?timeout=60 HTTP/1.1\r\n\r\n", ["strong warning"]),
        (b"GET /events?timeout=60000 HTTP/1.1\r\n\r\n", ["strong warning"]),
        (b"GET /events?timeout=2 HTTP/1.1\r\n\r\n", []),
        (b"GET /events HTTP/1.1\r\n\r\n", []),
    ],
)
def test_a_limit_below_the_wait(request_: bytes, found: list[str]) -> None:
    story = Story()
    gives_up(story, request_)
    assert only(story, "limit-below-wait") == found
