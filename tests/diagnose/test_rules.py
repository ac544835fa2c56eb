"""Each rule at its edges: the smallest story in which it speaks, and the near ones in which it must not."""

from __future__ import annotations

import errno
import signal
import socket
import struct
from typing import Any

import pytest

from tests.diagnose.story import AGAIN, IN_USE, MS, PIPE, REFUSED, RESET, S, Story, inet, pair
from wallsocket.diagnose import all_rules
from wallsocket.diagnose.rules import picture_rules

LISTEN, TIME_WAIT, CLOSE_WAIT = 10, 6, 8


def poll_entry(events: int, returned: int = 0, number: int = 4) -> bytes:
    return struct.pack("<iHH", number, events, returned)


# -- one-recv-per-message


def half_read(story: Story, *, size: int = 3000, asked: int = 1024, got: int = 1024, **more: Any) -> tuple[int, int]:
    server, client = pair(story)
    story.call("sendto", client, size, length=size)
    story.call("recvfrom", server, got, length=asked, left=size - got, **more)
    return server, client


def test_a_cut_message_that_was_answered_is_certain() -> None:
    story = Story()
    server, _ = half_read(story)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    assert story.found()[0] == "one-recv-per-message certain error"


def test_a_cut_message_that_was_only_closed_on_is_strong() -> None:
    story = Story()
    server, _ = half_read(story)
    story.call("close", server, unread=1976)
    assert story.found()[0] == "one-recv-per-message strong error"


def test_without_the_peer_it_is_strong_at_most() -> None:
    story = Story()
    server = story.socket(story.process(), ("10.0.0.1", 4567), ("10.0.0.2", 51000))
    story.call("recvfrom", server, 1024, length=1024, unread=3000, left=1976)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    assert story.found() == ["one-recv-per-message strong error", "close-with-unread-data certain warning"]


def test_the_rest_may_come_after_the_close() -> None:
    """Nothing is queued at the close, but the peer's one write was longer."""
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 100_000, length=100_000, took=20 * MS)
    story.call("recvfrom", server, 65_483, length=65_536, left=0)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=0)
    assert story.found() == ["one-recv-per-message certain error"]


def test_a_length_in_front_that_was_not_honoured_is_certain() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 4, length=4)
    story.call("sendto", client, 3000, length=3000)
    story.call("recvfrom", server, 4, length=4, payload=struct.pack("!I", 3000), left=0)
    story.call("recvfrom", server, 1448, length=3000, left=0)
    story.call("close", server, unread=1552)
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("one-recv-per-message", "certain")
    assert "announced 3000 bytes" in finding.why


QUIET_READERS = {
    "it reads on": [("recvfrom", 1976, {"length": 1024 * 4, "left": 0})],
    "it reads to the end": [("recvfrom", 1976, {"length": 4096}), ("recvfrom", 0, {"length": 4096})],
    "it asked again and was told to wait": [("recvfrom", AGAIN, {"length": 4096})],
    "it polled for more": [("poll", 0, {"a": 1, "b": 5000, "value": poll_entry(1)})],
}


@pytest.mark.parametrize("name", QUIET_READERS)
def test_a_reader_that_asks_for_more_takes_nothing_for_whole(name: str) -> None:
    story = Story()
    server, _ = half_read(story)
    for call, result, more in QUIET_READERS[name]:
        story.call(call, server, result, **more)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=0)
    assert not [rule for rule in story.found() if rule.startswith("one-recv")]


def test_an_echo_that_answers_piece_by_piece_is_healthy() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 3000, length=3000)
    for piece in (1024, 1024, 952):
        story.call("recvfrom", server, piece, length=1024)
        story.call("sendto", server, piece, length=piece)
    story.call("recvfrom", server, 0, length=1024)
    story.call("close", server, unread=0)
    assert story.found() == []


def test_a_read_that_ends_where_a_write_ended_is_healthy() -> None:
    """The peer's next message is not the rest of this one."""
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 1024, length=1024)
    story.call("sendto", client, 500, length=500)
    story.call("recvfrom", server, 1024, length=1024, left=500)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=500)
    assert story.found() == ["close-with-unread-data certain error"]


