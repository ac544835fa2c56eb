"""The way of each byte, against a model that knows it: what is told is right, or marked as doubtful."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.recordings import NUMBER, inet, row, unix
from wallsocket import events
from wallsocket.kernel.address import end_of
from wallsocket.trace.joins import Joins, Way
from wallsocket.trace.wire import ACK, SYN, Segment

A, B = "127.0.0.1:1000", "127.0.0.1:2000"
FAR_A, FAR_B = "10.0.0.1:1000", "10.0.0.2:2000"
many = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Tables:
    meta: dict[str, str] = field(default_factory=lambda: {"machine": "x86_64"})
    sockets: dict[int, events.Socket] = field(default_factory=dict)

    def socket(self, number: int, **fields: Any) -> None:
        base: dict[str, Any] = {
            "process": 1,
            "family": 2,
            "type": 1,
            "protocol": 6,
            "origin": "socket",
            "created_ns": 0,
        }
        for name in ("local", "remote"):
            if isinstance(fields.get(name), str):
                fields[name] = inet(fields[name])
        self.sockets[number] = events.Socket(*row(events.Socket, id=number, **(base | fields)))


@dataclass
class Talk:
    """Calls of a model: when each was entered, moved its bytes, and returned."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, socket: int, tid: int, entry: int, exit: int, result: int, **more: Any) -> dict[str, Any]:
        call = {
            "name": name, "socket": socket, "tid": tid, "process": 1 + tid % 3, "entry_ns": entry, "exit": exit,
            "result": result, "length": more.pop("length", result), **more,
        }  # fmt: skip
        self.calls.append(call)
        return call

    def events(self) -> list[events.Call]:
        """In the order of entry, with stream offsets as the tracer counts them: in the order of returns."""
        moved: dict[tuple[int, bool], int] = defaultdict(int)
        for number, call in enumerate(sorted(self.calls, key=lambda call: call["entry_ns"]), 1):
            call["id"] = number
        for call in sorted(self.calls, key=lambda call: (call["exit"], call["id"])):
            if call.pop("stream", False):
                way = (call["socket"], call["name"] in ("write", "sendto"))
                call["offset"] = moved[way]
                moved[way] += call["result"]
        rows = []
        for call in sorted(self.calls, key=lambda call: call["id"]):
            fields = {key: value for key, value in call.items() if key not in ("name", "exit", "truth")}
            fields |= {"number": NUMBER[call["name"]], "took_ns": call["exit"] - call["entry_ns"], "known": 0, "fd": 3}
            rows.append(events.Call(*row(events.Call, **fields)))
        return rows


class Thread:
    """A thread is in one call at a time."""

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.free = 0


