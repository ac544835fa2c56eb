"""Sending many frames, through the ring and without it: both must do the same."""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallsocket import wire
from wallsocket._core.wire import internet_checksum
from wallsocket.errors import UsageError
from wallsocket.wire import ICMP, MPLS, TCP, UDP, Dot1Q, Ethernet, ICMPv6, IPv4, IPv6
from wallsocket.wire.capture import Capture
from wallsocket.wire.craft import fragment
from wallsocket.wire.inject import Injector, rewrite
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


def _fragments_are_whole(frames: list[bytes]) -> bool:
    """Whether the checksum over all fragments of a datagram is right."""
    decoded = [wire.decode(frame) for frame in frames]
    ip = decoded[0].ip
    skip = ip.header_length
    data = b"".join(frame.bytes[frame.ip.offset + skip : frame.ip.offset + frame.ip.length] for frame in decoded)
    addresses = slice(12, 20) if ip.version == 4 else slice(8, 40)
    pseudo = decoded[0].bytes[ip.offset :][addresses] + len(data).to_bytes(4, "big") + b"\0\0\0\x11"
    return internet_checksum(pseudo + data) == 0


@pytest.mark.parametrize(
    ("head", "mapping"),
    [
        (IPv4("10.0.0.1", "10.0.0.2"), {"10.0.0.1": "192.168.7.9", "10.0.0.2": "1.2.3.4"}),
        (IPv6("2001:db8::1", "2001:db8::2"), {"2001:db8::1": "2001:db8:77::1"}),
    ],
)
def test_rewriting_keeps_the_checksum_of_fragments_right(head, mapping):
    parts = [bytes(Ethernet() / part) for part in fragment(head / UDP(1, 2) / (bytes(range(256)) * 10), 1400)]
    assert len(parts) > 1
    assert _fragments_are_whole(parts)
    changed = [rewrite(wire.decode(part), mapping) for part in parts]
    assert changed != parts
    assert _fragments_are_whole(changed)
    assert all(wire.decode(part).checksums[0] in ("good", "absent") for part in changed)


def test_rewriting_a_cut_frame_keeps_what_it_was_worth():
    whole = bytes(Ethernet() / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2) / bytes(100))
    mapping = {"10.0.0.1": "172.16.254.3"}
    cut = rewrite(wire.decode(whole[:80], original_length=len(whole)), mapping)
    assert cut + whole[80:] == rewrite(wire.decode(whole), mapping)
    assert wire.decode(cut + whole[80:]).checksums == ("good", "good")
    for length in range(14, 60):
        rewrite(wire.decode(whole[:length], original_length=len(whole)), mapping)


@pytest.mark.parametrize(
    ("packet", "mapping", "before", "after"),
    [
        (IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2, checksum=0), {"10.0.0.1": "9.9.9.9"}, "absent", "absent"),
        (IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2, checksum=7), {"10.0.0.1": "9.9.9.9"}, "bad", "bad"),
        (Dot1Q(5) / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2) / b"x", {"10.0.0.1": "9.9.9.9"}, "good", "good"),
        (IPv6("fe80::1", "fe80::2") / ICMPv6() / b"x", {"fe80::2": "fe80::77"}, "good", "good"),
        (
            IPv4("10.0.0.9", "10.0.0.1") / ICMP(3, 3) / (IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2)),
            {"10.0.0.1": "9.9.9.9"},
            "good",
            "good",
        ),
    ],
)
def test_rewriting_changes_no_verdict(packet, mapping, before, after):
    frame = wire.decode(Ethernet() / packet)
    assert frame.checksums[1] == before
    changed = wire.decode(rewrite(frame, mapping))
    assert changed.checksums[1] == after
    assert changed.bytes != frame.bytes
    if frame.quoted is not None:
        assert changed.quoted.ip.source == "9.9.9.9"
        assert changed.quoted.checksums == frame.quoted.checksums == ("good", "good")


def test_rewriting_follows_neighbour_discovery():
    target = bytes.fromhex("fe800000000000000000000000000001")
    option = b"\x02\x01" + bytes.fromhex("020000000001")
    frame = wire.decode(
        Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02")
        / IPv6("fe80::1", "fe80::2")
        / ICMPv6(136, rest=0x60000000)
        / (target + option)
    )
    assert frame.checksums[1] == "good"
    changed = wire.decode(rewrite(frame, {"fe80::1": "fe80::99"}, {"02:00:00:00:00:01": "02:00:00:00:00:aa"}))
    assert (changed.ip.source, changed.icmp.target) == ("fe80::99", "fe80::99")
    assert changed.ethernet.source == changed.icmp.target_link_layer == "02:00:00:00:00:aa"
    assert changed.checksums[1] == "good"


