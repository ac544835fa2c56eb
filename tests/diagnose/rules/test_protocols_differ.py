"""TLS to a plain port and the reverse; what merely looks like it."""

from __future__ import annotations

import pytest

from tests.diagnose.story import S, Story, pair

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"


def talk(request: bytes, answer: bytes | None, **server_more: int) -> Story:
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    story.call("sendto", client, len(request), length=len(request), payload=request)
    story.call("recvfrom", server, len(request), length=4096, payload=request, left=0, **server_more)
    if answer is not None:
        story.call("sendto", server, len(answer), length=len(answer), payload=answer)
        story.call("recvfrom", client, len(answer), length=4096, payload=answer, left=0)
    for one in (server, client):
        story.call("close", one, unread=0)
    return story


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (HELLO, b"HTTP/1.1 400 Bad Request\r\n"),
        (HELLO, b"ERROR\r\n"),
        (b"PING\r\n", ALERT),
        (b"GET / HTTP/1.1\r\n", ALERT),
    ],
)
def test_one_end_speaks_tls(request_bytes: bytes, answer: bytes) -> None:
    assert talk(request_bytes, answer).found() == ["protocols-differ certain error"]


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (HELLO, b"\x16\x03\x03\x00\x7a\x02"),
        (HELLO, b"\x16\x03"),
        (b"PING\r\n", b"PONG\r\n"),
    ],
)
def test_both_ends_speak_the_same_or_nobody_knows(request_bytes: bytes, answer: bytes | None) -> None:
    assert talk(request_bytes, answer).found() == []


def head(payload: bytes, *, by: str = "read", client: bool = False) -> Story:
    story = Story()
    reader, writer = pair(story)[:: -1 if client else 1]
    if client:
        story.call("connect", reader)
    story.call("sendto", writer, 14, length=14, payload=payload)
    story.call(by, reader, 5, length=5, payload=payload[:5], left=9)
    story.call("close", reader, unread=9)
    return story


def test_bytes_of_which_the_first_were_not_recorded_are_no_protocol() -> None:
    story = Story()
    _, client = pair(story)
    story.call("connect", client)
    story.call("sendto", client, 18, length=18, payload=b"GET / HTTP/1.1\r\n\r\n")
    story.offsets[client, "in"] = 115
    story.call("recvfrom", client, 5, length=4096, payload=b"hello", left=0)
    story.call("close", client, unread=0)
    assert story.found() == []


def test_a_library_that_reads_a_head_and_gives_up() -> None:
    found = head(b"*1\r\n$4\r\nPING\r\n").diagnosis().findings
    assert [(finding.rule, finding.certainty, finding.follows_from) for finding in found] == [
        ("protocols-differ", "strong", None),
        ("close-with-unread-data", "certain", "protocols-differ"),
    ]


@pytest.mark.parametrize(
    ("by", "client", "found"),
    [("recvfrom", False, ["protocols-differ hint"]), ("read", True, [])],
)
def test_five_bytes_of_something_that_is_not_known(by: str, client: bool, found: list[str]) -> None:
    findings = head(b"row 1\nrow 2\nro", by=by, client=client).diagnosis("protocols-differ").findings
    assert [f"{one.rule} {one.certainty}" for one in findings] == found


def test_five_bytes_that_were_all_that_came_are_a_message() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", server, 5, length=5, payload=b"done!")
    story.call("recvfrom", client, 5, length=5, payload=b"done!")
    story.call("close", client)
    story.call("close", server)
    assert story.found() == []


def test_the_proof_is_the_first_bytes_of_both_directions() -> None:
    finding = talk(HELLO, b"ERROR\r\n").diagnosis().findings[0]
    assert finding.covers == (47,)
    assert [proof.text.endswith(": TLS") for proof in finding.proof] == [True, False]


def greeted(*, whole: bool = True, silent_ns: int = 2 * S) -> list[str]:
    """A greeting of TLS that the server has read and does not answer, until the client gives up."""
    hello = HELLO + bytes(512 - 4 if whole else 100)
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    story.call("sendto", client, len(hello), length=len(hello), payload=hello[:64])
    story.call("recvfrom", server, len(hello), length=16384, payload=hello[:64], left=0)
    story.now += silent_ns
    story.call("close", client, unread=0)
    story.call("recvfrom", server, 0, length=16384)
    story.call("close", server, unread=0)
    return [f"{one.rule} {one.certainty}" for one in story.diagnosis("protocols-differ").findings]


def test_a_greeting_that_is_read_and_not_answered() -> None:
    assert greeted() == ["protocols-differ strong"]
    assert greeted(whole=False) == []
    assert greeted(silent_ns=S // 2) == []


def dropped(payload: bytes, *, peeks: bool, after_ns: int = 0, unread: int = 0) -> list[str]:
    """A server that closes at the first bytes."""
    story = Story()
    server, client = pair(story)
    story.call("connect", client)
    story.call("sendto", client, len(payload), length=len(payload), payload=payload)
    story.call("recvfrom", server, len(payload), length=4096, payload=payload, a=2 if peeks else 0)
    story.now += after_ns
    story.call("close", server, unread=len(payload) if peeks else unread)
    story.call("close", client, unread=0)
    return [f"{one.rule} {one.certainty}" for one in story.diagnosis("first-bytes-refused").findings]


def test_a_server_that_closes_at_the_first_bytes() -> None:
    request = b"GET / HTTP/1.1\r\n\r\n"
    assert dropped(request, peeks=True) == ["first-bytes-refused strong"]
    assert dropped(request, peeks=False) == ["first-bytes-refused hint"]
    assert dropped(HELLO, peeks=False) == ["first-bytes-refused hint"]
    assert dropped(request, peeks=False, unread=10) == []
    assert dropped(request, peeks=True, after_ns=S) == []
    assert dropped(b"hello\n", peeks=True) == []