def stream_of(chance: random.Random, *, writers: int, readers: int, wire: bool) -> tuple[Joins, dict[int, Any]]:
    """A random talk over one stream; returns its join and what is true of each byte."""
    tables, talk = Tables(), Talk()
    if wire:
        tables.socket(1, local=A, remote=B)
        tables.socket(2, local=B, remote=A, origin="accept", created_ns=1)
    else:
        tables.socket(1, family=1, protocol=0, origin="socketpair")
        tables.socket(2, family=1, protocol=0, origin="socketpair", parent=1)
    sent: list[dict[str, Any]] = []
    given_by: list[dict[str, Any]] = []  # of each byte, in the order of the kernel
    at = 100
    threads = [Thread(10 + number) for number in range(writers)]
    moved_at: list[int] = []
    for _ in range(chance.randrange(1, 12)):
        thread = chance.choice(threads)
        at += chance.randrange(1, 400)
        entry = max(thread.free, at - chance.randrange(0, 60 if writers == 1 else 900))
        at = max(at, entry)
        done = at + chance.randrange(0, 300)
        size = chance.randrange(1, 30)
        call = talk.add("write", 1, thread.tid, entry, done, size, stream=True)
        thread.free = done + 1
        sent.append(call)
        given_by += [call] * size
        moved_at += [at] * size
    total = len(given_by)
    segments: list[tuple[int, int, int]] = []
    arrived = [1 << 60] * total
    if wire:
        position = 0
        while position < total:
            size = min(chance.randrange(1, 25), total - position)
            left = moved_at[position + size - 1] + chance.randrange(1, 50)
            for _ in range(5):
                segments.append((left, position, position + size))
                if chance.random() < 0.75:
                    break
                left += chance.randrange(20, 2000)
            for offset in range(position, position + size):
                arrived[offset] = left + 1
            position += size
            if chance.random() < 0.3:
                # Two of them sent once more as one.
                begin = max(0, position - chance.randrange(1, 40))
                segments.append((left + chance.randrange(1, 500), begin, position))
    else:
        arrived = [at_ns + 1 for at_ns in moved_at]
    for offset in range(1, total):
        arrived[offset] = max(arrived[offset], arrived[offset - 1])
    taken_by: list[dict[str, Any]] = []
    threads = [Thread(20 + number) for number in range(readers)]
    at = 100
    while len(taken_by) < total and chance.random() < 0.97:
        thread = chance.choice(threads)
        at = max(at + chance.randrange(1, 300), arrived[len(taken_by)])
        entry = max(thread.free, at - chance.randrange(1, 3000))
        at = max(at, entry)
        there = sum(1 for time in arrived if time <= at) - len(taken_by)
        size = min(there, chance.randrange(1, 40))
        done = at + chance.randrange(1, 10 if readers == 1 else 700)
        call = talk.add("read", 2, thread.tid, entry, done, size, stream=True)
        thread.free = done + 1
        taken_by += [call] * size
    joins = Joins(tables, decode=None)
    every: list[Any] = list(talk.events())
    first = 0xFFFFFFF0
    ends = end_of(inet(A)), end_of(inet(B))
    assert ends[0] is not None
    assert ends[1] is not None
    frames = []
    for number, (left, begin, end) in enumerate(sorted(segments), 1):
        sequence = (first + 1 + begin) & 0xFFFFFFFF
        frames.append((number, begin, end))
        every.append(Segment(number, left, 6, ends[0], ends[1], end - begin, b"", ACK, sequence, 0, 1000))
    if wire:
        every.append(Segment(999, 50, 6, ends[0], ends[1], 0, b"", SYN, first, 0, 1000))
    every.sort(key=lambda event: event.at_ns if isinstance(event, Segment) else event.entry_ns)
    for event in every:
        if isinstance(event, Segment):
            joins.travelled(event)
        else:
            joins.see(event)
    joins.finish()
    truth = {
        offset: (
            given_by[offset]["id"],
            taken_by[offset]["id"] if offset < len(taken_by) else None,
            {number for number, begin, end in frames if begin <= offset < end},
        )
        for offset in range(total)
    }
    return joins, truth


def told(ways: list[Way]) -> dict[int, tuple[int | None, int | None, set[int]]]:
    return {
        offset: (
            way.sent.call if way.sent else None,
            way.received.call if way.received else None,
            {piece.packet for piece in way.carried},
        )
        for way in ways
        if way.certain
        for offset in range(way.begin, way.end)
    }


@pytest.mark.parametrize("wire", [True, False])
@pytest.mark.parametrize(("writers", "readers"), [(1, 1), (2, 1), (1, 3), (3, 3)])
@many
@given(chance=st.randoms(use_true_random=False))
def test_each_byte_of_a_stream_went_as_told(chance: random.Random, writers: int, readers: int, *, wire: bool) -> None:
    joins, truth = stream_of(chance, writers=writers, readers=readers, wire=wire)
    for ways in (joins.ways(1), joins.ways_to(2)):
        found = told(ways)
        assert {offset: truth[offset] for offset in found} == found
        assert [way.end for way in ways[:-1]] == [way.begin for way in ways[1:]]
        assert ways[-1].end == len(truth)
        if writers == readers == 1:
            assert len(found) == len(truth)


def test_readers_that_wait_for_the_same_socket_are_told_apart_by_what_was_there() -> None:
    """Two processes are in read; what the one got that returned first had not been followed by more yet."""
    tables, talk = Tables(), Talk()
    tables.socket(1, family=1, protocol=0, origin="socketpair")
    tables.socket(2, family=1, protocol=0, origin="socketpair", parent=1)
    first = talk.add("write", 1, 1, 100, 110, 5, stream=True)
    second = talk.add("write", 1, 1, 1000, 1010, 5, stream=True)
    one = talk.add("read", 2, 2, 20, 120, 5, stream=True)
    other = talk.add("read", 2, 3, 30, 1020, 5, stream=True)
    joins = Joins(tables)
    for event in talk.events():
        joins.see(event)
    assert [(way.sent.call, way.received.call, way.doubt) for way in joins.ways(1) if way.sent and way.received] == [
        (first["id"], one["id"], ""),
        (second["id"], other["id"], ""),
    ]