def test_rewriting_follows_what_a_redirect_is_about():
    about = bytes(IPv6("fe80::1", "2001:db8::9") / UDP(1, 2) / b"odd")
    about += bytes(-len(about) % 8)
    ends = ipaddress.ip_address("fe80::7").packed + ipaddress.ip_address("2001:db8::9").packed
    options = b"\x02\x01" + bytes.fromhex("020000000007") + bytes([4, 1 + len(about) // 8]) + bytes(6) + about
    frame = wire.decode(Ethernet() / IPv6("fe80::8", "fe80::1") / ICMPv6(137) / (ends + options))
    assert (frame.checksums[1], frame.quoted.ip.source) == ("good", "fe80::1")
    assert frame.quoted.udp.destination_port == 2
    changed = wire.decode(rewrite(frame, {"2001:db8::9": "2001:db8::77", "fe80::1": "fe80::99", "fe80::7": "fe80::70"}))
    assert (changed.icmp.target, changed.quoted.ip.destination) == ("fe80::70", "2001:db8::77")
    assert changed.quoted.ip.source == changed.ip.destination == "fe80::99"
    assert changed.checksums[1] == changed.quoted.checksums[1] == "good"


@settings(deadline=None)
@given(
    st.binary(max_size=40),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(str),
)
def test_an_adjusted_checksum_is_the_computed_one(data, source, destination, other):
    for body in (UDP(1, 2), TCP(3, 4, 5, 6, "P.")):
        frame = wire.decode(Ethernet() / IPv4(source, destination) / body / data)
        changed = wire.decode(rewrite(frame, {source: other}))
        assert changed.checksums == ("good", "good")


def test_a_packet_that_starts_with_ip_travels_as_ip(pair):
    a, b = pair
    with Capture("eth0", host=b, filter="udp", latency_s=0.001) as capture:
        packet = IPv4("10.0.0.1", "10.0.0.2") / UDP(5000, 53) / "question"
        assert wire.inject(packet, host=a) == 1
        six = IPv6("fd00::1", "fd00::2") / UDP(5000, 53) / "question"
        assert wire.inject([six, wire.decode(packet)], "eth0", host=a) == 2
        found = take(capture, 3)
    assert [frame.udp and frame.payload for frame in found] == [b"question"] * 3
    mac = interface("eth0", b).mac
    assert [frame.ethernet.destination for frame in found] == [mac] * 3
    assert {frame.ethernet.source for frame in found} == {interface("eth0", a).mac}


def test_ethernet_without_a_destination_goes_to_the_neighbour_or_nowhere(pair):
    a, b = pair
    with Capture("eth0", host=b, filter="udp", latency_s=0.001) as capture:
        tagged = Ethernet() / Dot1Q(7) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2)
        wire.inject([Ethernet() / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2), tagged], host=a)
        with pytest.raises(UsageError, match=r"10\.0\.0\.99 does not answer ARP; or give the address"):
            wire.inject(Ethernet() / IPv4("10.0.0.1", "10.0.0.99") / UDP(1, 2), host=a)
        with pytest.raises(UsageError, match="own address"):
            wire.inject(Ethernet() / IPv4("10.0.0.1", "10.0.0.1") / UDP(1, 2), host=a)
        wire.inject(Ethernet() / IPv4("10.0.0.1", "239.1.2.3") / UDP(1, 3), host=a)
        # Nobody has it: a bare IP packet goes to all on the link.
        wire.inject(IPv4("10.0.0.1", "10.0.0.99") / UDP(1, 4), host=a)
        found = take(capture, 4)
    mac = interface("eth0", b).mac
    assert found[1].vlans == [7]
    assert [frame.ethernet.destination for frame in found] == [mac, mac, "01:00:5e:01:02:03", "ff:ff:ff:ff:ff:ff"]


@pytest.mark.parametrize("wrong", ["eth0", ["eth0"], None, 5, [1, 2], [[1, 2]]])
def test_what_is_no_frame_is_refused_in_a_line(pair, wrong):
    a, _ = pair
    with pytest.raises(UsageError, match="is no frame"):
        wire.inject(wrong, host=a)


def test_the_name_of_an_interface_alone_says_how_to_send():
    with pytest.raises(UsageError, match=r"inject\(frames, 'eth0'\) sends frames through that interface"):
        wire.inject("eth0")


def test_a_packet_that_starts_with_a_label_does_not_belong_on_ethernet(pair):
    a, _ = pair
    with pytest.raises(UsageError, match="starts with MPLS does not belong there"):
        wire.inject(MPLS(16) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2), host=a)


def take(capture: Capture, count: int) -> list[wire.Frame]:
    found: list[wire.Frame] = []
    end = time.monotonic() + 20
    while len(found) < count and time.monotonic() < end:
        found += capture.read(1.0)
    assert len(found) == count, found
    return found
