"""TCP streams put together: from segments in any order, and from a real conversation."""

from __future__ import annotations

import socket
import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wallsocket import framing, wire
from wallsocket.wire import TCP, Ethernet, IPv4
from wallsocket.wire.capture import Capture
from wallsocket.wire.streams import Range, streams

#: A loaded machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)


def segment(
    sequence: int, data: bytes = b"", flags: str = ".", *, back: bool = False, window: int = 1000
) -> wire.Frame:
    source, destination = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    packet = IPv4(source[0], destination[0]) / TCP(source[1], destination[1], sequence % 2**32, 1, flags, window) / data
    return wire.decode(packet, "raw")


def test_a_conversation_with_everything_that_happens():
    first = 0xFFFFFFF0  # the numbers wrap within the stream
    frames = [
        segment(first, flags="S"),
        segment(500, flags="S.", back=True),
        segment(first + 1, flags="."),
        segment(first + 1, b"0123456789"),
        segment(first + 21, b"klmno"),
        segment(first + 11, b"abcdefghij"),
        segment(first + 6, b"56789"),
        segment(first + 6, b"XXXXX"),
        segment(501, b"answer", back=True, window=0),
        segment(first + 25, b"o"),  # a keep-alive: the last byte again
        segment(first + 26, flags="F."),
        segment(507, flags="F.", back=True),
    ]
    (connection,) = streams(frames)
    client, server = connection.directions
    assert client.data == b"0123456789abcdefghijklmno"
    assert server.data == b"answer"
    assert client.retransmissions == 2
    assert client.retransmitted_bytes == 10
    assert client.overlaps == [Range(5, 10)]
    assert client.out_of_order == 1
    assert client.keep_alives == 1
    assert len(server.zero_windows) == 1
    assert client.gaps == []
    assert connection.is_closed
    assert (client.source, server.source) == (CLIENT, SERVER)


def test_gaps_and_a_beginning_that_was_missed():
    (connection,) = streams([segment(100, b"abc"), segment(110, b"xyz")])
    assert connection.client.data == b"abc"
    assert connection.client.gaps == [Range(3, 10)]
    assert connection.client.pieces == [(0, b"abc"), (10, b"xyz")]
    assert not connection.client.syn_seen


def test_a_new_connection_on_the_same_ports():
    frames = [
        segment(1, flags="S"),
        segment(2, b"one"),
        segment(5, flags="R"),
        segment(900, flags="S"),
        segment(901, b"two"),
    ]
    assert [connection.client.data for connection in streams(frames)] == [b"one", b"two"]


def test_memory_is_bounded():
    frames = [segment(0, flags="S")] + [segment(1 + 1000 * number, bytes(1000)) for number in range(20)]
    (connection,) = streams(frames, limit=5000)
    assert len(connection.client.data) == 5000
    assert connection.client.dropped_bytes == 15_000


@unhurried
@given(st.binary(min_size=1, max_size=400), st.data())
def test_any_cutting_in_any_order_gives_the_stream(data, draw):
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(data)), max_size=8)) | {len(data)})
    pieces, start = [], 0
    for end in cuts:
        pieces.append((start, data[start:end]))
        start = end
    # Some pieces twice, and all in any order.
    pieces += draw.draw(st.lists(st.sampled_from(pieces), max_size=4))
    frames = [segment(0, flags="S")]
    frames += [segment(1 + at, piece, "P.") for at, piece in draw.draw(st.permutations(pieces))]
    (connection,) = streams(frames)
    # One byte right before the next expected one looks like a keep-alive; its byte is known then.
    assert connection.client.data == data
    assert connection.client.overlaps == []


def test_messages_of_a_real_conversation(pair):
    a, b = pair
    sent = [bytes([number]) * number * 100 for number in range(1, 30)]
    codec = framing.LengthPrefixed()
    with Capture("eth0", host=b, filter="tcp port 80") as capture:
        listener = b.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("10.0.0.2", 80))
        listener.listen()
        client = a.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.connect(("10.0.0.2", 80))
        server, _ = listener.accept()
        client.sendall(codec.encode_many(sent))
        client.close()
        while server.recv(65536):
            pass
        server.close()
        frames = []
        while True:
            found = capture.read(2.0)
            frames += found
            if sum(frame.tcp.flags & 1 for frame in frames) == 2 or not found:
                break
    (connection,) = streams(frames)
    assert list(connection.client.messages(codec)) == sent
    assert connection.client.gaps == []
    assert 0 < connection.round_trip_s < 5


