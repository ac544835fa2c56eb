"""What looks like a fault and is none, or is another one: each a fact that the rule once lacked."""

from __future__ import annotations

import errno
import signal

import pytest

from tests.diagnose.story import AGAIN, MS, PIPE, REFUSED, RESET, S, Story, inet, pair


def cut(answer: bytes = b"ok", *, begins: bytes = b"", size: int = 3000) -> Story:
    """One read of 1024 of a longer message, an answer, a close."""
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, size, length=size, payload=begins or b"x" * 64)
    story.call("recvfrom", server, 1024, length=1024, payload=begins or b"x" * 64, left=size - 1024)
    story.call("sendto", server, len(answer), length=len(answer), payload=answer)
    story.call("close", server, unread=size - 1024)
    return story


@pytest.mark.parametrize("answer", [b"hello", b"42", b"5 bytes read", b"error", b"-ERR", b"3"])
def test_the_words_of_the_answer_do_not_matter(answer: bytes) -> None:
    assert cut(answer).found()[0] == "one-recv-per-message certain error"


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("width", [2, 4, 8])
@pytest.mark.parametrize("itself", [0, 1])
def test_a_message_with_its_length_in_front_may_have_been_refused(order: str, width: int, itself: int) -> None:
    length = 3000 if itself else 3000 - width
    story = cut(begins=length.to_bytes(width, order) + b"x" * 50)  # type: ignore[arg-type]
    diagnosis = story.diagnosis()
    assert "one-recv-per-message" not in [finding.rule for finding in diagnosis.findings]
    assert ("one-recv-per-message", "payload") in [(one.rule, one.missing) for one in diagnosis.cannot_tell]


def test_a_reader_of_http_knows_where_it_stops() -> None:
    assert not [rule for rule in cut(begins=b"HTTP/1.1 200 OK\r\n").found() if rule.startswith("one-recv")]


def test_a_reset_that_costs_nobody_a_byte_is_a_note() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 10, length=10)
    story.call("close", server, unread=10)
    story.call("close", client)
    assert story.found() == ["close-with-unread-data certain note"]


def test_a_reset_that_takes_an_answer_with_it_is_an_error() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 10, length=10)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=10)
    story.call("recvfrom", client, RESET, length=100)
    assert "close-with-unread-data certain error" in story.found()


TLS = b"\x17\x03\x03\x00\x50"


def test_the_goodbye_of_tls_may_stay_unread() -> None:
    story = Story()
    server, client = pair(story)
    for one, other in ((client, server), (server, client)):
        story.call("sendto", one, 85, length=85, payload=TLS)
        story.call("recvfrom", other, 85, length=4096, payload=TLS)
    story.call("sendto", client, 24, length=24, payload=b"\x15\x03\x03\x00\x13")
    story.call("close", server, unread=24)
    story.call("shutdown", client, -107, a=1)
    story.call("sendto", client, PIPE, length=24)
    story.call("close", client)
    assert story.found() == []


def early(
    *,
    server_starts: int = 0,
    client_ends: bool = False,
    wait: int = S,
    same_thread: bool = False,
    local: tuple[str, int] | None = None,
) -> Story:
    """A client that is refused, and a listener on its port afterwards."""
    story = Story()
    client = story.process("client")
    server = client if same_thread else story.process("server")
    story.processes[server][6] = server_starts
    tried = story.socket(client, local, None)
    call = story.call("connect", tried, REFUSED, address=inet("127.0.0.1", 4567))
    story.fact(call, "sockets", [])
    story.call("close", tried)
    if client_ends:
        story.end(client)
    story.now += wait
    listener = story.socket(server, ("127.0.0.1", 4567), None)
    story.call("bind", listener, address=inet("127.0.0.1", 4567))
    story.call("listen", listener, a=5)
    return story


def rules_of(story: Story) -> list[str]:
    return [rule.split()[0] for rule in story.found()]