@pytest.mark.parametrize(
    "payload",
    [
        b"POST /upload HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.0\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\x17\x03\x03\x00\x50",
    ],
)
def test_protocols_whose_readers_may_stop_early_are_left_alone(payload: bytes) -> None:
    story = Story()
    server, _ = half_read(story, payload=payload)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    assert not [rule for rule in story.found() if rule.startswith("one-recv")]


@pytest.mark.parametrize("flags", [0x100])
def test_a_read_that_waits_for_all_knows_its_size(flags: int) -> None:
    story = Story()
    server, _ = half_read(story, a=flags)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    assert not [rule for rule in story.found() if rule.startswith("one-recv")]


def test_records_of_one_size_are_not_certain() -> None:
    story = Story()
    server, _ = half_read(story, size=3072)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=2048)
    assert story.found()[0] == "one-recv-per-message strong error"


def test_an_event_loop_is_not_certain() -> None:
    story = Story()
    server, client = pair(story)
    story.call("epoll_ctl", server, 0, a=1, c=1)
    story.call("sendto", client, 3000, length=3000)
    story.call("recvfrom", server, 1024, length=1024, left=1976)
    story.call("sendto", server, 5, length=5)
    story.call("close", server, unread=1976)
    assert story.found()[0] == "one-recv-per-message strong error"


def test_a_program_that_was_killed_meant_nothing() -> None:
    story = Story()
    half_read(story)
    story.end(1, code=None, signal=signal.SIGTERM)
    assert story.found() == []


# -- short-send


def test_a_short_send_at_the_end() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("sendto", server, 300, length=1000)
    story.call("close", server, unread=0)
    assert story.found() == ["short-send certain error"]


def short_then(*calls: tuple[str, int, dict[str, Any]], **close: Any) -> list[str]:
    story = Story()
    server, _ = pair(story)
    story.call("sendto", server, 300, length=1000, payload=b"a" * 64)
    for name, result, more in calls:
        story.call(name, server, result, **more)
    story.call("close", server, **{"unread": 0, **close})
    return [rule for rule in story.found() if rule.startswith("short-send")]


def test_a_short_send_whose_rest_is_sent_is_healthy() -> None:
    assert short_then(("sendto", 700, {"length": 700})) == []
    assert short_then(("sendto", 500, {"length": 700}), ("sendto", 200, {"length": 200})) == []
    assert short_then(("sendto", 400, {"length": 400}), ("sendto", 300, {"length": 300})) == []


def test_a_short_send_followed_by_less_than_its_rest() -> None:
    assert short_then(("sendto", 100, {"length": 100})) == ["short-send certain error"]


def test_a_writer_that_waits_for_room_has_noticed() -> None:
    assert short_then(("poll", 0, {"a": 1, "b": 5000, "value": poll_entry(4)})) == []
    assert short_then(("sendto", AGAIN, {"length": 700})) == []


def test_a_peer_that_is_gone_excuses_the_rest() -> None:
    assert short_then(("sendto", RESET, {"length": 700})) == []
    assert short_then(("poll", 1, {"a": 1, "b": 0, "value": poll_entry(1, 0x10)})) == []


def test_a_file_may_be_shorter_than_its_count() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("sendfile", server, 300, length=1 << 30)
    story.call("close", server, unread=0)
    assert story.found() == []


# -- datagrams


def receiver(story: Story) -> int:
    return story.socket(story.process("receiver"), ("127.0.0.1", 5353), None, type=socket.SOCK_DGRAM)


def test_a_cut_datagram() -> None:
    story = Story()
    story.call("recvfrom", receiver(story), 1024, length=1024, unread=3000)
    finding = story.diagnosis().findings[0]
    assert finding.rule == "datagram-truncated"
    assert "1976 of 3000 bytes" in finding.why


def test_a_sample_between_two_reads_shows_the_next_datagram() -> None:
    story = Story()
    here = receiver(story)
    story.call("recvfrom", here, 100, length=1024, left=3000)
    story.call("recvfrom", here, 1024, length=1024, left=0)
    assert story.found() == ["datagram-truncated certain error"]
    story = Story()
    here = receiver(story)
    story.state(here, receive=3000, state=7)
    story.call("recvfrom", here, 100, length=4096)
    story.call("recvfrom", here, 1024, length=1024)
    assert story.found() == []