def _client(number: int, flags: str, data: bytes = b"", acknowledgement: int = 1):
    head = Ethernet() / IPv4("10.0.0.1", "10.0.0.2")
    return wire.decode(head / TCP(4000, 80, number, acknowledgement, flags=flags) / data)


def _server(number: int, flags: str, data: bytes = b"", acknowledgement: int = 1):
    head = Ethernet() / IPv4("10.0.0.2", "10.0.0.1")
    return wire.decode(head / TCP(80, 4000, number, acknowledgement, flags=flags) / data)


def test_a_syn_with_another_number_is_another_connection():
    first, second = wire.streams(
        [
            _client(100, "S"), _client(100, "S"), _server(500, "S."), _client(101, "P.", b"first"), _server(501, "P.", b"one"),
            _client(3_000_000_000, "S"), _server(900_000_000, "S."), _server(900_000_000, "S."),
            _client(3_000_000_001, "P.", b"second"), _server(900_000_001, "P.", b"two"),
        ]
    )  # fmt: skip
    assert [(each.client.data, each.server.data) for each in (first, second)] == [
        (b"first", b"one"),
        (b"second", b"two"),
    ]
    assert not any(direction.gaps for each in (first, second) for direction in each.directions)
    # The SYN was not captured, the answer to it was.
    first, second = wire.streams(
        [_client(100, "S"), _server(500, "S."), _server(501, "P.", b"one"), _server(7, "S."), _server(8, "P.", b"two")]
    )
    assert (first.server.data, second.server.data) == (b"one", b"two")


def test_data_before_the_syn_and_before_the_first_segment_seen():
    (late,) = wire.streams([_client(107, "P.", b"world"), _client(100, "S"), _client(101, "P.", b"hello ")])
    assert late.client.data == b"hello world"
    assert late.client.syn_seen
    (swapped,) = wire.streams([_client(107, "P.", b"world"), _client(101, "P.", b"hello ")])
    assert swapped.client.data == b"hello world"
    assert (swapped.client.length, swapped.client.out_of_order, swapped.client.gaps) == (11, 1, [])
    (old,) = wire.streams([_client(2**31, "P.", b"now"), _client(5, "P.", b"long ago")])
    assert (old.client.data, old.client.length) == (b"now", 3)
    (answered_first,) = wire.streams([_server(500, "P.", b"x"), _client(100, "S"), _client(101, "P.", b"y")])
    assert answered_first.client.source == ("10.0.0.1", 4000)
    assert answered_first.client.data == b"y"


@given(
    st.binary(min_size=1, max_size=200_000),
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(0, 200_000), st.integers(1, 3000)), max_size=60),
)
@settings(deadline=None, max_examples=50)
def test_pieces_are_what_was_seen_in_any_order(data, first, cuts):
    seen = [False] * len(data)
    frames = [_client(first, "S")]
    for start, length in cuts:
        part = data[start : start + length]
        if part:
            frames.append(_client((first + 1 + start) & 0xFFFFFFFF, "P.", part))
            seen[start : start + len(part)] = [True] * len(part)
    (found,) = wire.streams(frames)
    kept = [False] * len(data)
    previous = -1
    for start, piece in found.client.pieces:
        assert start > previous
        assert piece == data[start : start + len(piece)]
        kept[start : start + len(piece)] = [True] * len(piece)
        previous = start + len(piece)
    keep_alive = [index for index in range(len(data)) if seen[index] != kept[index]]
    # One byte before the end may be a keep-alive and is not counted as data.
    assert len(keep_alive) <= found.client.keep_alives
    assert found.client.overlaps == []


def test_many_gaps_cost_linear_time():
    def frames(count: int):
        for offset in (0, 10):
            for number in range(count) if offset == 0 else reversed(range(count)):
                yield _client(100 + 20 * number + offset, "P.", b"0123456789")

    def work(count: int) -> int:
        steps = 0

        def trace(*_):
            nonlocal steps
            steps += 1

        made = list(frames(count))
        sys.setprofile(trace)
        try:
            (found,) = wire.streams(made)
        finally:
            sys.setprofile(None)
        assert len(found.client.data) == 20 * count
        return steps

    small, large = work(1000), work(8000)
    assert large < 9 * small
