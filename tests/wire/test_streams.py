"""TCP streams put together: from segments in any order, and from a real conversation."""

from __future__ import annotations

import socket

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wallsocket import framing, wire
from wallsocket.wire import TCP, IPv4
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