def test_a_datagram_that_fits_exactly_is_whole() -> None:
    story = Story()
    story.call("recvfrom", receiver(story), 1024, length=1024, unread=1024)
    story.call("recvfrom", receiver(story), 1024, length=1024)
    assert story.found() == []


def test_recvmsg_tells_of_the_cut() -> None:
    story = Story()
    story.call("recvmsg", receiver(story), 1024, length=1024, flags=0x20)
    assert story.found() == ["datagram-truncated certain error"]


def test_a_look_ahead_cuts_nothing() -> None:
    story = Story()
    story.call("recvmsg", receiver(story), 1, length=1, a=0x2, flags=0x20, unread=500)
    story.call("recvfrom", receiver(story), 0, length=0, unread=500)
    assert story.found() == []


def test_the_sender_shows_the_length_when_the_reader_waited() -> None:
    story = Story()
    here = receiver(story)
    there = story.socket(story.process("sender"), None, None, type=socket.SOCK_DGRAM)
    payload = b"0123456789" * 6
    story.call("sendto", there, 900, length=900, address=inet("127.0.0.1", 5353), payload=payload)
    story.call("recvfrom", here, 256, length=256, unread=0, payload=payload)
    assert story.found() == ["datagram-truncated certain error"]


def test_drops_of_a_full_buffer() -> None:
    story = Story()
    here = receiver(story)
    story.counter("Udp.RcvbufErrors", 5, at=0)
    story.state(here, state=7, drops=0, memory=struct.pack("=9I", 8000, 8192, *[0] * 7))
    story.counter("Udp.RcvbufErrors", 12)
    story.state(here, state=7, drops=7, memory=struct.pack("=9I", 8000, 8192, *[0] * 7))
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("receive-buffer-overflow", "certain")
    assert "dropped 7 datagrams" in finding.why
    assert {proof.table for proof in finding.proof} == {"state", "counter"}


def test_counters_of_another_namespace_prove_nothing() -> None:
    """A counter of the same name begins at 0 in each namespace: their values are no change of one another."""
    story = Story()
    here = receiver(story)
    story.counter("Udp.RcvbufErrors", 0, at=0, network=1)
    story.counter("Udp.RcvbufErrors", 12, at=0, network=2)
    story.state(here, state=7, drops=0, memory=struct.pack("=9I", 8000, 8192, *[0] * 7))
    story.counter("Udp.RcvbufErrors", 15, network=2)
    story.state(here, state=7, drops=7, memory=struct.pack("=9I", 8000, 8192, *[0] * 7))
    finding = story.diagnosis().findings[0]
    assert finding.rule == "receive-buffer-overflow"
    assert {proof.table for proof in finding.proof} == {"state"}


def test_drops_by_a_filter_are_no_fault() -> None:
    story = Story()
    here = receiver(story)
    story.call("setsockopt", here, a=1, b=26, value=bytes(16))
    story.state(here, state=7, drops=0)
    story.state(here, state=7, drops=7)
    assert story.found() == []


# -- refusals


def refused(story: Story, host: str = "127.0.0.1", port: int = 4567, listed: Any = (), **more: Any) -> int:
    tried = story.socket(story.process("client"), None, None)
    call = story.call("connect", tried, REFUSED, address=inet(host, port), **more)
    if listed is not None:
        story.fact(call, "sockets", list(listed))
    return tried


def listener(address: str, state: int = LISTEN, command: str = "nginx", protocol: str = "tcp") -> dict[str, Any]:
    return {"protocol": protocol, "state": state, "local": address, "pids": [{"pid": 77, "command": command}]}


def test_nobody_listens_and_what_is_near() -> None:
    story = Story()
    refused(story, listed=[listener("0.0.0.0:4568")])
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("nobody-listens", "certain")
    assert "nginx (pid 77) listens on 0.0.0.0:4568" in finding.why


