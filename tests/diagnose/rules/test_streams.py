"""Causes on byte streams: the smallest story of each, and the near ones in which its rule must not speak."""

from __future__ import annotations

import errno
import json
import struct
from typing import Any

import pytest

from tests.diagnose.story import AGAIN, MS, PIPE, S, Story, pair

FIONREAD = 0x541B


def said(story: Story, *rules: str) -> list[str]:
    return [f"{finding.rule} {finding.certainty}" for finding in story.diagnosis(*rules).findings]


def send(story: Story, socket: int, payload: bytes, **more: Any) -> int:
    return story.call("sendto", socket, len(payload), length=len(payload), payload=payload[:64], **more)


def receive(story: Story, socket: int, payload: bytes, length: int = 4096, **more: Any) -> int:
    return story.call("recvfrom", socket, len(payload), length=length, payload=payload[:64], **more)


def both_wait(story: Story, reader: int, writer: int, length: int = 4096) -> None:
    """The reader waits for more and the writer for the answer, for two seconds; then the writer gives up."""
    start = story.now
    story.call("recvfrom", reader, 0, length=length, took=2 * S)
    story.now = start + MS
    story.call("recvfrom", writer, AGAIN, length=100, took=2 * S - 2 * MS)
    story.now = start + 2 * S + MS


def http(story: Story, **head: Any) -> None:
    """What the tracer says of the next call."""
    value = {"at": 0, "head": None, "method": None, "status": None, "body": None, "chunked": False}
    value |= {"expects_continue": False, "excess": 0, **head}
    story.add("fact", story.now, story.ids.get("call", 0) + 1, "http", json.dumps([value]))


# -- 40


def commands(*writes: bytes, answers: int = 1) -> Story:
    story = Story()
    server, client = pair(story)
    for payload in writes:
        send(story, client, payload)
    receive(story, server, b"".join(writes))
    for _ in range(answers):
        send(story, server, b"ok")
        receive(story, client, b"ok", length=2)
    if answers < len(writes):
        both_wait(story, server, client)
    for one in (client, server):
        story.call("close", one, unread=0)
    return story


def test_three_commands_in_one_read_and_one_answer() -> None:
    story = commands(b"SET a 1", b"SET bc 2", b"GET a")
    assert said(story)[:1] == ["glued-messages strong"]


@pytest.mark.parametrize(
    "writes",
    [
        (b"SET a 1\n", b"SET bc 2\n", b"GET a\n"),  # delimited
        (b"\0\0\0\3abc", b"\0\0\0\5hello"),  # a length in front
        (b"SET a 1 and a longer one",),  # one write
    ],
)
def test_messages_with_borders_are_not_glued(writes: tuple[bytes, ...]) -> None:
    assert not [each for each in said(commands(*writes)) if each.startswith("glued")]


def test_a_head_and_a_body_and_an_end_that_was_waited_for() -> None:
    assert not [each for each in said(commands(b"STORE 5\n", b"hello")) if each.startswith("glued")]
    story = Story()
    server, client = pair(story)
    send(story, client, b"STORE 5 ")
    send(story, client, b"hello ")
    receive(story, server, b"STORE 5 hello ")
    send(story, server, b"ok")
    receive(story, client, b"ok")
    start = story.now
    story.call("recvfrom", client, 0, length=100, took=2 * S)
    story.now = start + 2 * S
    story.call("close", server, unread=0)
    assert said(story, "glued-messages") == []


def test_every_message_was_answered() -> None:
    assert said(commands(b"SET a 1", b"SET bc 2", answers=2)) == []


# -- 46


def question(text: bytes, greeting: bytes = b"", length: int = 8192) -> Story:
    story = Story()
    server, client = pair(story)
    if greeting:
        send(story, server, greeting)
        receive(story, client, greeting)
    send(story, client, text)
    receive(story, server, text, length=length)
    both_wait(story, server, client, length=length)
    story.call("close", client, unread=0)
    story.call("close", server, unread=0)
    return story


def test_a_line_without_its_end() -> None:
    assert said(question(b"PING", greeting=b"READY\r\n")) == ["delimiter-missing strong"]


def test_only_a_line_feed_where_the_other_end_sends_both() -> None:
    assert said(question(b"PING\n", greeting=b"READY\r\n"), "delimiter-missing") == ["delimiter-missing strong"]


