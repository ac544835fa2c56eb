"""Frames taken apart and built again, and packets that nobody expects."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallsocket import wire
from wallsocket.errors import UsageError
from wallsocket.wire import ARP, ICMP, IGMP, TCP, UDP, Dot1Q, Ethernet, ICMPv6, IPv4, IPv6, Raw, fuzz, layers

ENDS = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01")
PACKETS = [
    ENDS / IPv4("10.0.0.1", "10.0.0.2", dont_fragment=True) / UDP(1, 2) / "hello",
    ENDS / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2, 3, 4, "P.", options=[("mss", 1460), "nop", ("wscale", 7)]) / "x",
    ENDS / Dot1Q(5, 3) / IPv6("fd00::1", "fd00::2", 7, flow_label=9) / TCP(1, 2),
    ENDS / Dot1Q(7, protocol=0x88A8) / Dot1Q(8) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2),
    ENDS / ARP(2, "02:00:00:00:00:02", "10.0.0.1", "02:00:00:00:00:01", "10.0.0.2"),
    IPv4("10.0.0.1", "10.0.0.2") / ICMP(identifier=3, sequence_number=4) / "ping",
    IPv4("10.0.0.1", "10.0.0.2") / ICMP(3, 3) / (IPv4("10.0.0.2", "10.0.0.1") / UDP(1, 2)),
    IPv6("fd00::1", "fd00::2") / ICMPv6() / "ping",
    IPv4("10.0.0.1", "224.0.0.1", options=b"\x94\x04\0\0") / IGMP(0x16, group="224.0.0.9"),
    ENDS / IPv4("10.0.0.1", "10.0.0.2", checksum=1) / UDP(1, 2, checksum=0xBEEF, length=99) / "wrong",
    ENDS / IPv4("10.0.0.1", "10.0.0.2", more_fragments=True) / UDP(1, 2) / bytes(8),
    ENDS / b"of an unknown kind",
]


@pytest.mark.parametrize("packet", PACKETS, ids=str)
def test_what_is_taken_apart_is_the_same_when_built(packet):
    frame = wire.decode(packet)
    found = layers(frame)
    assert bytes(found) == bytes(packet)
    assert found.link_type == packet.link_type
    # Padding of the link is no part of it.
    if frame.link_type == 1 and (frame.ip or frame.arp) and frame.problem is None:
        assert bytes(layers(wire.decode(bytes(packet) + bytes(9)))) == bytes(packet)


def test_what_was_right_follows_a_change_and_what_was_wrong_stays():
    right = layers(wire.decode(PACKETS[0])).replace(IPv4, destination="192.0.2.7").replace(UDP, destination_port=53)
    frame = wire.decode(right)
    assert (frame.ip.destination, frame.udp.destination_port, frame.payload) == ("192.0.2.7", 53, b"hello")
    assert frame.checksums == ("good", "good")
    wrong = layers(wire.decode(PACKETS[9])).replace(IPv4, time_to_live=3)
    assert (wrong[IPv4].checksum, wrong[UDP].checksum, wrong[UDP].length) == (1, 0xBEEF, 99)
    assert eval(repr(right), {**vars(wire), "Ethernet": Ethernet, "Raw": Raw}) == right


@given(st.binary(max_size=120), st.sampled_from([1, 101, 113]))
def test_any_bytes_can_be_taken_apart(data, link_type):
    frame = wire.decode(data, link_type)
    assert frame.bytes.startswith(bytes(layers(frame)))


@given(st.integers(0, 2**32), st.sampled_from(PACKETS[:10]))
def test_made_up_packets_are_the_same_for_the_same_seed(seed, packet):
    some = [bytes(each) for each in itertools.islice(fuzz(packet, seed), 5)]
    assert some == [bytes(each) for each in itertools.islice(fuzz(packet, seed), 5)]
    for data in some:
        layers(wire.decode(data, packet.link_type)).summary()


def test_made_up_packets_differ_and_keep_their_addresses():
    some = list(itertools.islice(fuzz(PACKETS[0], 7), 200))
    assert len({bytes(each) for each in some}) > 100
    assert {each[IPv4].destination for each in some} == {"10.0.0.2"}
    with pytest.raises(UsageError, match="nothing in this packet"):
        next(fuzz(Ethernet()))