def test_so_error_tells_it_to_those_that_do_not_block() -> None:
    story = Story()
    tried = story.socket(story.process("client"), None, None)
    story.call("connect", tried, -errno.EINPROGRESS, address=inet("127.0.0.1", 4567))
    call = story.call("getsockopt", tried, 0, a=1, b=4, value=struct.pack("<i", errno.ECONNREFUSED))
    story.fact(call, "sockets", [])
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("nobody-listens", "certain")
    assert any("SO_ERROR" in proof.text for proof in finding.proof)


def test_the_first_use_tells_it_too() -> None:
    story = Story()
    tried = story.socket(story.process("client"), None, None)
    story.call("connect", tried, -errno.EINPROGRESS, address=inet("127.0.0.1", 4567))
    story.call("sendto", tried, REFUSED, length=5)
    assert story.found() == ["nobody-listens strong error"]


def test_a_foreign_host_is_not_certain() -> None:
    story = Story()
    refused(story, host="192.0.2.7", listed=[])
    assert story.found() == ["nobody-listens strong error"]


def test_trying_again_until_it_works_is_healthy() -> None:
    story = Story()
    refused(story)
    again = story.socket(1, None, None)
    story.call("connect", again, 0, address=inet("127.0.0.1", 4567))
    assert story.found() == []


def test_the_next_address_of_the_name_is_healthy() -> None:
    story = Story()
    refused(story, host="::1")
    again = story.socket(1, None, None)
    story.call("connect", again, -errno.EINPROGRESS, address=inet("127.0.0.1", 4567))
    story.call("getsockopt", again, 0, a=1, b=4, value=bytes(4))
    assert story.found() == []


def test_a_listener_that_was_there_contradicts() -> None:
    story = Story()
    refused(story, listed=[listener("127.0.0.1:4567")])
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert [question.rule for question in diagnosis.cannot_tell] == ["nobody-listens"]


def test_loopback_only_needs_an_address_of_this_host() -> None:
    story = Story()
    refused(story, host="192.0.2.7", listed=[listener("127.0.0.1:4567")])
    assert story.found() == ["nobody-listens strong error"]
    story = Story()
    tried = refused(story, host="192.0.2.7", listed=[listener("127.0.0.1:4567")])
    story.fact(1, "addresses", [{"interface": "eth0", "address": "192.0.2.7", "prefix": 24}])
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("loopback-only", "certain")
    assert finding.title == "the server listens on 127.0.0.1 only"
    assert finding.socket is not None
    assert finding.socket.id == tried


def test_the_swapped_port_of_a_foreign_program_is_not_certain() -> None:
    story = Story()
    refused(story, port=35091, listed=[listener("127.0.0.1:5001")])
    assert story.found() == ["swapped-port strong error"]


def test_a_port_that_reads_the_same_both_ways_is_not_swapped() -> None:
    story = Story()
    refused(story, port=0x1212, listed=[listener("127.0.0.1:80")])
    assert story.found() == ["nobody-listens certain error"]


def test_swapped_port_of_datagrams() -> None:
    story = Story()
    here = story.socket(story.process("receiver"), ("127.0.0.1", 35091), None, type=socket.SOCK_DGRAM)
    story.call("bind", here, address=inet("127.0.0.1", 35091))
    there = story.socket(story.process("sender"), None, None, type=socket.SOCK_DGRAM)
    story.call("sendto", there, 5, length=5, address=inet("127.0.0.1", 5001))
    assert story.found() == ["swapped-port certain error"]


# -- address in use


def taken(story: Story, listed: Any, **more: Any) -> int:
    process = story.process("server")
    here = story.socket(process, None, None, **more)
    call = story.call("bind", here, IN_USE, address=inet("127.0.0.1", 4567))
    if listed is not None:
        story.fact(call, "sockets", listed)
    return here