def letters_of(chance: random.Random, *, kind: str, readers: int) -> tuple[Joins, dict[int, int], set[int]]:
    """A random exchange of datagrams; returns its join and which call each receive's datagram came from."""
    tables, talk = Tables(), Talk()
    far = kind == "far"
    if kind == "pair":
        tables.socket(1, family=1, type=chance.choice([2, 5]), protocol=0, origin="socketpair")
        tables.socket(2, family=1, type=tables.sockets[1].type, protocol=0, origin="socketpair", parent=1)
        senders, place = [1], None
    elif kind == "named":
        tables.socket(2, family=1, type=2, protocol=0, local=unix(b"/run/x"))
        senders, place = [3, 4], unix(b"/run/x")
        for sender in senders:
            tables.socket(sender, family=1, type=2, protocol=0, local=unix(b"\0me") if sender == 4 else None)
    else:
        tables.socket(2, type=2, protocol=17, local=FAR_B if far else B)
        senders, place = [3, 4], inet(FAR_B if far else B)
        for sender in senders:
            tables.socket(sender, type=2, protocol=17, local=f"{'10.0.0.1' if far else '127.0.0.1'}:{sender}")
    queue: list[tuple[int, dict[str, Any]]] = []
    threads = {sender: Thread(10 + sender) for sender in senders}
    at = 100
    for _ in range(chance.randrange(1, 14)):
        sender = chance.choice(senders)
        at += chance.randrange(1, 400)
        entry = max(threads[sender].free, at - chance.randrange(0, 30))
        at = max(at, entry)
        done = at + chance.randrange(1, 300)
        text = chance.choice([b"ping", b"pong", b"", b"a longer one", bytes([chance.randrange(250)] * 5)])
        call = talk.add(
            "sendto", sender, threads[sender].tid, entry, done, len(text), payload=text or None, address=place
        )
        call["truth"] = text
        threads[sender].free = done + 1
        arrives = at + 1
        if kind in ("near", "far") and chance.random() < 0.15:
            continue
        if far:
            arrives += chance.randrange(1, 900)
            if chance.random() < 0.15:
                queue.append((arrives + chance.randrange(1, 500), call))
        queue.append((arrives, call))
    queue.sort(key=lambda entry: entry[0])
    truth: list[tuple[dict[str, Any], dict[str, Any]]] = []
    threads = {number: Thread(20 + number) for number in range(readers)}
    at = 100
    for arrives, letter in queue:
        if chance.random() < 0.05:
            break
        thread = threads[chance.randrange(readers)]
        at = max(at + chance.randrange(1, 100), arrives)
        entry = max(thread.free, at - chance.randrange(1, 2000))
        at = max(at, entry)
        done = at + chance.randrange(1, 10 if readers == 1 else 700)
        room = chance.choice([3, 99, 99, 99])
        text = letter["truth"][:room]
        sender_row = tables.sockets[letter["socket"]]
        source = None if kind == "pair" else sender_row.local
        read = talk.add(
            "recvfrom", 2, thread.tid, entry, done, len(text), length=room, payload=text or None, address=source
        )
        thread.free = done + 1
        truth.append((read, letter))
    joins = Joins(tables)
    for event in talk.events():
        joins.see(event)
    joins.finish()
    return joins, {read["id"]: letter["id"] for read, letter in truth}, {call["socket"] for call in talk.calls}


@pytest.mark.parametrize("kind", ["near", "far", "pair", "named"])
@pytest.mark.parametrize("readers", [1, 3])
@many
@given(chance=st.randoms(use_true_random=False))
def test_each_datagram_went_as_told(chance: random.Random, kind: str, readers: int) -> None:
    joins, truth, sockets = letters_of(chance, kind=kind, readers=readers)
    for way in joins.ways_to(2):
        assert way.received is not None
        if way.certain:
            assert way.sent is not None
            assert truth[way.received.call] == way.sent.call
    for socket in sockets - {2}:
        for way in joins.ways(socket):
            assert way.sent is not None
            if way.certain and way.received is not None:
                assert truth[way.received.call] == way.sent.call


def test_times_in_the_buffers_and_in_the_program() -> None:
    tables, talk = Tables(), Talk()
    tables.socket(1, local=A, remote=B)
    tables.socket(2, local=B, remote=A, origin="accept")
    talk.add("write", 1, 1, 1000, 1100, 10, stream=True)
    read = talk.add("read", 2, 2, 500, 9000, 10, stream=True)
    answer = talk.add("sendto", 2, 2, 9700, 9800, 4, stream=True)
    joins = Joins(tables, decode=None)
    one, other = end_of(inet(A)), end_of(inet(B))
    assert one is not None
    assert other is not None
    for event in talk.events():
        joins.see(event)
    joins.travelled(Segment(1, 900, 6, one, other, 0, b"", SYN, 7, 0, 1000))
    joins.travelled(Segment(2, 1040, 6, one, other, 10, b"", ACK, 8, 0, 1000))
    joins.travelled(Segment(3, 3040, 6, one, other, 10, b"", ACK, 8, 0, 1000))
    joins.travelled(Segment(4, 3050, 6, other, one, 0, b"", ACK, 1, 18, 1000))
    (way,) = joins.ways(1)
    assert way.received is not None
    assert way.received.call == read["id"]
    assert [(piece.packet, piece.again) for piece in way.carried] == [(2, False), (3, True)]
    assert (way.in_send_buffer_ns, way.in_flight_ns, way.in_receive_buffer_ns) == (40, 2010, 5950)
    assert way.in_program_ns == answer["entry_ns"] - 9000
    assert way.doubt == ""


