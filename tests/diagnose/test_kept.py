"""What trackers keep when sockets are gone: counted as objects, as it must not follow the length of a recording."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnose.story import MS, REFUSED, S, Story, inet
from tests.support.recordings import row
from wallsocket.diagnose import Engine
from wallsocket.diagnose.address import Address
from wallsocket.diagnose.call import CallFacts
from wallsocket.diagnose.facts import Facts
from wallsocket.diagnose.sample import Sample
from wallsocket.diagnose.subjects import SocketFacts
from wallsocket.diagnose.tracker import Recent
from wallsocket.diagnose.trackers.advertised import Advertised
from wallsocket.diagnose.trackers.cuts import Cuts
from wallsocket.diagnose.trackers.destinations import Destinations
from wallsocket.diagnose.trackers.execs import Execs
from wallsocket.diagnose.trackers.forwarders import Forwarders
from wallsocket.diagnose.trackers.host_answers import HostAnswers
from wallsocket.diagnose.trackers.lines import Lines
from wallsocket.diagnose.trackers.messages import Messages
from wallsocket.diagnose.trackers.reads import ReadFacts
from wallsocket.diagnose.trackers.sockets import Sockets
from wallsocket.diagnose.trackers.strays import Strays
from wallsocket.events import Call, Fact, Mark, Packet
from wallsocket.trace.wire import UDP, End, Segment

_E = TypeVar("_E")


def fed(story: Story) -> Engine:
    """An engine that has seen a whole story, before it concludes."""
    recording = story.recording()
    engine = Engine(recording)
    engine.feed(recording.events())
    engine.flush()
    return engine


def reached(start: object) -> Counter[str]:
    """Facts that can be reached from an object, by kind; the trackers and the tables are not passed through."""
    stack, seen, found = [start], set(), Counter[str]()
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, (type, Facts)):
            continue
        seen.add(id(one))
        if isinstance(one, (CallFacts, Sample, SocketFacts)):
            found[type(one).__name__] += 1
            found["kept"] += len(one.kept) if isinstance(one, SocketFacts) else 0
        stack += gc.get_referents(one)
    return found


def refused(count: int) -> Story:
    """Each connection goes to a destination of its own, and nobody is there."""
    story = Story()
    client = story.process("client")
    line = story.source("/home/me/client.py", 7)
    for number in range(count):
        one = story.socket(client, None, None, source=line)
        where = inet(f"127.0.{number >> 7}.{1 + (number & 127)}", 4567)
        story.call("connect", one, REFUSED, address=where, source=line, entry={"state": 7}, exit={"state": 7})
        story.call("close", one, source=line)
        story.now += MS
    story.now += 5 * S
    story.socket(client, None, None, source=line)
    story.call("socket", len(story.made))
    return story


def test_a_refused_connection_leaves_its_calls_and_nothing_of_its_socket() -> None:
    engine = fed(refused(200))
    destinations = engine.facts[Destinations].all
    assert len(destinations) == 200
    sockets = [one.refusals[0].connect.socket for one in destinations.values()]
    assert all(socket is not None and socket.retired for socket in sockets)
    found = reached(list(destinations.values()))
    assert found == {"CallFacts": 200, "SocketFacts": 200, "kept": 0}


def test_the_refusals_are_found_with_the_same_rows_when_their_sockets_are_gone() -> None:
    finding = next(one for one in refused(3).diagnosis().findings if one.rule == "nobody-listens")
    assert [(proof.table, proof.row) for proof in finding.proof] == [("call", 1)]
    assert finding.proof[0].text == "call 1 connect(127.0.0.1:4567) = ECONNREFUSED"


def short_connections(count: int) -> Story:
    """Clients that ask once and close; the server sees CLOSE_WAIT for a moment and closes as well."""
    story = Story()
    server, client = story.process("server"), story.process("client")
    line = story.source("/home/me/server.py", 7)
    for number in range(count):
        ends = ("127.0.0.1", 4567), (f"127.1.{number >> 7}.{1 + (number & 127)}", 40000)
        there = story.socket(client, *reversed(ends))
        story.call("connect", there, address=inet(*ends[0]))
        here = story.socket(server, *ends, origin="accept", source=line)
        story.call("sendto", there, 10, length=10, payload=b"x" * 10)
        story.call("recvfrom", here, 10, length=4096, payload=b"x" * 10)
        story.call("sendto", here, 20, length=20, payload=b"y" * 20)
        story.call("recvfrom", there, 20, length=4096, payload=b"y" * 20)
        story.call("close", there)
        story.call("recvfrom", here, 0, length=4096, exit={"state": 8})
        story.call("close", here)
        story.now += 8 * MS
    return story


def held(count: int) -> Counter[str]:
    """What all trackers and the table of sockets hold after so many short connections."""
    engine = fed(short_connections(count))
    assert len(engine.facts[Sockets].alive) < 300  # those of the last second
    return reached([vars(tracker) for tracker in engine.facts.start([])])


def test_of_short_connections_nothing_stays_but_those_of_the_last_second() -> None:
    few, many = held(200), held(500)
    assert few["kept"]
    assert many["kept"] < 1.2 * few["kept"]
    assert many["Sample"] < few["Sample"] + 50


def test_who_was_in_close_wait_for_a_moment_only_is_not_kept() -> None:
    engine = fed(short_connections(200))
    kept = [socket for line in engine.facts[Lines].all.values() for socket in line.close_waits.values()]
    assert not [socket for socket in kept if socket.retired]


def test_a_parent_that_lives_long_keeps_its_execs_among_thousands_of_children() -> None:
    execs = Execs(Facts(Story().recording()))

    def runs(process: int, at_ns: int) -> None:
        execs.see(Mark(at_ns, at_ns, process, process, "exec", f"run {at_ns}"))

    runs(1, 1)
    for child in range(2, 25_000):
        runs(child, child)
        if child % 5_000 == 0:
            runs(1, 100_000 + child)
    assert len(execs._of) == 10_000
    assert execs.between(1, 100_000 + 20_000, 1 << 40) is not None
    assert execs.between(24_999, 0, 1 << 40) is not None
    assert execs.between(2, 0, 1 << 40) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers())), st.integers(1, 6))
def test_a_recent_table_has_the_keys_that_were_set_last(pairs: list[tuple[int, int]], limit: int) -> None:
    table: Recent[int, int] = Recent(limit)
    for key, value in pairs:
        table[key] = value
    last = dict(pairs)
    latest = list(dict.fromkeys(key for key, _ in reversed(pairs)))[:limit]
    assert dict(table) == {key: last[key] for key in latest}
    assert list(table) == latest[::-1]


def test_facts_of_lost_calls_leave_room_for_those_of_the_next() -> None:
    cuts, messages = Cuts(Facts(Story().recording())), Messages(Facts(Story().recording()))
    for number in range(2_500):
        cuts.looked(Fact(2 * number, number, number, "text", '{"cut": 1}'))
        messages.announced(Fact(2 * number + 1, number, number, "http", "[{}]"))
    assert list(cuts._pending) == list(messages._pending) == list(range(1_500, 2_500))


def test_what_is_known_of_a_socket_goes_with_it_without_a_collection() -> None:
    gc.collect()
    gc.disable()
    try:
        engine = fed(short_connections(250))
        alive = len(engine.facts[Sockets].alive)
        known = [one for one in gc.get_objects() if isinstance(one, ReadFacts) and one.calls]
    finally:
        gc.enable()
    assert alive < 300
    assert len(known) <= alive


def test_of_the_sockets_that_stay_whole_the_oldest_go_and_who_needs_one_no_more_says_so() -> None:
    sockets = Sockets(Facts(Story().recording()))

    def ended(number: int, asked: int) -> SocketFacts:
        socket = SocketFacts(number, 1)
        socket.kept[1], socket.whole = object(), asked
        sockets.retire(socket)
        return socket

    plain, one, twice = ended(1, 0), ended(2, 1), ended(3, 2)
    assert not plain.kept
    sockets.release(one)
    sockets.release(twice)
    assert not one.kept
    assert twice.kept
    later = [ended(number, 1) for number in range(4, 2_000)]
    assert not twice.kept
    assert sum(bool(socket.kept) for socket in later) == 1_000
    assert later[-1].kept


def made(kind: type[_E], /, **fields: Any) -> _E:
    """An event whose other columns have their defaults."""
    return kind(*row(kind, **fields))


def told_by_a_peer(number: int, payload: bytes) -> tuple[CallFacts, CallFacts]:
    """A read of one process, and a connect of it to the address that was read."""
    one = SocketFacts(number, number)
    one.tcp, one.local = True, Address("127.0.0.1", 1)
    fields = {"process": number, "tid": number, "took_ns": 1, "socket": number}
    read = made(Call, id=2 * number, number=45, entry_ns=number * 10, result=9, payload=payload, **fields)
    connect = made(Call, id=2 * number + 1, number=42, entry_ns=number * 10 + 5, result=-111, address=WHERE, **fields)
    calls = CallFacts.of(read, "recvfrom"), CallFacts.of(connect, "connect")
    for call, of in zip(calls, (read, connect), strict=True):
        call.socket = one
        call.returned(of)
    return calls


WHERE = inet("127.0.0.1", 4567)
MANY = 25_000


def test_what_peers_told_has_one_bound_whatever_they_send() -> None:
    told = Advertised(Facts(Story().recording()))
    for number in range(1, MANY):
        read, connect = told_by_a_peer(number, b"127.0.0.1:4567")
        told.read(read)
        told.connected(connect)
    assert [one.weight for one in (told._read, told._latest, told._by)] == [10_000] * 3
    last, _ = told_by_a_peer(MANY - 1, b"")
    assert last.socket is not None
    found = told.by(last.socket.id)
    assert found is not None
    assert found.payload == b"127.0.0.1:4567"
    assert told.by(1) is None
    # As much as was sent.
    for number in range(1, 100):
        told.read(told_by_a_peer(number, bytes(1 << 20))[0])
    assert told._read.weight <= 10_000
    told.read(told_by_a_peer(1, bytes(32 << 20))[0])
    assert told._read.weight == 0


def test_of_failed_connects_the_latest_are_kept() -> None:
    facts = Facts(Story().recording())
    facts.start([Forwarders])
    found = facts[Forwarders]
    for process in (1, *range(2, MANY)):
        found.fails(told_by_a_peer(process, b"")[1])
    for _ in range(1000):
        found.fails(told_by_a_peer(MANY, b"")[1])
    assert found._of.weight <= 10_000
    assert len(found._of.of(MANY)) == 256
    assert found._of.of(MANY - 1)
    assert not found._of.of(1)


def datagram(number: int, ports: tuple[int, int]) -> tuple[Packet, Segment]:
    """From a host of its own to one."""
    source, destination = (
        End(bytes(10) + b"\xff\xff" + host.to_bytes(4, "big"), port)
        for host, port in zip((number, 1), ports, strict=True)
    )
    packet = made(Packet, id=number, at_ns=number, frame=bytes(60), length=60)
    return packet, Segment(number, number, UDP, source, destination, 10, b"")


def test_strays_have_one_bound_and_keep_no_frames() -> None:
    found = Strays(Facts(Story().recording()))
    for number in range(1, MANY):
        found.see(*datagram(number, (number % 5000, number % 7)))
    assert found._left == 0
    assert sum(len(pairs) for ports in found._of.values() for pairs in ports.values()) == 10_000
    assert not [one for one in walk(found._of) if isinstance(one, Packet)]


def walk(start: object) -> Iterator[object]:
    """Objects that can be reached from one."""
    stack, seen = [start], set()
    while stack:
        one = stack.pop()
        if id(one) not in seen and not isinstance(one, type):
            seen.add(id(one))
            yield one
            stack += gc.get_referents(one)


def test_answers_of_the_host_have_one_bound_and_what_is_left_out_is_not_denied() -> None:
    facts = Facts(Story().recording())
    found = HostAnswers(facts)
    call, late = (told_by_a_peer(number, b"")[1].call for number in (1, 2))
    for number in range(1000):
        found.see(made(Fact, id=number, at_ns=0, call=call.id, kind=f"kind {number}", value="x" * 100_000))
    assert sum(len(one.value) for one in found._of.values()) < 32_000_000
    assert found.fact(call, "kind 0") is not None
    assert facts.missed is None
    assert found.fact(late, "sockets") is None
    assert facts.missed == "the kernel said more about calls that failed than can be kept"