@pytest.mark.parametrize("text", [b"PING\r\n", b"\x16\x03\x01\x00\x05hello", b"\x01\x02\xff\x80"])
def test_a_whole_line_and_binary_data_lack_no_line_end(text: bytes) -> None:
    assert said(question(text, greeting=b"READY\r\n"), "delimiter-missing") == []


def test_an_answer_that_is_being_made_is_no_stall() -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, b"PING")
    receive(story, server, b"PING")
    start = story.now
    story.now += 2 * S
    send(story, server, b"PONG\n")
    story.now = start
    receive(story, client, b"PONG\n", took=2 * S + MS)
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story, "delimiter-missing") == []


def test_a_payload_that_was_not_recorded_proves_nothing() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 4, length=4)
    story.call("recvfrom", server, 4, length=8192)
    both_wait(story, server, client)
    assert said(story, "delimiter-missing", "length-prefix-order", "two-readers") == []


# -- 45, 128 with a length in front


def prefixed(prefix: bytes, body: bytes, asks: int) -> Story:
    story = Story()
    server, client = pair(story)
    send(story, client, prefix + body)
    receive(story, server, prefix, length=len(prefix))
    receive(story, server, body, length=asks)
    both_wait(story, server, client, length=asks - len(body) if asks > len(body) else 4096)
    story.call("close", client, unread=0)
    story.call("close", server, unread=0)
    return story


def test_the_reader_asks_for_the_reversed_number() -> None:
    story = prefixed(struct.pack("<I", 11), b"hello world", struct.unpack(">I", struct.pack("<I", 11))[0])
    assert said(story) == ["length-prefix-order certain"]


def test_the_reader_that_buffers_waits_for_more() -> None:
    story = Story()
    server, client = pair(story)
    message = struct.pack("<I", 11) + b"hello world"
    send(story, client, message)
    receive(story, server, message)
    both_wait(story, server, client)
    assert said(story, "length-prefix-order") == ["length-prefix-order strong"]


def test_the_same_order_at_both_ends_and_too_few_bytes() -> None:
    assert said(prefixed(struct.pack(">I", 11), b"hello wor", 11)) == ["fewer-than-announced certain"]


@pytest.mark.parametrize(
    ("number", "found"),
    [(15, ["fewer-than-announced strong"]), (20, ["fewer-than-announced strong"]), (11, []), (11 << 9, [])],
    ids=["counts itself", "too large", "right", "another number"],
)
def test_a_number_before_a_message_that_is_read_into_a_larger_buffer(number: int, found: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    message = struct.pack(">I", number) + b"hello world"
    send(story, client, message)
    receive(story, server, message)
    both_wait(story, server, client)
    assert said(story, "fewer-than-announced") == found


def test_the_same_order_at_both_ends() -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, struct.pack(">I", 5) + b"hello")
    receive(story, server, struct.pack(">I", 5), length=4)
    receive(story, server, b"hello", length=5)
    send(story, server, b"ok")
    receive(story, client, b"ok")
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story) == []


# -- 47


@pytest.mark.parametrize(("begin", "value"), [(b"GET ", 1195725856), (b"\x16\x03\x01\x02", 369295618)])
def test_the_first_bytes_of_another_protocol_are_taken_for_a_length(begin: bytes, value: int) -> None:
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    payload = begin + (b"/ HTTP/1.1\r\nHost: a\r\n\r\n" if begin == b"GET " else b"\0\x01\0\x01\xfc" + b"x" * 60)
    send(story, client, payload)
    receive(story, server, begin, length=4)
    receive(story, server, payload[4:], length=value)
    both_wait(story, server, client, length=value)
    found = story.diagnosis().findings
    assert (found[0].rule, found[0].certainty, found[0].covers) == ("protocols-differ", "certain", (47,))