def test_a_live_listener_against_time_wait() -> None:
    story = Story()
    taken(story, [listener("0.0.0.0:4567"), listener("127.0.0.1:4567", TIME_WAIT)])
    assert story.found() == ["address-in-use-listener certain error"]
    story = Story()
    taken(story, [listener("127.0.0.1:4567", TIME_WAIT), listener("127.0.0.1:80")])
    assert story.found() == ["address-in-use-time-wait certain error"]


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("time", "a process that was not found in time"),
        ("permission", "a process whose open files may not be read here"),
        (None, "a socket that no process here holds"),
        ("", "a process that is not known"),
    ],
)
def test_why_the_holder_of_an_address_is_not_named(why: str | None, said: str) -> None:
    story = Story()
    taken(story, [{**listener("127.0.0.1:4567"), "pids": []} | ({"pids_unknown": why} if why != "" else {})])
    finding = story.diagnosis().findings[0]
    assert said in finding.why


def test_time_wait_with_the_option_set_is_unexplained() -> None:
    story = Story()
    here = story.socket(story.process("server"), None, None)
    story.call("setsockopt", here, a=1, b=2, value=struct.pack("<i", 1))
    call = story.call("bind", here, IN_USE, address=inet("127.0.0.1", 4567))
    story.fact(call, "sockets", [listener("127.0.0.1:4567", TIME_WAIT)])
    assert story.found() == []


def test_a_program_that_takes_another_port_gets_a_note() -> None:
    story = Story()
    here = taken(story, [listener("127.0.0.1:4567")])
    story.call("bind", here, 0, address=inet("127.0.0.1", 4568))
    assert story.found() == ["address-in-use-listener certain note"]


def test_a_second_try_that_works_is_healthy() -> None:
    story = Story()
    here = taken(story, [listener("127.0.0.1:4567")])
    story.call("bind", here, 0, address=inet("127.0.0.1", 4567))
    assert story.found() == []


def test_both_versions_of_ip_on_one_port_by_one_program_is_healthy() -> None:
    """sshd, dnsmasq and others bind [::] and then 0.0.0.0, and live with the refusal."""
    story = Story()
    process = story.process("server")
    first = story.socket(process, ("::", 4567), None, family=socket.AF_INET6)
    story.call("bind", first, 0, address=inet("::", 4567))
    second = story.socket(process, None, None)
    story.call("bind", second, IN_USE, address=inet("0.0.0.0", 4567))
    assert story.found() == []


def test_without_the_look_up_it_cannot_tell() -> None:
    story = Story()
    taken(story, None)
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert {question.missing for question in diagnosis.cannot_tell} == {"facts"}


# -- the end of a connection


def test_close_with_unread_data_without_the_peer_is_a_warning() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("close", here, unread=12)
    assert story.found() == ["close-with-unread-data certain warning"]


@pytest.mark.parametrize(
    ("state", "unread", "expected"),
    [(1, 0, 0), (CLOSE_WAIT, 1, 0), (CLOSE_WAIT, 2, 1), (7, 12, 0), (9, 12, 0)],
)
def test_what_counts_as_unread(state: int, unread: int, expected: int) -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("close", here, unread=unread, state=state)
    assert len(story.found()) == expected


def test_a_close_that_closes_only_a_duplicate_resets_nothing() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("close", here, unread=12)
    story.made[here]["ended"] = None
    assert story.found() == []


def test_a_peer_that_had_closed_first_is_not_hurt() -> None:
    story = Story()
    server, client = pair(story)
    story.call("sendto", client, 10, length=10)
    story.call("close", client, unread=0)
    story.call("close", server, unread=10, state=CLOSE_WAIT)
    assert story.found() == []


def test_what_tls_leaves_unread_is_no_finding() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 443), ("10.0.0.2", 51000))
    story.call("recvfrom", here, 5, length=5, payload=b"\x16\x03\x01\x02\x00")
    story.call("close", here, unread=31)
    assert story.found() == []


def test_an_asked_for_reset_is_another_cause() -> None:
    story = Story()
    server, _ = pair(story)
    story.call("setsockopt", server, a=1, b=13, value=struct.pack("<ii", 1, 0))
    story.call("close", server, unread=10)
    assert story.found() == []


def test_a_broken_pipe_after_the_end_was_read() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, 0, length=100)
    story.call("sendto", here, 5, length=5)
    story.call("sendto", here, PIPE, length=5)
    assert story.found() == ["write-after-peer-closed certain error"]