def test_the_budget_keeps_the_youngest_and_says_so() -> None:
    tables, talk = Tables(), Talk()
    tables.socket(1, family=1, protocol=0, origin="socketpair")
    tables.socket(2, family=1, protocol=0, origin="socketpair", parent=1)
    for number in range(100):
        talk.add("write", 1, 1, 100 * number + 100, 100 * number + 110, 5, stream=True)
        talk.add("read", 2, 2, 100 * number + 120, 100 * number + 130, 5, stream=True)
    joins = Joins(tables, kept=20)
    for event in talk.events():
        joins.see(event)
    ways = joins.ways(1)
    assert [(way.begin, way.end) for way in ways] == [(offset, offset + 5) for offset in range(450, 500, 5)]
    assert all(way.certain and way.sent and way.received for way in ways)


@pytest.mark.parametrize(
    ("why", "doubt"),
    [
        ("late", "bytes may have moved before the socket was first seen"),
        ("lost", "3 events could not be recorded"),
        ("ring", "not all calls were seen (io_uring)"),
        ("urgent", "urgent data has no place in the stream"),
        ("tls", "the kernel wraps what the program sends (TCP_ULP)"),
    ],
)
def test_what_cannot_be_counted_is_doubtful(why: str, doubt: str) -> None:
    tables, talk = Tables(), Talk()
    if why == "lost":
        tables.meta["lost"] = "3"
    tables.socket(1, local=A, remote=B)
    tables.socket(2, local=B, remote=A, origin="attached" if why == "late" else "accept")
    if why == "tls":
        talk.add("setsockopt", 1, 1, 10, 11, 0, a=6, b=31)
    talk.add("sendto", 1, 1, 100, 110, 5, stream=True, a=1 if why == "urgent" else 0)
    talk.add("sendto", 1, 1, 200, 210, 5, stream=True, a=0)
    talk.add("recvfrom", 2, 2, 250, 260, 9, stream=why != "late", a=0)
    joins = Joins(tables)
    for event in talk.events():
        joins.see(event)
    if why == "ring":
        joins.see(events.Mark(1, 300, 1, 1, "io_uring", "io_uring_setup"))
    doubts = {way.doubt for way in joins.ways_to(2) if way.begin >= (5 if why == "urgent" else 0)}
    assert doubts == {doubt}


def test_the_frames_of_a_datagram_are_on_its_way() -> None:
    """Two that say the same are told apart by when they left; a copy that a network made later is of either."""
    tables, talk = Tables(), Talk()
    tables.socket(1, type=2, protocol=17, local=FAR_A)
    tables.socket(2, type=2, protocol=17, local=FAR_B)
    one, other = end_of(inet(FAR_A)), end_of(inet(FAR_B))
    assert one is not None
    assert other is not None
    to = inet(FAR_B)
    talk.add("sendto", 1, 1, 100, 200, 4, payload=b"ping", address=to)
    talk.add("sendto", 1, 1, 300, 400, 5, payload=b"other", address=to)
    talk.add("sendto", 1, 1, 500, 600, 4, payload=b"ping", address=to)
    joins = Joins(tables, decode=None)
    for event in talk.events():
        joins.see(event)
    for packet, at_ns, payload in ((1, 150, b"ping"), (2, 350, b"other"), (3, 550, b"ping"), (4, 390, b"other")):
        joins.travelled(Segment(packet, at_ns, 17, one, other, len(payload), payload))
    told = [([(piece.packet, piece.again) for piece in way.carried], way.doubt) for way in joins.ways(1)]
    assert told == [([(1, False)], ""), ([(2, False), (4, True)], ""), ([(3, False)], "")]
    joins.travelled(Segment(5, 9000, 17, one, other, 4, b"ping"))
    assert [way.doubt for way in joins.ways(1)] == ["other datagrams say the same", "", "other datagrams say the same"]
    assert joins.ways(1)[0].in_send_buffer_ns == 50
