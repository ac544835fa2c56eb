"""Sending many frames, through the ring and without it: both must do the same."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from wallsocket.errors import UsageError
from wallsocket.wire.capture import Capture
from wallsocket.wire.inject import Injector
from wallsocket.wire.interfaces import interface

from .network import Host

Pair = tuple[Host, Host]

#: EtherType for experiments (IEEE 802), which no protocol of a host takes.
_HEADER = bytes.fromhex("020000000001 020000000002 88b5")


def numbered(count: int, first: int = 0) -> list[bytes]:
    """Different frames of different lengths, the shortest and the longest that fit an MTU of 1500 among them."""
    lengths = itertools.cycle((60, 61, 1514, 300, 1023))
    return [
        _HEADER + number.to_bytes(4, "big") + bytes((number + at) % 256 for at in range(next(lengths) - 18))
        for number in range(first, first + count)
    ]


def arrived(capture: Capture, count: int, patience_s: float = 20.0) -> list[bytes]:
    found: list[bytes] = []
    end = time.monotonic() + patience_s
    while len(found) < count and (left := end - time.monotonic()) > 0:
        found += [bytes(frame.bytes) for frame in capture.read(left)]
    return found + [bytes(frame.bytes) for frame in capture.read(0.1)]


@pytest.fixture(params=[True, False], ids=["ring", "messages"])
def injector(request: pytest.FixtureRequest, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Iterator[Injector]:
    with Injector("eth0", host=pair[0]) as made:
        if request.param:
            made._prepare_ring()
            end = time.monotonic() + 20
            while not made._sender.has_ring():
                assert time.monotonic() < end, "this kernel gives no ring"
                time.sleep(0.001)
        else:
            # As where the kernel has no such ring.
            monkeypatch.setattr(Injector, "_prepare_ring", lambda _: None)
        yield made


@pytest.fixture
def capture(pair: Pair) -> Iterator[Capture]:
    with Capture("eth0", host=pair[1], filter="ether proto 0x88b5") as made:
        yield made


def test_a_ring_comes_by_itself_while_many_are_sent(pair: Pair, capture: Capture):
    with Injector("eth0", host=pair[0]) as injector:
        assert injector.send_all(numbered(2047)) == 2047
        assert arrived(capture, 2047) == numbered(2047)
        assert not injector._asked_for_ring
        end = time.monotonic() + 20
        while not injector._sender.has_ring():
            assert time.monotonic() < end, "this kernel gives no ring"
            assert injector.send_all(numbered(2048)) == 2048
            assert arrived(capture, 2048) == numbered(2048)


def test_every_frame_arrives_byte_for_byte_in_order(injector: Injector, capture: Capture):
    frames = numbered(2000)
    assert injector.send_all(frames) == 2000
    assert injector.send_all(iter(numbered(10, 2000))) == 10
    assert arrived(capture, 2010) == [*frames, *numbered(10, 2000)]
    assert capture.statistics().dropped == 0


def test_anything_that_has_bytes_is_sent(injector: Injector, capture: Capture):
    frames = numbered(300)
    mixed = [bytearray(frame) if number % 7 == 0 else frame for number, frame in enumerate(frames)]
    assert injector.send_all(mixed) == 300
    assert arrived(capture, 300) == frames


# The first fits a slot of the ring and not the interface; the second fits neither; the third is no frame.
@pytest.mark.parametrize(
    ("length", "why"),
    [(1600, "longer than the interface takes"), (9000, "longer than the interface takes"), (3, "not a frame")],
)
@pytest.mark.parametrize("before", [300, 512])
def test_a_frame_that_does_not_fit_is_told_with_what_was_sent_before(
    injector: Injector, capture: Capture, length: int, why: str, before: int
):
    frames = numbered(before)
    with pytest.raises(UsageError) as caught:
        injector.send_all([*frames, bytes(length), *numbered(600)])
    assert str(caught.value) == f"eth0: a frame of {length} bytes is {why} ({before} were sent before it)"
    # The way onto the link is as good as before.
    rest = numbered(600, before)
    assert injector.send_all(rest) == 600
    assert arrived(capture, before + 600) == [*frames, *rest]


@pytest.mark.parametrize("what", ["down", "delete"])
def test_an_interface_that_goes_ends_the_sending(injector: Injector, capture: Capture, pair: Pair, what: str):
    frames = numbered(4000)
    deed = ["link", "delete", "eth0"] if what == "delete" else ["link", "set", "eth0", "down"]

    def until_it_goes() -> Iterator[bytes]:
        for number, frame in enumerate(frames):
            if number == 2000:
                pair[0].run("ip", *deed)
            yield frame

    with pytest.raises(OSError) as caught:
        injector.send_all(until_it_goes())
    assert caught.value.errno in (errno.ENETDOWN, errno.ENXIO)
    if what == "down":
        # Whole batches of 256 were sent before.
        assert interface("eth0", pair[0]).is_up is False
        pair[0].run("ip", "link", "set", "eth0", "up")
        assert arrived(capture, 1792) == frames[:1792]


def test_frames_wait_for_a_slow_queue(injector: Injector, capture: Capture, pair: Pair):
    try:
        pair[0].run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "30ms", "limit", "100")
    except OSError as error:
        pytest.skip(f"needs netem ({error})")
    frames = numbered(1000)
    assert injector.send_all(frames) == 1000
    assert arrived(capture, 1000) == frames


def test_a_signal_ends_the_sending(injector: Injector):
    class Interrupted(Exception):
        pass

    def handler(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(Interrupted):
            injector.send_all(itertools.repeat(numbered(1)[0]))
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, before)


def test_paced_sending_after_many_at_once(injector: Injector, capture: Capture):
    frames = numbered(512)
    assert injector.send_all(frames) == 512
    late = numbered(3, 512)
    done = list(injector.paced((number / 100, frame) for number, frame in enumerate(late)))
    assert [asked for asked, _ in done] == [0, 0.01, 0.02]
    assert arrived(capture, 515) == [*frames, *late]


def test_a_sweep_is_sent_whole(injector: Injector, capture: Capture):
    frame = _HEADER + bytes(46)
    assert injector.sweep(frame, [(14, 2, range(600))], checksums=False) == 600
    assert [found[14:16] for found in arrived(capture, 600)] == [number.to_bytes(2, "big") for number in range(600)]