def test_what_a_refused_connect_leaves_of_the_address_names_no_socket() -> None:
    """The socket was forgotten when it had ended; the ladder does not show this address either."""
    for wait in (S // 2, 20 * S):
        (finding,) = early(local=("0.0.0.0", 42724), wait=wait, server_starts=wait // 2).diagnosis().findings
        assert finding.socket is not None
        assert finding.socket.local is None


def test_a_server_that_was_on_its_way_was_too_late() -> None:
    assert rules_of(early()) == ["connected-before-listen"]
    assert rules_of(early(client_ends=True)) == ["connected-before-listen"]
    assert rules_of(early(server_starts=S // 2)) == ["connected-before-listen"]


def test_a_later_program_with_the_same_port_is_no_relation() -> None:
    assert rules_of(early(server_starts=S, client_ends=True)) == ["nobody-listens"]
    assert rules_of(early(same_thread=True)) == ["nobody-listens"]
    assert rules_of(early(wait=60 * S)) == ["nobody-listens"]


def node(*, ends: bool, killed: bool = False, peer_leaves: bool = False) -> list[str]:
    """An event loop that has sent a part and waits until it may send on."""
    story = Story()
    server, client = pair(story)
    story.call("recvfrom", server, AGAIN, length=1000)
    story.call("epoll_ctl", client, 0, a=1, c=4)
    story.call("write", client, 300, length=1000, payload=b"a" * 64)
    story.call("write", client, AGAIN, length=700)
    if peer_leaves:
        story.call("close", server, unread=0)
    if ends:
        story.end(2, code=None if killed else 0, signal=signal.SIGTERM if killed else None)
    else:
        story.call("close", client, unread=0)
        story.now += 5 * S
    return [rule for rule in story.found() if rule.startswith("short-send")]


def test_a_program_that_ends_before_all_was_sent() -> None:
    assert node(ends=True) == ["short-send certain error"]


@pytest.mark.parametrize("more", [{"ends": False}, {"ends": True, "killed": True}, {"ends": True, "peer_leaves": True}])
def test_one_that_gave_up_was_killed_or_was_left_lost_nothing_by_itself(more: dict[str, bool]) -> None:
    assert node(**more) == []


def test_calls_that_nobody_explains_are_listed_with_their_rows() -> None:
    story = Story()
    here = story.socket(story.process(), None, None)
    for _ in range(3):
        story.call("bind", here, -99, address=inet("192.0.2.1", 80))
    story.call("ioctl", here, -25)
    story.now += MS
    diagnosis = story.diagnosis("short-send")
    assert [(one.call, one.errno, one.count) for one in diagnosis.not_judged] == [("bind", "EADDRNOTAVAIL", 3)]
    assert 16 in diagnosis.not_judged[0].rows
    assert {one.call: one.healthy is not None for one in diagnosis.symptoms} == {"bind": False, "ioctl": True}


def searched(*, hosts: int = 1, ports: int = 40, times: int = 1) -> list[str]:
    """One program that is refused at many places."""
    story = Story()
    program = story.process()
    for host in range(hosts):
        for port in range(ports):
            for _ in range(times):
                where = (f"127.0.0.{1 + host}", 4000 + port)
                one = story.socket(program, ("127.0.0.1", 51000), None)
                call = story.call("connect", one, REFUSED, address=inet(*where))
                story.fact(call, "local", True)
                story.fact(call, "sockets", [])
                story.call("close", one)
    return [one for one in story.found() if one.startswith("nobody-listens")]


def test_for_who_looks_for_open_ports_a_refusal_is_an_answer() -> None:
    assert searched() == []
    assert searched(hosts=40, ports=1) == []


def test_a_program_that_asks_a_few_ports_or_one_again_and_again_does_not_look_around() -> None:
    assert len(searched(ports=5)) == 1
    assert len(searched(ports=1, times=40)) == 1
    assert searched(ports=40, times=5)


def test_who_asked_for_more_and_was_told_of_a_reset_read_on() -> None:
    story = Story(kernel="no")
    server, client = pair(story)
    story.call("sendto", server, 3000, length=3000)
    story.call("recvfrom", client, 1024, length=1024)
    story.call("close", server)
    story.call("recvfrom", client, RESET, length=1024)
    story.call("close", client)
    assert not [one for one in story.found() if one.startswith("one-recv")]


@pytest.mark.parametrize(
    ("code", "by", "expected"), [(0, "main", "hint note"), (1, "main", "strong error"), (0, "worker", "strong error")]
)
def test_a_request_may_ask_the_server_to_end(code: int, by: str, expected: str) -> None:
    story = Story()
    server, client = pair(story)
    tid = None if by == "main" else 4711
    story.call("sendto", client, 30, length=30)
    story.call("recvfrom", server, 30, length=4096, tid=tid)
    story.end(1, code=code)
    story.call("recvfrom", client, 0, length=4096)
    story.call("close", client)
    assert f"ended-before-answer {expected}" in story.found()


@pytest.mark.parametrize(("reads", "took", "severity"), [(40, 1000, "note"), (40, MS, "error"), (400, 1000, "error")])
def test_who_leaves_the_loop_at_once_has_handled_the_end(reads: int, took: int, severity: str) -> None:
    story = Story()
    server, client = pair(story)
    story.call("close", client)
    for _ in range(reads):
        story.call("recvfrom", server, 0, length=100, took=took)
        story.now -= MS // 10 - 1000
    story.call("close", server)
    assert [one for one in story.found() if one.startswith("end-of-stream")] == [
        f"end-of-stream-ignored certain {severity}"
    ]


def test_a_number_that_is_being_closed_is_bad_already() -> None:
    story = Story()
    server = story.process()
    one = story.socket(server, ("127.0.0.1", 4567), ("127.0.0.1", 51000))
    # The thread that fails is seen to return first.
    story.call("close", one, took=2 * MS, tid=4711)
    story.now -= 2 * MS
    story.call("sendto", one, -errno.EBADF, length=7, socket=None)
    assert story.found()[:1] == ["closed-descriptor-used certain error"]


def test_a_byte_that_would_wake_a_loop_which_ended_is_missed_by_nobody() -> None:
    story = Story()
    program = story.process()
    one = story.socket(program, None, None, family=1, origin="socketpair")
    story.socket(program, None, None, family=1, origin="socketpair", parent=one)
    story.call("close", one, tid=4711)
    story.call("sendto", one, -errno.EBADF, length=1, socket=None)
    assert not [found for found in story.found() if found.startswith("closed-descriptor")]


def test_a_greeting_before_starttls_is_no_other_protocol() -> None:
    story = Story()
    server, client = pair(story)
    for line in (b"220 hello\r\n", *[b"250-more\r\n"] * 12, b"220 go ahead\r\n"):
        story.call("sendto", server, len(line), length=len(line), payload=line)
    for line in (b"EHLO me\r\n", b"STARTTLS\r\n", TLS + b"x" * 80):
        story.call("recvfrom", server, len(line), length=4096, payload=line[:64])
    story.call("sendto", server, 85, length=85, payload=TLS)
    assert not [found for found in story.found() if found.startswith("protocols-differ")]


@pytest.mark.parametrize(
    ("header", "taken", "expected"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", True, ["proxy-header-unexpected hint warning"]),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r", True, []),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", False, []),
    ],
)
def test_who_never_saw_the_whole_header_did_not_refuse_it(header: bytes, taken: bool, expected: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, len(header), length=len(header), payload=header)
    if taken:
        story.call("recvfrom", server, len(header), length=4096, payload=header)
    story.call("close", server, unread=0 if taken else len(header))
    story.call("recvfrom", client, 0, length=4096)
    story.call("close", client)
    assert [found for found in story.found() if found.startswith("proxy-header")] == expected


@pytest.mark.parametrize(
    ("path", "found"), [("/var/run/nscd/socket", []), ("/run/app/backend", ["forwarder-without-backend strong error"])]
)
def test_a_name_that_is_looked_up_is_no_backend(path: str, found: list[str]) -> None:
    story = Story()
    server, client = pair(story)
    asks = story.socket(1, None, None, family=1)
    address = b"\x01\x00" + path.encode() + b"\0"
    story.call("connect", asks, -errno.ENOENT, address=address)
    story.call("close", asks)
    story.call("close", server)
    story.call("recvfrom", client, 0, length=100)
    assert [one for one in story.found() if one.startswith("forwarder")] == found