def test_the_signal_is_told() -> None:
    story = Story()
    process = story.process()
    here = story.socket(process, ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.state(here, state=CLOSE_WAIT)
    story.call("sendto", here, PIPE, length=5)
    story.end(process, code=None, signal=signal.SIGPIPE)
    finding = story.diagnosis().findings[0]
    assert "SIGPIPE ended the program" in finding.why
    assert 50 in finding.covers


def test_a_write_after_the_own_shutdown_is_another_fault() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, 0, length=100)
    story.call("shutdown", here, a=1)
    story.call("sendto", here, PIPE, length=5)
    assert story.found() == []


def test_an_answer_to_a_half_closed_client_is_healthy() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, 0, length=100)
    story.call("sendto", here, 5000, length=5000)
    story.call("close", here, unread=0, state=CLOSE_WAIT)
    assert story.found() == []


def leak(story: Story, count: int, *, age: int, read_end: bool = True, closed: bool = False) -> None:
    process = story.process()
    for number in range(count):
        here = story.socket(process, ("10.0.0.1", 80), ("10.0.0.2", 51000 + number), origin="accept")
        story.state(here, state=CLOSE_WAIT)
        if read_end:
            story.call("recvfrom", here, 0, length=100, entry={"receive": 0}, state=CLOSE_WAIT)
        if closed:
            story.call("close", here, unread=0, state=CLOSE_WAIT)
    story.now += age
    story.add("mark", story.now, process, None, "target", "still there")


@pytest.mark.parametrize(("count", "found"), [(3, ["close-wait hint note"]), (2, [])])
def test_close_wait_whose_end_nobody_has_read(count: int, found: list[str]) -> None:
    story = Story()
    leak(story, count, age=2 * S, read_end=False)
    assert story.found() == found


def test_close_wait_that_nobody_ends() -> None:
    story = Story()
    leak(story, 5, age=2 * S)
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty, finding.severity) == ("close-wait", "certain", "error")
    assert "5 sockets have been in CLOSE_WAIT" in finding.why


@pytest.mark.parametrize(
    "case",
    [
        {"count": 5, "age": S // 2},
        {"count": 5, "age": 2 * S, "closed": True},
        {"count": 1, "age": 2 * S},
    ],
)
def test_close_wait_that_is_no_leak(case: dict[str, Any]) -> None:
    story = Story()
    leak(story, **case)
    assert story.found() == []


@pytest.mark.parametrize(("reads", "apart", "expected"), [(40, 0, 1), (20, 0, 0), (40, 50 * MS, 0)])
def test_how_often_the_end_may_be_read(reads: int, apart: int, expected: int) -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    for _ in range(reads):
        story.call("recvfrom", here, 0, length=100)
        story.now += apart
    assert len(story.found()) == expected


# -- waits


def waiting(story: Story, name: str, queue: int, **more: Any) -> tuple[int, int]:
    server, client = pair(story)
    for end in (server, client):
        story.call(name, end, None, length=1024, unread=queue, **more)
        story.state(end, receive=queue, send=0)
    story.now += 2 * S
    return server, client


def accepted_from(story: Story, socket: int) -> int:
    """The listener, seen from its beginning, that gave a socket."""
    listener = story.socket(story.made[socket]["process"], ("127.0.0.1", 80), None)
    story.call("listen", listener, a=5)
    story.made[socket] |= {"origin": "accept", "parent": listener}
    return listener


def test_both_in_recv_with_nothing_on_the_way() -> None:
    story = Story()
    server, _ = waiting(story, "recvfrom", 0)
    assert story.diagnosis().findings[0].certainty == "strong"  # what the listener gave it on its way is unknown
    accepted_from(story, server)
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("both-wait", "certain")
    assert finding.title == "each end is waiting for the other in recv"
    assert len(finding.proof) == 4


def test_both_in_send_with_everything_full() -> None:
    story = Story()
    waiting(story, "sendto", 100_000)
    assert story.diagnosis().findings[0].title == "each end is waiting for the other in send"


def test_waits_that_are_no_deadlock() -> None:
    for name, queue in (("recvfrom", 10), ("sendto", 0)):
        story = Story()
        waiting(story, name, queue)
        assert story.found() == []
    story = Story()
    waiting(story, "recvfrom", 0)
    story.now -= 3 * S // 2
    assert story.found() == []
    story = Story()
    _, client = waiting(story, "recvfrom", 0)
    story.call("setsockopt", client, a=1, b=socket.SO_RCVTIMEO, value=struct.pack("<qq", 5, 0), tid=5)
    assert story.found() == []


def test_a_thread_that_goes_on_may_end_the_wait() -> None:
    story = Story()
    server, _ = waiting(story, "recvfrom", 0)
    story.call("getsockopt", server, 0, a=1, b=3, tid=4711)
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert [question.missing for question in diagnosis.cannot_tell] == ["threads"]


def test_threads_that_all_wait_are_less_than_certain() -> None:
    story = Story()
    server, _ = waiting(story, "recvfrom", 0)
    story.call("accept", story.socket(story.made[server]["process"], None, None), None, tid=4711)
    story.now += 2 * S
    assert story.found() == ["both-wait strong error"]


def test_a_wait_without_its_peer_cannot_be_judged() -> None:
    story = Story()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, None, length=1024, unread=0)
    story.now += 5 * S
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert [(question.rule, question.missing) for question in diagnosis.cannot_tell] == [("both-wait", "peer")]