@pytest.mark.parametrize(
    ("request_bytes", "answer", "certainty"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"220 mail.example ESMTP\r\n", "strong"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", "certain"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", "certain"),
    ],
)
def test_two_other_protocols(request_bytes: bytes, answer: bytes, certainty: str) -> None:
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    send(story, client, request_bytes)
    receive(story, server, request_bytes)
    send(story, server, answer)
    receive(story, client, answer)
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story, "protocols-differ") == [f"protocols-differ {certainty}"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"H", b"HTTP"])
def test_http_is_answered_with_http(answer: bytes) -> None:
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    send(story, client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    receive(story, server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    send(story, server, answer)
    receive(story, client, answer)
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story, "protocols-differ") == []


# -- 48


def header_and_body(asks: int, name: str = "recvfrom", lines: tuple[int, int] = (4, 5)) -> Story:
    story = Story()
    server, client = pair(story)
    first, second = (story.source("server.py", line) for line in lines)
    send(story, client, b"5\nhello")
    receive(story, server, b"5\nhello", length=8192, source=first)
    start = story.now
    story.call(name, server, 0, length=asks, took=2 * S, source=second)
    story.now = start + MS
    story.call("recvfrom", client, AGAIN, length=100, took=2 * S - 2 * MS)
    story.now = start + 2 * S + MS
    return story


def test_recv_waits_beside_a_buffered_reader() -> None:
    assert said(header_and_body(5), "two-readers") == ["two-readers strong"]
    assert said(header_and_body(4096, name="read"), "two-readers") == ["two-readers strong"]


def test_one_buffered_reader_that_waits_for_more() -> None:
    assert said(header_and_body(8192), "two-readers") == []
    assert said(header_and_body(5, lines=(4, 4)), "two-readers") == []


# -- 49


def hangup(events: int, *, reads: bool, unread: int, broken: bool = False) -> list[str]:
    story = Story()
    server, client = pair(story)
    send(story, client, b"last values")
    story.call("shutdown", client, a=1)
    story.call("poll", server, 1, a=1, b=-1, value=struct.pack("<iHH", 4, 0x2001, events))
    if reads:
        receive(story, server, b"last values")
    if broken:
        story.call("sendto", server, -errno.ECONNRESET, length=6)
    story.call("close", server, unread=unread, state=8)
    story.call("close", client, unread=0)
    return [each for each in said(story) if each.startswith("hangup")]


def test_nothing_can_be_read_of_a_connection_that_was_reset() -> None:
    assert hangup(0x2001, reads=False, unread=11, broken=True) == []


def test_close_at_the_hang_up() -> None:
    assert hangup(0x2001, reads=False, unread=11) == ["hangup-before-data strong"]
    assert hangup(0x2001, reads=True, unread=1) == []
    assert hangup(0x0001, reads=False, unread=11) == []


# -- 52, 122


def looked(
    kind: str,
    *,
    more: bool = True,
    again: bool = False,
    pause: int = 0,
    by_another: bool = False,
    connected: int = 0,
) -> list[str]:
    story = Story()
    server, client = pair(story)
    story.call("connect", client, connected)
    send(story, client, b"list\n")
    receive(story, server, b"list\n")
    send(story, server, b"first part")
    receive(story, client, b"first part")
    if kind == "recv":
        story.call("recvfrom", client, AGAIN, length=4096)
    else:
        story.call("ioctl", client, 0, a=FIONREAD, b=0)
    if again:
        story.call("poll", client, 0, a=1, b=0, value=struct.pack("<iHH", 5, 1, 0))
    story.now += pause
    if by_another:
        story.made[client]["process"] = story.process("parent")
    story.call("close", client, unread=0)
    if more:
        send(story, server, b"second part")
        story.call("sendto", server, PIPE, length=10)
    story.call("close", server, unread=0)
    return said(story, "nothing-yet-is-no-end")


@pytest.mark.parametrize("kind", ["recv", "ioctl"])
def test_nothing_yet_was_taken_for_the_end(kind: str) -> None:
    assert looked(kind) == ["nothing-yet-is-no-end strong"]
    assert looked(kind, more=False) == []
    assert looked(kind, again=True) == []
    assert looked(kind, pause=S) == []
    assert looked(kind, by_another=True) == []
    assert looked(kind, connected=-errno.EINPROGRESS) == ["nothing-yet-is-no-end strong"]


# -- 109


def forked(*order: str) -> list[str]:
    """Who writes and reads on one socket: 'A1' process A writes, 'A0' it reads."""
    story = Story()
    server, client = pair(story)
    child = story.process("client")
    store = story.made[client]
    parent = store["process"]
    for step in order:
        store["process"] = parent if step[0] == "A" else child
        if step[1] == "1":
            send(story, client, b"question")
            receive(story, server, b"question")
            send(story, server, b"answer")
        else:
            receive(story, client, b"answer", length=6)
    return said(story, "connection-shared-by-fork")


def test_two_processes_ask_before_they_read() -> None:
    assert forked("A1", "B1", "A0", "B0") == ["connection-shared-by-fork certain"]


def test_two_processes_take_turns_or_one_hands_over() -> None:
    assert forked("A1", "A0", "B1", "B0", "A1", "A0") == []
    assert forked("A1", "B1", "B0", "B1", "B0") == []


def test_a_process_that_has_ended_has_handed_its_connection_over() -> None:
    """As sshd's do: the one that made the key exchange writes last, and ends; the one that it leaves it to writes on."""
    story = Story()
    server, client = pair(story)
    store = story.made[server]
    monitor, child = store["process"], story.process("server")
    for process in (monitor, child):
        store["process"] = process
        send(story, client, b"question")
        receive(story, server, b"question")
    send(story, server, b"accepted")
    store["process"] = monitor
    story.end(child)
    store["ended"] = None
    send(story, server, b"welcome")
    assert said(story, "connection-shared-by-fork") == []


# -- 110


def late(*, answers: bool = True, reads_on: bool = False, pushes: bool = False) -> list[str]:
    story = Story()
    server, client = pair(story)
    send(story, client, b"one\n")
    if not pushes:
        receive(story, server, b"one\n")
    story.call("poll", client, 0, a=1, b=500, took=500 * MS, value=struct.pack("<iHH", 5, 1, 0))
    send(story, server, b"answer 1")
    send(story, client, b"two\n")
    receive(story, server, b"two\n" if not pushes else b"one\ntwo\n")
    if answers:
        send(story, server, b"answer 2")
    receive(story, client, b"answer 1", length=8)
    if reads_on:
        receive(story, client, b"answer 2", length=8)
    for one in (client, server):
        story.call("close", one, unread=0)
    return said(story, "late-answer-taken")


def test_the_late_answer_was_taken_for_the_next_one() -> None:
    assert late() == ["late-answer-taken strong"]


def test_an_answer_that_was_dropped_and_a_peer_that_pushes() -> None:
    assert late(reads_on=True) == []
    assert late(pushes=True) == []
    assert late(answers=False) == []


@pytest.mark.parametrize("again", [b"two\n", None], ids=["asks again", "goes"])
def test_a_wait_that_a_signal_ended_is_a_time_limit(again: bytes | None) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, b"one\n")
    receive(story, server, b"one\n")
    story.call("recvfrom", client, AGAIN, length=100)
    story.call("poll", client, -errno.EINTR, a=1, b=-1, took=500 * MS)
    send(story, server, b"answer 1")
    if again:
        send(story, client, again)
        receive(story, server, again)
        send(story, server, b"answer 2")
        receive(story, client, b"answer 1", length=8)
    for one in (client, server):
        story.call("close", one, unread=0)
    found = ["late-answer-taken strong"] if again else []
    assert said(story, "late-answer-taken", "nothing-yet-is-no-end") == found


