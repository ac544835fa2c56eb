"""The joins: who talks with whom, in which order, through which states."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from tests.support.recordings import (
    MICROSECOND,
    Script,
    icmp_unreachable,
    inet,
    lost_letter,
    tcp_frame,
    udp_frame,
    unix,
)
from wallsocket.events import Packet
from wallsocket.kernel.address import End, end_of
from wallsocket.kernel.tcp_state import TcpState
from wallsocket.trace.conversations import Conversation, Row
from wallsocket.trace.recording import Recording
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.wire import segment

A, B, C = "127.0.0.1:1000", "127.0.0.1:2000", "127.0.0.1:3000"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path / "t.wsrec")
    script.process(1, 70, "one")
    script.process(2, 71, "two")
    return script


def path_of(timeline: Timeline, socket: int) -> list[tuple[str, str, bool]]:
    track = timeline.tracks[socket]
    return [(t.state.name, t.how, track.is_inferred(index)) for index, t in enumerate(track.path)]


def ends(timeline: Timeline) -> list[tuple[str, int, int | None]]:
    return [(c.kind, c.left, c.right) for c in timeline.conversations]


def told(conversation: Conversation) -> list[str]:
    def name(row: Row) -> str:
        if row.call is not None:
            return f"call {row.call.id}"
        if row.segment is not None:
            return f"packet {row.segment.packet}"
        return f"skipped {row.skipped_calls}+{row.skipped_segments}"

    return [f"{'><'[row.side]} {name(row)}" for row in conversation.lines]


def test_endpoints_of_the_same_place_are_equal() -> None:
    assert end_of(inet("127.0.0.1:80")) == end_of(inet("[::ffff:127.0.0.1]:80"))
    assert end_of(inet("[::1]:80")) == End(bytes(15) + b"\x01", 80)
    assert end_of(unix(b"/run/x")) is None
    assert end_of(b"\x02\x00") is None
    assert end_of(None) is None


def test_a_tcp_connection_within_the_trace(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        timeline = Timeline(recording, decode=segment)
    assert ends(timeline) == [("listener", 1, None), ("tcp", 2, 3)]
    listener, connection = timeline.conversations
    assert told(listener) == ["> call 1", "> call 2", "> call 3", "> call 4", "> call 11"]
    assert told(connection) == [
        "> call 5",
        "> call 6",
        "> packet 1",
        "< packet 2",
        "> call 7",
        "> packet 4",
        "< call 4",
        "< call 8",
        "< call 9",
        "< packet 6",
        "< call 10",
        "< packet 8",
        "> call 12",
        "> call 13",
    ]
    assert timeline.stray_segments == 0


def test_sockets_pair_by_addresses_and_by_time(script: Script) -> None:
    # The same two addresses, used twice, one after the other; and an end that lies outside.
    script.socket(1, 1, 0, 100, local=A, remote=B)
    script.socket(2, 2, 10, 110, local=B, remote=A, origin="accept")
    script.socket(3, 1, 20_000, 21_000, local=A, remote=B)
    script.socket(4, 2, 20_010, 21_010, local=B, remote=A, origin="accept")
    script.socket(5, 1, 0, local=A, remote=C)
    with script.done(30_000) as recording:
        assert ends(Timeline(recording)) == [("tcp", 1, 2), ("tcp", 5, None), ("tcp", 3, 4)]


def test_the_accepted_end_stands_right_whatever_came_first(script: Script) -> None:
    script.socket(1, 2, 0, local=B, remote=A, origin="accept")
    script.socket(2, 1, 5, local=A, remote=B)
    with script.done(100) as recording:
        assert ends(Timeline(recording)) == [("tcp", 2, 1)]


def test_a_socket_connected_to_itself_has_no_peer(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=A)
    with script.done(100) as recording:
        assert ends(Timeline(recording)) == [("tcp", 1, None)]


def test_mapped_and_plain_addresses_meet(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.socket(
        2, 2, 5, family=10, local="[::ffff:127.0.0.1]:2000", remote="[::ffff:127.0.0.1]:1000", origin="accept"
    )
    with script.done(100) as recording:
        assert ends(Timeline(recording)) == [("tcp", 1, 2)]


def test_socketpairs_and_unix_sockets(script: Script) -> None:
    script.socket(1, 1, 0, family=1, protocol=0, origin="socketpair")
    script.socket(2, 1, 0, family=1, protocol=0, origin="socketpair", parent=1)
    name = unix(b"\0service")
    script.socket(3, 1, 1, family=1, protocol=0, local=name)
    for number, at in ((4, 10), (5, 20)):
        script.socket(number, 2, at, family=1, protocol=0, remote=name)
        script.call("connect", at + 1, fd=3, socket=number, address=name, process=2)
    script.call("listen", 2, fd=5, socket=3, a=1)
    for number, at in ((6, 30), (7, 40)):
        script.socket(number, 1, at, family=1, protocol=0, origin="accept", parent=3, local=name)
        script.call("accept4", at, fd=5, socket=3, made=number, result=6)
    with script.done(100) as recording:
        assert ends(Timeline(recording)) == [
            ("unix", 1, 2),
            ("listener", 3, None),
            ("unix", 4, 6),
            ("unix", 5, 7),
        ]


def test_datagrams_are_joined_by_correspondent(script: Script) -> None:
    # A server bound to any address, one connected client, one that only sends.
    script.socket(1, 1, 0, type=2, protocol=17, local="0.0.0.0:2000")
    script.socket(2, 2, 10, type=2, protocol=17, local=A, remote=B)
    script.socket(3, 2, 20, type=2, protocol=17, local=C)
    script.call("connect", 11, fd=3, socket=2, address=B, process=2)
    script.call("sendto", 12, fd=3, socket=2, length=5, result=5, process=2)
    script.call("recvfrom", 13, fd=3, socket=1, length=99, result=5, address=A)
    script.call("sendto", 14, fd=3, socket=1, length=6, result=6, address=A)
    script.call("sendto", 21, fd=4, socket=3, length=7, result=7, address=B, process=2)
    script.call("recvfrom", 22, fd=3, socket=1, length=99, result=7, address=C)
    script.call("recvfrom", 30, None, fd=3, socket=1, length=99)
    with script.done(100) as recording:
        timeline = Timeline(recording)
    assert [(c.kind, c.left, c.right, told(c)) for c in timeline.conversations] == [
        ("udp", 2, 1, ["> call 1", "> call 2", "< call 3", "< call 4"]),
        ("udp", 3, 1, ["> call 5", "< call 6"]),
        # A receive that names nobody belongs to none of them.
        ("udp", 1, None, ["> call 7"]),
    ]


def test_frames_find_their_socket_and_side(script: Script) -> None:
    script.socket(1, 1, 0, 100, local=A, remote=B)
    script.socket(2, 1, 0, type=2, protocol=17, local=C, remote=B)
    question = udp_frame(C, B, b"?")
    script.frame(10, tcp_frame(A, B, "S", seq=7))
    script.frame(11, tcp_frame(B, A, "RA", ack=8))
    script.frame(12, question)
    script.frame(13, icmp_unreachable("127.0.0.1", "127.0.0.1", "127.0.0.1", question))
    script.frame(14, tcp_frame("127.0.0.1:9", "127.0.0.1:8", "S"))
    script.frame(15, b"no frame at all")
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert [told(c) for c in timeline.conversations] == [["> packet 1", "< packet 2"], ["> packet 3", "< packet 4"]]
    assert timeline.stray_segments == 1
    last = timeline.conversations[1].lines[-1].segment
    assert last is not None
    assert last.protocol == 1
    assert last.label == "ICMP udp port 2000 unreachable"


def test_sequence_numbers_become_stream_offsets(script: Script) -> None:
    """Also around the end of the 32-bit numbers, and for what is sent again."""
    script.socket(1, 1, 0, local=A, remote=B)
    first = 0xFFFFFFF0
    script.frame(1, tcp_frame(A, B, "S", seq=first))
    script.frame(2, tcp_frame(A, B, "A", seq=first + 1, payload=bytes(10)))
    script.frame(3, tcp_frame(A, B, "A", seq=first + 11, payload=bytes(100)))
    script.frame(4, tcp_frame(A, B, "A", seq=first + 11, payload=bytes(100)))
    script.frame(5, tcp_frame(A, B, "A", seq=first, payload=b"x"))
    script.frame(6, tcp_frame(A, B, "A", seq=first + 111, payload=bytes(5)))
    with script.done(100) as recording:
        (conversation,) = Timeline(recording, decode=segment).conversations
    assert [(row.begin, row.end, row.again) for row in conversation.lines] == [
        (None, None, False),
        (0, 10, False),
        (10, 110, False),
        (10, 110, True),
        (None, None, False),
        (110, 115, False),
    ]


def test_offsets_without_the_beginning_count_from_the_first_byte_seen(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.frame(2, tcp_frame(A, B, "A", seq=5000, payload=bytes(10)))
    script.frame(3, tcp_frame(A, B, "A", seq=5010, payload=bytes(10)))
    with script.done(100) as recording:
        (conversation,) = Timeline(recording, decode=segment).conversations
    assert [(row.begin, row.end) for row in conversation.lines] == [(0, 10), (10, 20)]


def test_causality_beats_the_clock(script: Script) -> None:
    """A frame stamped before its send and after its receive is put between them."""
    script.socket(1, 1, 0, local=A, remote=B)
    script.socket(2, 2, 0, local=B, remote=A, origin="accept")
    script.frame(1, tcp_frame(A, B, "S", seq=0))
    receive = script.call("recvfrom", 90, 20, fd=3, socket=2, length=99, result=10, offset=0, process=2)
    send = script.call("sendto", 111, 50, fd=3, socket=1, length=10, result=10, offset=0)
    script.frame(95, tcp_frame(A, B, "A", seq=1, payload=bytes(10)))
    with script.done(200) as recording:
        (conversation,) = Timeline(recording, decode=segment).conversations
    assert told(conversation) == ["> packet 1", f"> call {send}", "> packet 2", f"< call {receive}"]


def test_without_the_wire_a_receive_still_follows_its_send(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.socket(2, 2, 0, local=B, remote=A, origin="accept")
    receive = script.call("recvfrom", 90, 5, fd=3, socket=2, length=99, result=10, offset=0, process=2)
    send = script.call("sendto", 100, 50, fd=3, socket=1, length=10, result=10, offset=0)
    with script.done(200) as recording:
        (conversation,) = Timeline(recording).conversations
    assert told(conversation) == [f"> call {send}", f"< call {receive}"]


def test_what_waits_stands_where_it_returned(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    receive = script.call("recvfrom", 10, 500, fd=3, socket=1, length=99, result=10, offset=0)
    option = script.call("setsockopt", 20, 1, fd=3, socket=1, a=1, b=2, tid=9)
    never = script.call("recvfrom", 600, None, fd=3, socket=1, length=99)
    with script.done(1000) as recording:
        (conversation,) = Timeline(recording).conversations
    assert told(conversation) == [f"> call {option}", f"> call {receive}", f"> call {never}"]
    assert conversation.lines[-1].at_ns == 1000 * MICROSECOND


def test_states_by_the_graph_from_frames(script: Script) -> None:
    """A full life seen on the wire alone: every state of both sides, all inferred."""
    script.socket(1, 1, 0, local=A, remote=B)
    script.socket(2, 2, 2, local=B, remote=A, origin="accept")
    script.call("accept4", 0, 3, 4, fd=3, socket=9, made=2)
    script.frame(1, tcp_frame(A, B, "S", seq=10))
    script.frame(2, tcp_frame(B, A, "SA", seq=20, ack=11))
    script.frame(10, tcp_frame(A, B, "FA", seq=11, ack=21))
    script.frame(11, tcp_frame(B, A, "A", seq=21, ack=12))
    script.frame(12, tcp_frame(B, A, "FA", seq=21, ack=12))
    script.frame(13, tcp_frame(A, B, "A", seq=12, ack=22))
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert [name for name, _, _ in path_of(timeline, 1)] == [
        "SYN_SENT",
        "ESTABLISHED",
        "FIN_WAIT1",
        "FIN_WAIT2",
        "TIME_WAIT",
    ]
    assert path_of(timeline, 2) == [
        ("ESTABLISHED", "call", True),
        ("CLOSE_WAIT", "wire", True),
        ("LAST_ACK", "wire", True),
        ("CLOSE", "wire", True),
    ]


@pytest.mark.parametrize(("closed_ms", "last"), [(1_000, "TIME_WAIT"), (61_000, "CLOSE")])
def test_time_wait_lasts_though_the_socket_is_gone(closed_ms: int, last: str, script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.state(1, 1, 2, None, int(TcpState.ESTABLISHED))
    script.frame(10, tcp_frame(A, B, "FA", seq=11, ack=21))
    script.frame(11, tcp_frame(B, A, "FA", seq=21, ack=12))
    # The kernel says so of the structure that the descriptor named, which another has replaced.
    script.state(1, closed_ms * 1_000, 3, None, int(TcpState.CLOSE))
    with script.done(70_000_000) as recording:
        timeline = Timeline(recording, decode=segment)
    names = [name for name, _, _ in path_of(timeline, 1)]
    assert (names.count("TIME_WAIT"), names[-1]) == (1, last)


def test_simultaneous_close(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.state(1, 1, 2, None, int(TcpState.ESTABLISHED))
    script.frame(10, tcp_frame(A, B, "FA", seq=11, ack=21))
    script.frame(11, tcp_frame(B, A, "FA", seq=21, ack=11))
    script.frame(12, tcp_frame(B, A, "A", seq=22, ack=12))
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert [name for name, _, _ in path_of(timeline, 1)] == ["ESTABLISHED", "FIN_WAIT1", "CLOSING", "TIME_WAIT"]


def test_states_by_the_graph_from_calls(script: Script) -> None:
    script.socket(1, 1, 0, 90, local=A, remote=B)
    script.call("connect", 1, 1, -115, fd=3, socket=1)
    script.call("getsockopt", 3, 1, fd=3, socket=1, a=1, b=4)
    script.call("connect", 4, 1, 0, fd=3, socket=1)
    script.call("recvfrom", 10, 1, -11, fd=3, socket=1, length=9)
    script.call("recvfrom", 20, 1, 0, fd=3, socket=1, length=9)
    script.call("shutdown", 30, 1, 0, fd=3, socket=1, a=1)
    script.call("close", 89, 1, 0, fd=3, socket=1)
    with script.done(100) as recording:
        timeline = Timeline(recording)
    assert path_of(timeline, 1) == [
        ("SYN_SENT", "call", True),
        ("ESTABLISHED", "call", True),
        ("CLOSE_WAIT", "call", True),
        ("LAST_ACK", "call", True),
    ]


def test_the_kernel_confirms_what_was_inferred(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    connected = script.call("connect", 1, 5, 0, fd=3, socket=1)
    script.state(1, 7, 1, connected, int(TcpState.ESTABLISHED))
    script.frame(20, tcp_frame(B, A, "FA", seq=21))
    script.state(1, 30, 2, None, int(TcpState.CLOSE_WAIT))
    script.state(1, 40, 2, None, 99)
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert path_of(timeline, 1) == [("ESTABLISHED", "call", False), ("CLOSE_WAIT", "wire", False)]


def test_a_reset_closes_both_ends(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        timeline = Timeline(recording, decode=segment)
    client, server = timeline.tracks[2], timeline.tracks[3]
    assert (client.reset_received, server.reset_sent, server.unread) == (True, True, 1976)
    assert (client.sent, client.received, server.sent, server.received) == (3000, 0, 1024, 1024)
    assert path_of(timeline, 2)[-1] == ("CLOSE", "wire", False)
    assert path_of(timeline, 3)[-1] == ("CLOSE", "wire", True)


def test_totals_of_messages(script: Script) -> None:
    script.socket(1, 1, 0, type=2, protocol=17, local=A, remote=B)
    script.call("sendmmsg", 1, 1, 2, fd=3, socket=1, b=3, value=b"\x05\0\0\0\x07\0\0\0\x63\0\0\0")
    script.call("recvfrom", 5, 1, 4, fd=3, socket=1, length=9, a=2)  # MSG_PEEK takes nothing
    script.call("recvfrom", 6, 1, 4, fd=3, socket=1, length=9, a=0)
    with script.done(100) as recording:
        track = Timeline(recording).tracks[1]
    assert (track.sent, track.messages_sent, track.received, track.messages_received) == (12, 2, 4, 1)


def test_a_long_conversation_keeps_its_ends_and_what_matters(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    for number in range(100):
        result = -104 if number == 50 else 1
        script.call("recvfrom", number, 0.5, result, fd=3, socket=1, length=1)
    with script.done(200) as recording:
        (conversation,) = Timeline(recording, limit=3).conversations
        (everything,) = Timeline(recording).conversations
    assert told(conversation) == [
        "> call 1",
        "> call 2",
        "> call 3",
        "> skipped 47+0",
        "> call 51",
        "> skipped 46+0",
        "> call 98",
        "> call 99",
        "> call 100",
    ]
    assert len(everything.lines) == 100


def everything_of(timeline: Timeline) -> list[list[dict[str, object]]]:
    fields = [field.name for field in dataclasses.fields(Row) if field.name != "packed"]
    return [[{name: getattr(row, name) for name in fields} for row in one.lines] for one in timeline.conversations]


def talkative(script: Script) -> Recording:
    """Two sockets that talk, with a connect that takes long, looks at queues, a repetition, a reset, and calls without place."""
    script.socket(1, 1, 0, local=A, remote=B)
    script.socket(2, 2, 5, local=B, remote=A, origin="accept")
    script.call("connect", 1, 900, fd=3, socket=1, address=B)
    script.frame(2, tcp_frame(A, B, "S", seq=9))
    script.frame(3, tcp_frame(B, A, "SA", seq=99, ack=10))
    for number in range(40):
        at = 10 + 20 * number
        write = script.call("write", at, 2, 10, fd=3, socket=1, length=10, offset=10 * number)
        script.state(1, at + 2, 2, write, int(TcpState.ESTABLISHED), send_queue=10)
        script.frame(at + 3, tcp_frame(A, B, "A", seq=10 + 10 * number, ack=100, payload=bytes(10)))
        if number % 10 == 3:
            script.frame(at + 5, tcp_frame(A, B, "A", seq=10 + 10 * number, ack=100, payload=bytes(10)))
        script.call("recvfrom", at + 1, 8, 10, fd=3, socket=2, process=2, length=64, offset=10 * number)
        script.call("getsockname", at + 12, fd=3, socket=2, process=2)
        script.frame(at + 10, tcp_frame(B, A, "A", seq=100, ack=20 + 10 * number, window=number % 3))
    script.call("read", 905, 5, -104, fd=3, socket=1, length=10)
    script.frame(901, tcp_frame(B, A, "RA", seq=100, ack=410))
    return script.done(2000)


@pytest.mark.parametrize("unpacked", [0, 5, 8192])
@pytest.mark.parametrize("limit", [None, 3, 7, 1000])
def test_packed_rows_are_the_same_rows(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, unpacked: int
) -> None:
    monkeypatch.setattr("wallsocket.trace.timeline._UNPACKED_ROWS", unpacked)
    for recording in (lost_letter(tmp_path / "a.wsrec"), talkative(script)):
        with recording:
            whole = Timeline(recording, decode=segment, limit=limit)
            packed = Timeline(recording, decode=segment, limit=limit, packed=True)
            expected = everything_of(whole)
            assert everything_of(packed) == expected
            for one, other in zip(whole.conversations, packed.conversations, strict=True):
                assert (len(one.rows), one.rows.roles()) == (len(other.rows), other.rows.roles())
                for table in ("call", "packet", "state"):
                    for number in range(recording.count(table) + 2):
                        assert one.rows.holds(table, number) == other.rows.holds(table, number), (table, number)


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    with lost_letter(tmp_path / "a.wsrec") as recording:
        only = Timeline(recording, decode=segment, socket=3).wanted()
        part = Timeline(recording, decode=segment, since_ns=1200 * MICROSECOND, until_ns=1262 * MICROSECOND)
    assert [(c.left, c.right) for c in only] == [(2, 3)]
    assert told(part.conversations[1]) == ["< call 9", "< packet 6", "< call 10", "< packet 8"]
    assert part.tracks[3].received == 1024


@pytest.mark.parametrize("frame", [b"", b"\0" * 14, tcp_frame(A, B, "S")[:40], tcp_frame(A, B, "S")[:30]])
def test_frames_that_are_cut(frame: bytes) -> None:
    assert segment(Packet(1, 0, "lo", 1, 54, frame)) is None


def test_a_refused_connection_finds_its_frames(script: Script) -> None:
    """The kernel forgets the remote end, and the local address but for its port, when nobody answers."""
    script.socket(1, 1, 0, local="0.0.0.0:1000")
    script.call("connect", 1, 5, -111, fd=3, socket=1, address=B)
    script.frame(2, tcp_frame(A, B, "S", seq=7))
    script.frame(3, tcp_frame(B, A, "RA", ack=8))
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert [told(c) for c in timeline.conversations] == [["> call 1", "> packet 1", "< packet 2"]]
    assert timeline.stray_segments == 0


def test_calls_that_only_ask_are_left_out_unless_all_is_wanted(script: Script) -> None:
    script.socket(1, 1, 0, local=A, remote=B)
    script.call("getsockname", 1, fd=3, socket=1)
    script.call("fcntl", 2, fd=3, socket=1, a=3)
    changes = script.call("fcntl", 3, fd=3, socket=1, a=4, b=2048)
    script.call("epoll_ctl", 4, fd=9, socket=1, a=1, b=3, c=1)
    with script.done(100) as recording:
        assert told(Timeline(recording).conversations[0]) == [f"> call {changes}"]
        assert len(told(Timeline(recording, everything=True).conversations[0])) == 4


def test_an_answer_may_be_there_before_the_call_that_asked_returns(script: Script) -> None:
    script.socket(1, 1, 0, local=A)
    connecting = script.call("connect", 1, 10, -115, fd=3, socket=1, address=B)
    script.frame(3, tcp_frame(A, B, "S", seq=7))
    script.frame(4, tcp_frame(B, A, "RA", ack=8))
    script.state(1, 12, 1, connecting, int(TcpState.CLOSE))
    with script.done(100) as recording:
        timeline = Timeline(recording, decode=segment)
    assert path_of(timeline, 1) == [("SYN_SENT", "wire", True), ("CLOSE", "wire", False)]


def test_many_conversations_between_the_same_two_ends_cost_no_more_each(tmp_path: Path) -> None:
    """Each socket and each segment looks at the nearest in time, however many have the same two addresses."""

    def steps(pairs: int) -> int:
        script = Script(tmp_path / f"{pairs}.wsrec")
        script.process(1, 70, "one")
        for number in range(1, 2 * pairs, 2):
            script.socket(number, 1, 100 * number, 100 * number + 50, local=A, remote=B)
            script.socket(number + 1, 1, 100 * number + 1, 100 * number + 50, local=B, remote=A, origin="accept")
            script.frame(100 * number + 2, tcp_frame(A, B, "A", seq=number, payload=b"x"))
        counted = 0

        def count(_frame: object, event: str, _argument: object) -> None:
            nonlocal counted
            counted += event in ("call", "c_call")

        with script.done(1_000_000) as recording:
            sys.setprofile(count)
            try:
                timeline = Timeline(recording, decode=segment)
            finally:
                sys.setprofile(None)
        assert len(timeline.conversations) == pairs
        return counted

    assert steps(1200) < 3 * 1.3 * steps(400)