# -- speed


def exchange(
    story: Story, *, delay: int = 41 * MS, nodelay: bool = False, held: bool = True, writes: int = 2, times: int = 4
) -> None:
    here = story.socket(story.process(), ("127.0.0.1", 51000), ("127.0.0.1", 80))
    if nodelay:
        story.call("setsockopt", here, a=6, b=1, value=struct.pack("<i", 1))
    info = bytearray(232)
    info[144:148] = struct.pack("<I", 100)  # tcpi_notsent_bytes
    for _ in range(times):
        for number in range(writes):
            after = {"tcp_info": bytes(info)} if held and number else {}
            story.call("sendto", here, 100, length=100, exit={"receive": 0, **after})
        story.call("recvfrom", here, 4, length=100, took=delay)


def test_a_single_slow_exchange_is_less_than_certain() -> None:
    story = Story()
    exchange(story, times=1)
    assert story.found() == ["nagle-delayed-ack strong note"]


def test_the_second_small_write_waits() -> None:
    story = Story()
    exchange(story)
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty, finding.severity) == ("nagle-delayed-ack", "certain", "warning")
    assert any("not sent yet" in proof.text for proof in finding.proof)


@pytest.mark.parametrize(
    "case", [{"delay": 5 * MS}, {"nodelay": True}, {"held": False}, {"writes": 1}, {"delay": 2 * S}]
)
def test_what_is_not_nagle(case: dict[str, Any]) -> None:
    story = Story()
    exchange(story, **case)
    assert story.found() == []


def test_a_full_accept_queue_that_dropped() -> None:
    story = Story()
    here = story.socket(story.process(), ("127.0.0.1", 80), None)
    story.call("bind", here, address=inet("127.0.0.1", 80))
    story.call("listen", here, a=1)
    story.state(here, state=LISTEN, receive=0, send=1, drops=0)
    story.state(here, state=LISTEN, receive=2, send=1, drops=0)
    story.state(here, state=LISTEN, receive=2, send=1, drops=6)
    finding = story.diagnosis().findings[0]
    assert (finding.rule, finding.certainty) == ("accept-queue-full", "certain")
    assert "2 connections waited for accept, the limit is 1; 6 packets" in finding.why


@pytest.mark.parametrize(("queue", "drops"), [(1, 0), (2, 0), (1, 6)])
def test_an_accept_queue_that_held(queue: int, drops: int) -> None:
    story = Story()
    here = story.socket(story.process(), ("127.0.0.1", 80), None)
    story.call("listen", here, a=1)
    story.state(here, state=LISTEN, receive=queue, send=1, drops=0)
    story.state(here, state=LISTEN, receive=0, send=1, drops=drops)
    assert story.found() == []