@pytest.mark.parametrize("late", [True, False])
def test_the_timer_of_a_loop_may_be_a_time_limit(late: bool) -> None:
    story = Story()
    server, client = pair(story)
    for one in (server, client):
        story.call("epoll_ctl", one, a=1, b=3 + one, c=1, fd=9)
    send(story, client, b"one\n")
    receive(story, server, b"one\n")
    if late:
        story.call("epoll_wait", client, 0, a=2, b=200, took=200 * MS, fd=9, socket=None)
        send(story, client, b"two\n")
        receive(story, server, b"two\n")
    send(story, server, b"answer 1")
    send(story, server, b"answer 2")
    receive(story, client, b"answer 1answer 2")
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story, "late-answer-taken") == (["late-answer-taken hint"] if late else [])


# -- 112


def record_and_select(kind: int = 23, *, whole: bool = True) -> list[str]:
    story = Story()
    server, client = pair(story)
    body = b"x" * 200
    head = bytes([kind, 3, 3]) + struct.pack(">H", 200)
    send(story, client, head + body)
    receive(story, server, head, length=5)
    receive(story, server, body if whole else body[:100], length=200 if whole else 100)
    if not whole:
        receive(story, server, body[100:], length=150)
    start = story.now
    story.call("poll", server, 0, a=1, b=2000, took=2 * S, value=struct.pack("<iHH", 4, 1, 0))
    story.now = start + MS
    story.call("recvfrom", client, AGAIN, length=5, took=2 * S)
    return said(story, "tls-bytes-pending")