# -- pictures of a running program


def picture(**meta: str) -> Story:
    return Story(pictures="2", calls="only those that wait", lab="no", **meta)


def test_pictures_are_judged_by_their_own_rules_only() -> None:
    story = picture()
    diagnosis = story.diagnosis()
    able = {rule.id for rule in all_rules() if rule.pictures != "no"}
    assert {rule.id for rule in picture_rules()} == able
    assert {"both-wait", "close-wait", "accept-queue-full", "silent-peer", "unread-data"} <= able
    assert set(diagnosis.checked) == able
    assert diagnosis.cannot_tell == ()


def test_pictures_show_a_deadlock() -> None:
    story = picture()
    waiting(story, "recvfrom", 0)
    assert story.found() == ["both-wait strong error"]  # the sockets were not asked for their time limits


@pytest.mark.parametrize(("seconds", "expected"), [(0, ["both-wait certain error"]), (5, [])])
def test_pictures_show_the_time_limits_of_sockets(seconds: int, expected: list[str]) -> None:
    story = picture()
    ends = waiting(story, "recvfrom", 0)
    for end in ends:
        limits = b"".join(struct.pack("<HHHqq", 1, option, 16, seconds, 0) for option in (20, 21))
        story.state(end, receive=0, send=0, options=limits)
    story.now += 2 * S
    assert story.found() == expected


def test_a_thread_that_was_seen_to_run_may_end_the_wait() -> None:
    story = picture()
    waiting(story, "recvfrom", 0)
    story.add("mark", story.now, 1, 4711, "runs", "was in no call that waits")
    diagnosis = story.diagnosis()
    assert diagnosis.findings == ()
    assert [question.missing for question in diagnosis.cannot_tell] == ["threads"]


def test_an_accepted_socket_has_its_listeners_limit() -> None:
    story = Story()
    server, _ = waiting(story, "recvfrom", 0)
    listener = accepted_from(story, server)
    assert story.found() == ["both-wait certain error"]
    story.call("setsockopt", listener, a=1, b=socket.SO_RCVTIMEO, value=struct.pack("<qq", 5, 0), tid=5)
    assert story.found() == []


def test_pictures_show_a_full_accept_queue() -> None:
    story = picture()
    here = story.socket(story.process(), ("127.0.0.1", 80), None)
    for _ in range(2):
        story.state(here, state=LISTEN, receive=6, send=5)
        story.now += S
    assert story.found() == ["accept-queue-full strong error"]


def test_pictures_show_close_wait() -> None:
    story = picture()
    process = story.process()
    for number in range(4):
        here = story.socket(process, ("10.0.0.1", 80), ("10.0.0.2", 51000 + number), origin="seen")
        story.state(here, state=CLOSE_WAIT, receive=1)
    story.now += 2 * S
    for number in range(4):
        story.state(number + 1, state=CLOSE_WAIT, receive=1)
    assert story.found() == ["close-wait strong error"]


@pytest.mark.parametrize(("keepalive", "silent_ms", "expected"), [(0, 60_000, 1), (1, 60_000, 0), (0, 2_000, 0)])
def test_pictures_show_a_silent_peer(keepalive: int, silent_ms: int, expected: int) -> None:
    story = picture()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.call("recvfrom", here, None, length=100)
    info = bytearray(232)
    info[52:56] = struct.pack("<I", silent_ms)
    options = struct.pack("<HHHi", 1, 9, 4, keepalive) + struct.pack("<HHHqq", 1, 20, 16, 0, 0)
    story.state(here, tcp_info=bytes(info), options=options)
    assert story.found() == ["silent-peer hint note"] * expected


@pytest.mark.parametrize(("second", "expected"), [(900, 1), (1200, 0), (0, 0)])
def test_pictures_show_data_that_nobody_reads(second: int, expected: int) -> None:
    story = picture()
    here = story.socket(story.process(), ("10.0.0.1", 80), ("10.0.0.2", 51000))
    story.state(here, receive=900)
    story.now += S
    story.state(here, receive=second)
    assert story.found() == ["unread-data strong warning"] * expected