def test_select_after_a_whole_record() -> None:
    assert record_and_select() == ["tls-bytes-pending strong"]
    assert record_and_select(22) == []
    assert record_and_select(whole=False) == []


# -- 118


@pytest.mark.parametrize(
    "header", [b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)]
)
def test_the_header_of_the_proxy_protocol_is_answered_with_400(header: bytes) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, header)
    receive(story, server, header)
    http(story, head=40, status=400, body=0)
    send(story, server, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    http(story, head=40, status=400, body=0)
    receive(story, client, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert said(story)[:1] == ["proxy-header-unexpected strong"]


def test_a_server_that_knows_the_header() -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n")
    receive(story, server, b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n")
    http(story, head=40, status=200, body=0)
    receive(story, client, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert said(story) == []


# -- 120, 128, 138, 145

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: tests\r\nContent-Le"


def test_a_pause_before_the_body_that_nobody_ended() -> None:
    for answered in (False, True):
        story = Story()
        server, client = pair(story)
        http(story, head=100, method="POST", body=50, expects_continue=True)
        story.call("sendto", client, 100, length=100, payload=POST)
        if answered:
            http(story, head=25, status=100, body=0)
            receive(story, client, b"HTTP/1.1 100 Continue\r\n\r\n")
        story.now += S
        story.call("sendto", client, 50, length=50, payload=b"x" * 50)
        story.call("recvfrom", server, 150, length=4096, payload=POST)
        assert said(story, "continue-unanswered") == ([] if answered else ["continue-unanswered certain"])


def posted(body: int, sent: int) -> Story:
    story = Story()
    server, client = pair(story)
    http(story, head=100, method="POST", body=body)
    story.call("sendto", client, 100, length=100, payload=POST)
    story.call("sendto", client, sent, length=sent, payload=b"x" * min(sent, 64))
    story.call("recvfrom", server, 100 + sent, length=4096, payload=POST)
    both_wait(story, server, client)
    return story


def test_a_body_that_is_shorter_or_longer_than_announced() -> None:
    assert said(posted(50, 49)) == ["fewer-than-announced certain"]
    assert "more-than-announced certain" in said(posted(50, 51))
    assert said(posted(50, 50), "fewer-than-announced", "more-than-announced") == []


@pytest.mark.parametrize(
    ("sent", "pause", "client_first", "found"),
    [
        (30, 0, False, ["fewer-than-announced strong"]),
        (50, 0, False, []),
        (30, 2 * S, True, ["fewer-than-announced hint"]),
        (30, 0, True, []),
    ],
    ids=["the server closes", "all was sent", "the client gave up", "the client left"],
)
def test_an_answer_that_is_shorter_than_announced(sent: int, pause: int, client_first: bool, found: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    http(story, head=30, method="GET", body=0)
    story.call("sendto", client, 30, length=30, payload=b"GET / HTTP/1.1\r\n" + b"x" * 14)
    http(story, head=30, method="GET", body=0)
    story.call("recvfrom", server, 30, length=4096, payload=b"GET / HTTP/1.1\r\n" + b"x" * 14)
    http(story, head=40, status=200, body=50)
    story.call("sendto", server, 40 + sent, length=40 + sent, payload=b"HTTP/1.1 200 OK\r\n" + b"x" * 47)
    http(story, head=40, status=200, body=50)
    story.call("recvfrom", client, 40 + sent, length=4096, payload=b"HTTP/1.1 200 OK\r\n" + b"x" * 47)
    story.now += pause
    for one in (client, server) if client_first else (server, client):
        story.call("close", one, unread=0)
    assert said(story, "fewer-than-announced") == found


@pytest.mark.parametrize(
    ("piece", "found"), [(b"G", []), (b"GET /a", []), (b"", []), (b"}", ["more-than-announced certain"])]
)
def test_the_first_bytes_of_the_next_request_are_no_excess(piece: bytes, found: list[str]) -> None:
    """A server may read one byte to see whether its client is still there, as Go's does; without payload it is not known which."""
    story = Story()
    server, _ = pair(story)
    http(story, head=18, method="GET", body=0)
    receive(story, server, b"GET / HTTP/1.1\r\n\r\n")
    story.call("recvfrom", server, len(piece) or 1, length=max(1, len(piece)), payload=piece)
    story.call("recvfrom", server, 101, length=4095, payload=b"ET /absent")
    assert said(story, "more-than-announced") == found


@pytest.mark.parametrize(("status", "found"), [(400, True), (411, True), (403, False)])
def test_a_chunked_request_that_is_refused_before_its_chunks_are_sent(status: int, found: bool) -> None:
    story = Story()
    server, client = pair(story)
    http(story, head=100, method="POST", chunked=True)
    story.call("sendto", client, 100, length=100, payload=POST)
    story.call("recvfrom", server, 100, length=4096, payload=POST)
    send(story, server, b"HTTP/1.1 %d No\r\nConnection: close\r\n\r\n" % status)
    story.call("close", server, unread=0)
    story.call("sendto", client, 10, length=10, payload=b"5\r\nhello\r\n")
    story.call("sendto", client, PIPE, length=10)
    story.call("close", client, unread=0)
    assert said(story, "chunked-not-understood") == (["chunked-not-understood strong"] if found else [])


def test_without_what_the_heads_announce_nothing_is_said() -> None:
    story = posted(50, 49)
    story.rows.pop("fact")
    assert said(story, "fewer-than-announced", "more-than-announced", "continue-unanswered") == []


def test_a_response_to_head_and_an_upgrade_have_no_excess() -> None:
    story = Story()
    server, client = pair(story)
    http(story, head=60, method="HEAD", body=0)
    story.call("sendto", client, 60, length=60, payload=b"HEAD / HTTP/1.1\r\n" + b"x" * 43)
    http(story, head=60, method="HEAD", body=0)
    story.call("recvfrom", server, 60, length=4096, payload=b"HEAD / HTTP/1.1\r\n" + b"x" * 43)
    http(story, head=60, status=200, body=1000)
    story.call("sendto", server, 60, length=60, payload=b"HTTP/1.1 200 OK\r\n" + b"x" * 43)
    http(story, head=60, status=101, body=0)
    story.call("sendto", server, 60, length=60, payload=b"HTTP/1.1 101 Switching\r\n" + b"x" * 36)
    story.call("sendto", server, 30, length=30, payload=b"\x81\x1chello")
    story.call("recvfrom", client, 150, length=4096, payload=b"HTTP/1.1 200 OK\r\n")
    both_wait(story, client, server)
    assert said(story, "fewer-than-announced", "more-than-announced") == []


@pytest.mark.parametrize(("status", "found"), [(411, True), (501, True), (200, False), (404, False)])
def test_a_chunked_request_and_its_answer(status: int, found: bool) -> None:
    story = Story()
    _, client = pair(story)
    http(story, head=100, method="POST", chunked=True)
    story.call("sendto", client, 100, length=100, payload=POST)
    story.call("sendto", client, 20, length=20, payload=b"5\r\nhello\r\n0\r\n\r\n")
    http(story, head=40, status=status, body=0)
    story.call("recvfrom", client, 40, length=4096, payload=b"HTTP/1.1 200 OK\r\n")
    assert said(story, "chunked-not-understood") == (["chunked-not-understood strong"] if found else [])


# -- 51


@pytest.mark.parametrize(
    ("record", "taken", "found"),
    [
        (struct.pack("<BxxxIHxx", 1, 1000, 77), 7, True),
        (struct.pack("<BxxxIHxx", 1, 1000, 77), 12, False),
        (b"kind=one;n=7", 7, False),
    ],
)
def test_a_record_with_gaps_and_a_reader_without(record: bytes, taken: int, found: bool) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, record)
    receive(story, server, record[:taken], length=taken, left=len(record) - taken)
    story.call("close", server, unread=len(record) - taken)
    story.call("close", client, unread=0)
    assert ("records-of-two-sizes hint" in said(story)) is found


@pytest.mark.parametrize(("size", "found"), [(7, True), (12, False), (6, False)])
def test_records_of_which_each_begins_further_away(size: int, found: bool) -> None:
    story = Story()
    server, client = pair(story)
    records = [struct.pack("<BxxxIHxx", 1, 1000 + number, 77) for number in range(4)]
    for record in records:
        send(story, client, record)
    stream = b"".join(records)
    for begin in range(0, len(stream), size):
        receive(story, server, stream[begin : begin + size], length=size)
    story.call("recvfrom", server, 0, length=size)
    assert ("records-of-two-sizes hint" in said(story)) is found


@pytest.mark.parametrize(
    ("took", "asked", "expected"),
    [
        (b"STORE abc\n", 10, ["close-with-unread-data certain"]),  # one line, read as such
        (b"STORE x\nabc", 11, ["one-recv-per-message hint", "close-with-unread-data certain"]),
        (b"STORE x abc", 11, ["one-recv-per-message certain", "close-with-unread-data certain"]),
    ],
)
def test_who_knows_a_request_by_its_first_line_may_leave_the_rest_unread(
    took: bytes, asked: int, expected: list[str]
) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, took + bytes(3000))
    receive(story, server, took, length=asked, left=3000)
    send(story, server, b"no")
    story.counter("TCPAbortOnClose", 0)
    story.call("close", server, unread=3000)
    story.counter("TCPAbortOnClose", 1)
    receive(story, client, b"no", length=100)
    story.call("recvfrom", client, -errno.ECONNRESET, length=100)
    assert said(story) == expected


def test_a_poll_that_only_the_end_of_the_stream_ended_was_a_wait_in_vain() -> None:
    story = Story()
    server, client = pair(story)
    start = story.now
    entry = struct.pack("<iHH", 3 + server, 1, 0)
    story.call(
        "poll", client, -errno.EINTR, a=1, b=-1, value=struct.pack("<iHH", 3 + client, 1, 0), took=2 * S, unread=0
    )
    story.end(story.made[client]["process"], code=None, signal=15)
    story.now = start
    story.call("poll", server, 1, a=1, b=-1, value=entry[:6] + b"\1\0", took=2 * S + MS, unread=0)
    story.call("recvfrom", server, 0, length=100)
    assert said(story)[:1] == ["both-wait certain"]


@pytest.mark.parametrize("signal", [15, None])
def test_an_event_loop_that_was_ended_before_the_answer_came(signal: int | None) -> None:
    story = Story()
    server, client = pair(story)
    story.call("epoll_ctl", client, a=1, b=3 + client, c=1, value=bytes(8))
    send(story, client, b"question")
    receive(story, server, b"question")
    story.call("epoll_wait", client, None, fd=40, socket=None, b=-1)
    story.now += 3 * S
    story.end(story.made[client]["process"], code=None if signal else 0, signal=signal)
    assert said(story, "silent-peer") == (["silent-peer hint"] if signal else [])


@pytest.mark.parametrize(("signal", "expected"), [(11, ["peer-process-died certain"]), (9, []), (15, [])])
def test_the_end_of_a_stream_that_a_crash_ended(signal: int, expected: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, b"list")
    receive(story, server, b"list")
    send(story, server, b"one\n")
    receive(story, client, b"one\n")
    story.end(story.made[server]["process"], code=None, signal=signal)
    story.call("recvfrom", client, 0, length=100)
    assert said(story, "peer-process-died") == expected


@pytest.mark.parametrize(
    ("last", "found"), [(b"5\r\nhello\r\n", True), (b"5\r\nhello\r\n0\r\n\r\n", False), (b"0\r\n\r\n", False)]
)
def test_the_last_chunk_is_missing(last: bytes, found: bool) -> None:
    story = Story()
    server, client = pair(story)
    http(story, head=100, method="POST", chunked=True)
    story.call("sendto", client, 100, length=100, payload=POST)
    send(story, client, last)
    story.call("recvfrom", server, 100 + len(last), length=4096, payload=POST)
    both_wait(story, server, client)
    assert said(story, "fewer-than-announced") == (["fewer-than-announced certain"] if found else [])


@pytest.mark.parametrize("kind", ["recv", "poll"])
def test_a_farewell_of_tls_that_was_not_read(kind: str) -> None:
    story = Story()
    server, client = pair(story)
    record = b"\x17\x03\x03\x00\x05hello"
    send(story, server, record)
    receive(story, client, record)
    if kind == "recv":
        story.call("recvfrom", client, AGAIN, length=5)
        story.call("close", client, unread=0)
        send(story, server, b"\x15\x03\x03\x00\x13" + b"x" * 19)
    else:
        send(story, server, b"\x15\x03\x03\x00\x13" + b"x" * 19)
        story.call("poll", client, 1, a=1, b=-1, value=struct.pack("<iHH", 5, 0x2001, 0x2001))
        story.call("close", client, unread=24, state=8)
    story.call("close", server, unread=0)
    assert said(story, "nothing-yet-is-no-end", "hangup-before-data") == []


# -- 149


def cut(*, code: int = 1, answers: bool = False, reads_on: bool = False, more: bool = True) -> list[str]:
    story = Story()
    server, client = pair(story)
    text = "Grüße ".encode() * 20
    send(story, client, text if more else text[:3])
    story.add("fact", story.now, story.ids["call"] + 1, "text", json.dumps({"cut": 1}))
    receive(story, server, text[:3], length=3, left=len(text) - 3 if more else 0)
    if reads_on:
        receive(story, server, text[3:], length=4096, left=0)
    if answers:
        send(story, server, b"too long\n")
    story.end(story.made[server]["process"], code=code)
    story.call("close", client, unread=0)
    return said(story, "character-cut")


def test_a_read_ended_inside_a_character() -> None:
    assert cut() == ["character-cut strong"]
    assert cut(code=0, answers=True) == []
    assert cut(reads_on=True) == []
    assert cut(more=False) == ["character-cut hint"]


@pytest.mark.parametrize("piece", [1, 60])
def test_who_reads_the_answer_byte_by_byte_may_have_been_told_to_leave_http(piece: int) -> None:
    story = Story()
    server, client = pair(story)
    upgrade = b"GET /mqtt HTTP/1.1\r\n" + b"x" * 40
    http(story, head=60, method="GET", body=0)
    story.call("sendto", client, 60, length=60, payload=upgrade)
    story.call("recvfrom", server, 60, length=4096, payload=upgrade)
    story.call("sendto", server, 60, length=60, payload=b"HTTP/1.1 101 Switching\r\n" + b"x" * 36)
    for begin in range(0, 60, piece):
        if piece == 60:
            http(story, head=60, status=101, body=0)
        story.call("recvfrom", client, piece, length=piece, payload=b"HTTP/1.1 101"[begin : begin + piece])
    story.call("sendto", client, 40, length=40, payload=b"\x82\x22" + b"m" * 38)
    story.call("recvfrom", server, 40, length=4096, payload=b"\x82\x22" + b"m" * 38)
    assert said(story, "more-than-announced") == []


def unpadded(size: int, taken: int) -> list[str]:
    story = Story()
    server, client = pair(story)
    records = [(b"T" + struct.pack("<IH", number, 77))[:size].ljust(size, b"\1") for number in range(24)]
    for record in records:
        send(story, client, record)
    stream = b"".join(records)
    for begin in range(0, len(stream) - taken + 1, taken):
        receive(story, server, stream[begin : begin + taken], length=taken)
    story.call("recvfrom", server, 0, length=taken)
    return said(story, "records-of-two-sizes")


@pytest.mark.parametrize(
    ("size", "taken", "found"),
    [(7, 12, ["records-of-two-sizes hint"]), (8, 12, []), (7, 16, []), (7, 7, [])],
)
def test_packed_records_that_are_read_as_a_structure(size: int, taken: int, found: list[str]) -> None:
    assert unpadded(size, taken) == found


@pytest.mark.parametrize(
    ("first", "rest", "found"),
    [
        (b'{"user":"anna",', b'"age":33}', ["one-recv-per-message hint"]),
        (b'{"user":"anna"}', b'{"user":"bob"}', []),
    ],
)
def test_a_text_that_came_in_two_writes(first: bytes, rest: bytes, found: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, first)
    receive(story, server, first, left=0)
    story.now += 150 * MS
    send(story, client, rest)
    story.call("close", client, unread=0)
    story.now += S
    story.call("close", server, unread=len(rest))
    assert said(story, "one-recv-per-message") == found


@pytest.mark.parametrize(("short", "found"), [(10, []), (1024, ["one-recv-per-message strong"])])
def test_a_buffer_that_is_too_small_for_any_message_says_nothing(short: int, found: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    send(story, client, b"x" * 5000)
    receive(story, server, b"x" * short, length=short, left=5000 - short)
    story.call("close", server, unread=5000 - short)
    story.call("close", client, unread=0)
    assert [one for one in said(story) if one.startswith("one-recv")] == found


def test_documents_that_came_in_one_read() -> None:
    story = Story()
    server, client = pair(story)
    for number in range(3):
        send(story, client, b'{"id":%d}' % number)
    receive(story, server, b'{"id":0}{"id":1}{"id":2}')
    for one in (client, server):
        story.call("close", one, unread=0)
    assert said(story, "glued-messages") == ["glued-messages hint"]
