"""Frames taken apart and built again, and packets that nobody expects."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallsocket import wire
from wallsocket.errors import UsageError
from wallsocket.wire import (
    ARP,
    DHCP,
    DNS,
    GRE,
    GTPU,
    ICMP,
    IGMP,
    MPLS,
    NDP,
    PPP,
    TCP,
    UDP,
    VXLAN,
    BackboneBridge,
    ControlWord,
    Dot1Q,
    Ethernet,
    Geneve,
    ICMPv6,
    IGMPv3,
    IPv4,
    IPv6,
    Padding,
    PortTag,
    PPPoE,
    Question,
    Raw,
    Record,
    fuzz,
    layers,
)

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

OUTER = ENDS / IPv4("192.0.2.1", "192.0.2.2")
INSIDE = Ethernet("02:00:00:00:00:04", "02:00:00:00:00:03") / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / "hello"
ANSWER = DNS(
    7,
    ("www.example.com", Question("example.com", "MX")),
    (
        Record("www.example.com", "CNAME", "web.example.com", 60),
        Record("web.example.com", "A", "192.0.2.7", 60),
        Record("web.example.com", "AAAA", "2001:db8::7", 60),
        Record("example.com", "MX", (10, "mail.example.com"), 60),
        Record("example.com", "TXT", ("one", "two"), 60),
        Record("_sip._udp.example.com", "SRV", (1, 2, 5060, "sip.example.com"), 60),
        Record("example.com", 65280, b"\0\1", 60),
    ),
    (Record("example.com", "SOA", ("ns.example.com", "admin.example.com", 1, 2, 3, 4, 5)),),
    (Record(".", "OPT", b"", class_=1232),),
    response=True,
    authoritative=True,
)
OFFER = DHCP(
    2,
    0xABCD,
    "02:00:00:00:00:01",
    (
        ("message_type", "offer"),
        ("subnet_mask", "255.255.255.0"),
        ("routers", "10.0.0.1", "10.0.0.2"),
        ("lease_s", 3600),
        ("host_name", "desk"),
        ("parameters", 1, 3, 6),
        (200, b"any"),
    ),
    yours="10.0.0.9",
    padding=bytes(20),
)
ADVERTISEMENT = NDP(
    134,
    flags="MO",
    options=(
        ("source_link_layer", "02:00:00:00:00:09"),
        ("mtu", 1500),
        ("prefix", "2001:db8::/64", "LA", 86400, 14400),
        ("name_servers", 600, "2001:db8::53", "2001:db8::54"),
        (200, b"\1\2\3\4\5\6"),
    ),
    hop_limit=64,
    lifetime_s=1800,
)
LINK = IPv6("fe80::1", "ff02::1", 255)
MESSAGES = [
    OUTER / UDP() / DNS(5, ("example.com",)),
    OUTER / UDP(53, 4000) / ANSWER,
    OUTER / UDP(53, 4000) / ANSWER.replace(compress=False),
    ENDS / IPv4("0.0.0.0", "255.255.255.255") / UDP() / DHCP(1, 1, options=(("message_type", "discover"),)),
    OUTER / UDP(67, 68) / OFFER,
    ENDS / LINK / ADVERTISEMENT,
    ENDS / LINK / NDP(135, "fe80::2", options=(("source_link_layer", "02:00:00:00:00:01"),)),
    ENDS / LINK / NDP(136, "fe80::2", "SO", options=(("target_link_layer", "02:00:00:00:00:01"),)),
    ENDS / LINK / NDP(137, "fe80::2", destination="2001:db8::1"),
    ENDS / LINK / NDP(133),
    IPv4("10.0.0.1", "224.0.0.22", 1)
    / IGMPv3(records=(("to_exclude", "239.1.2.3"), ("allow", "239.1.2.4", "10.0.0.1"))),
    IPv4("10.0.0.1", "224.0.0.1", 1)
    / IGMPv3(0x11, group="239.1.2.3", sources=("10.0.0.1",), robustness=2, interval=125),
    OUTER / GRE() / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2) / "x",
    OUTER / GRE(7, 8, checksummed=True) / IPv6("fd00::1", "fd00::2") / UDP(1, 2) / "x",
    OUTER / GRE(key=1) / INSIDE,
    OUTER / GRE(checksum=5, protocol=0x1234) / b"of an unknown kind",
    OUTER / UDP() / VXLAN(42) / INSIDE,
    OUTER / UDP(1, 4789, checksum=0) / VXLAN(1, flags=0x88, reserved=3) / INSIDE / Padding(bytes(9)),
    OUTER / IPv4("10.0.0.1", "10.0.0.2", checksum=3) / UDP(1, 2, length=99) / "wrong",
    OUTER / IPv6("fd00::1", "fd00::2") / ICMPv6() / "ping",
    OUTER
    / UDP()
    / VXLAN(1)
    / INSIDE.layers[0]
    / IPv4("10.0.0.1", "10.0.0.2")
    / GRE()
    / IPv6("fd00::1", "fd00::2")
    / UDP(),
    OUTER / UDP() / Geneve(7, ((0x0102, 0x80, bytes(8)), (3, 4, b""))) / INSIDE,
    OUTER / UDP() / Geneve(7, flags=0x80, protocol=0x88B5) / b"of an unknown kind",
    OUTER / UDP() / Geneve(9) / IPv6("fd00::1", "fd00::2") / TCP(1, 2) / "x",
    OUTER / UDP() / GTPU(5) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / "x",
    OUTER / UDP() / GTPU(5, 255, 77, ((0x85, b"\x10\x05"),), n_pdu_number=3) / IPv6("fd00::1", "fd00::2") / UDP(1, 2),
    OUTER / UDP() / GTPU(0, 1, 9),
    OUTER / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / "IP in IP",
    ENDS / MPLS(100, 3, 255) / MPLS(200) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / "x",
    ENDS / Dot1Q(4) / MPLS(100, bottom=False),
    ENDS / MPLS(30) / INSIDE,
    ENDS / MPLS(30) / ControlWord(7) / INSIDE,
    MPLS(40) / IPv6("fd00::1", "fd00::2") / TCP(1, 2),
    OUTER / MPLS(50) / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2),
    OUTER / UDP() / MPLS(50) / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2),
    OUTER / GRE() / MPLS(50) / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2),
    OUTER / GRE() / PPP(framed=True) / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2),
    ENDS / PPPoE(3) / PPP() / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2) / "x",
    ENDS / Dot1Q(9) / PPPoE(3) / PPP(compressed=True) / IPv6("fd00::1", "fd00::2") / UDP(1, 2),
    ENDS / PPPoE(3) / PPP() / b"\x01\x01\x00\x04",
    ENDS / PPPoE(0, 0x09) / b"\x01\x01\x00\x00",
    ENDS / PPPoE(3, length=99) / PPP() / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2),
    PPPoE(3) / PPP(0xC021) / b"\x09\x01\x00\x08\0\0\0\0",
    PPP(framed=True) / MPLS(5) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2),
    ENDS / PortTag(0x12345, 0xABCDE, 5, True, 2) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2),
    ENDS / PortTag(1) / Dot1Q(7) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2),
    ENDS / Dot1Q(3, protocol=0x88A8) / BackboneBridge(0x010203, 0x60) / INSIDE,
]


@pytest.mark.parametrize("packet", MESSAGES, ids=str)
def test_messages_and_tunnels_are_taken_apart_into_their_layers(packet):
    frame = wire.decode(packet)
    found = layers(frame)
    assert bytes(found) == bytes(packet)
    kinds = [type(layer) for layer in packet.layers]
    assert [type(layer) for layer in found.layers] == kinds
    assert eval(repr(found), {**vars(wire), **{name: getattr(wire, name) for name in wire.__all__}}) == found


def test_what_is_carried_is_what_the_tunnel_says():
    # An IPv4 header where the number says IPv6 is no packet; nor is GTP what has none of its messages.
    inside = bytes(IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2) / bytes(40))
    wrong = wire.decode(ENDS / IPv6("fd00::1", "fd00::2", next_header=41) / inside)
    assert (wrong.inner.ip, wrong.inner.problem) == (None, "IPv6 with version 4 (at byte 0)")
    assert wire.decode(ENDS / IPv6("fd00::1", "fd00::2", next_header=4) / inside).inner.ip.source == "10.0.0.1"
    assert wire.decode(OUTER / UDP() / GTPU(5, 195) / inside).tunnel is None


@pytest.mark.parametrize(("kind", "numbered"), [(8, True), (14, True), (16, True), (17, True), (3, False), (10, False)])
def test_messages_of_icmp_that_are_numbered(kind, numbered):
    icmp = wire.decode(IPv4("10.0.0.1", "10.0.0.2") / ICMP(kind, 0, 7, 9) / bytes(12)).icmp
    assert (icmp.identifier, icmp.sequence_number) == ((7, 9) if numbered else (None, None))


def test_a_mirrored_frame_is_what_its_header_says():
    inside = bytes(IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2))
    for kind, there in ((2, True), (7, False)):
        header = bytes.fromhex("2001000500000000") + (kind << 10).to_bytes(4, "big")
        frame = wire.decode(OUTER / GRE(sequence_number=1, protocol=0x22EB) / (header + inside))
        assert (frame.tunnel.kind, frame.tunnel.identifier) == ("erspan", 5)
        assert (frame.inner is not None and frame.inner.ip.source == "10.0.0.1") == there


def test_an_extended_echo_has_an_identifier_and_another_sequence_number():
    for packet in (
        IPv4("10.0.0.1", "10.0.0.2") / ICMP(42, 0, 7, 0x0100),
        IPv6("fd00::1", "fd00::2") / ICMPv6(160, 0, 7, 0x0100),
    ):
        icmp = wire.decode(packet).icmp
        assert (icmp.identifier, icmp.sequence_number) == (7, None)


@pytest.mark.parametrize("upper", [TCP(1, 2), UDP(1, 2, length=0)])
def test_a_length_of_0_is_that_of_a_segment_which_the_card_was_to_cut(upper):
    frame = wire.decode(ENDS / IPv6("fd00::1", "fd00::2", payload_length=0) / upper / bytes(70_000))
    assert (frame.problem, len(frame.payload)) == (None, 70_000)
    assert frame.summary().startswith("IP6 fd00::1.1 > fd00::2.2: ")


def test_a_number_of_mikrotiks_tunnel_has_its_low_byte_first():
    inside = bytes(Ethernet() / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2))
    head = struct.pack("!HHHBB", 0x2001, 0x6400, len(inside), 0x34, 0x12)
    frame = wire.decode(IPv4("192.0.2.1", "192.0.2.2", protocol=47) / (head + inside))
    assert (frame.tunnel.kind, frame.tunnel.identifier, frame.inner.udp.destination_port) == ("gre", 0x1234, 2)


def test_gre_in_udp_is_taken_apart_and_built_again():
    packet = IPv4("192.0.2.1", "192.0.2.2") / UDP(50000, 4754) / GRE(key=7) / IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2)
    frame = wire.decode(packet)
    assert (frame.tunnel.kind, frame.tunnel.identifier) == ("gre", 7)
    taken = wire.layers(frame)
    assert (taken[GRE].key, bytes(taken)) == (7, frame.bytes)
    assert wire.decode(taken.replace(GRE, key=8)).tunnel.identifier == 8


def test_address_resolution_without_a_link_layer_is_decoded_and_fits_no_file(tmp_path):
    message = bytes(ARP(2, "02:00:00:00:00:01", "10.0.0.1", "02:00:00:00:00:02", "10.0.0.2"))
    frame = wire.decode(IPv4("192.0.2.1", "192.0.2.2", protocol=47) / (struct.pack("!HH", 0, 0x0806) + message))
    assert frame.inner.arp.target == "10.0.0.2"
    assert frame.inner.summary().startswith("ARP, Reply 10.0.0.1 is-at 02:00:00:00:00:01")
    for ending in ("pcap", "pcapng"):
        with pytest.raises(UsageError, match="link types above 65535"):
            wire.write(tmp_path / f"a.{ending}", [frame.inner])


def test_hardware_addresses_in_arp_are_those_of_ethernet():
    message = bytearray(bytes(ARP(1, "02:00:00:00:00:01", "10.0.0.1", target="10.0.0.2")))
    message[1] = 32  # InfiniBand
    frame = wire.decode(Ethernet(type=0x0806) / bytes(message))
    assert (frame.arp.sender_hardware, frame.arp.sender, frame.arp.target) == (None, "10.0.0.1", "10.0.0.2")


def test_a_udp_length_of_zero_counts_where_the_packet_has_no_length_either():
    short = wire.decode(IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2, length=0) / b"data")
    assert short.problem == "UDP length 0 is below 8 (at byte 20)"
    for packet in (IPv4("10.0.0.1", "10.0.0.2", length=0), IPv6("::1", "::2", payload_length=0)):
        unsaid = wire.decode(packet / UDP(1, 2, length=0) / b"data")
        assert (unsaid.problem, unsaid.payload) == (None, b"data")


def test_a_packet_that_is_still_to_be_segmented_is_taken_apart():
    for above in (TCP(1, 2), UDP(1, 2, length=0)):
        for below in (IPv4("10.0.0.1", "10.0.0.2", length=0), IPv6("::1", "::2", payload_length=0)):
            for length in (0, 1, 70_000):
                frame = wire.decode(below / above / bytes(length))
                assert frame.problem is None
                assert bytes(wire.layers(frame)) == frame.bytes


def test_every_header_says_its_values():
    frame = wire.decode(Ethernet("02:00:00:00:00:01", "02:00:00:00:00:02") / IPv4("10.0.0.1", "10.0.0.2") / TCP(1, 2))
    assert repr(frame.ethernet) == "Ethernet(destination='02:00:00:00:00:02', source='02:00:00:00:00:01')"
    assert repr(frame.ip).startswith("Ip(offset=14, version=4, header_length=20, source='10.0.0.1', ")
    assert "flow_label" not in repr(frame.ip)
    carried = wire.decode(IPv4("10.0.0.1", "10.0.0.2") / GRE(key=7) / IPv6("::1", "::2") / ICMPv6())
    assert repr(carried.tunnel).startswith("Tunnel(kind='gre', offset=20, identifier=7, protocol=34525, ")
    for part in (frame.tcp, carried.inner.icmp, wire.decode(IPv4("10.0.0.1", "10.0.0.2") / UDP(5, 6)).udp):
        said = repr(part)
        for name in dir(part):
            if not name.startswith("_"):
                value = getattr(part, name)
                assert (f"{name}={value!r}" in said) == (value is not None)


def test_a_change_within_a_tunnel_is_followed_outside():
    found = layers(wire.decode(MESSAGES[16]))
    changed = wire.decode(type(found)((*found.layers[:-1], Raw(b"a longer text"))))
    assert changed.checksums == changed.inner.checksums == ("good", "good")
    assert changed.inner.payload == b"a longer text"
    assert changed.tunnel.identifier == 42


def test_what_a_message_says_can_be_changed():
    found = layers(wire.decode(MESSAGES[1]))
    other = found.replace(DNS, answers=(Record("www.example.com.", "A", "192.0.2.9"),), authorities=(), additional=())
    frame = wire.decode(other)
    assert frame.application == "DNS 7 A? www.example.com. answers 1: A 192.0.2.9"
    assert frame.checksums == ("good", "good")
    lease = layers(wire.decode(MESSAGES[4])).replace(DHCP, yours="10.0.0.77")
    assert "10.0.0.77" in wire.decode(lease).application


def test_wrong_values_are_refused_in_a_line():
    for wrong, said in [
        (DNS(questions=("a" * 64,)), "is no name of DNS"),
        (DNS(answers=(Record("a", "MX", "b"),)), "is no data of a record"),
        (DNS(questions=(Question("a", "AAAAA"),)), "no type 'AAAAA'"),
        (DHCP(options=(("lease", 3),)), "no option 'lease' of DHCP"),
        (DHCP(options=(("message_type", "offr"),)), "no message type 'offr'"),
        (NDP(options=(("mtu", 1, 2),)), "is no such option"),
        (NDP(flags="X"), "no flag 'X'"),
        (IGMPv3(records=(("join", "239.1.1.1"),)), "no group record 'join'"),
        (VXLAN(1 << 24), "does not fit 24 bits"),
        (MPLS(1 << 20), "does not fit 20 bits"),
        (Geneve(options=((1, 2, b"x"),)), "a multiple of 4, not 1"),
        (GTPU(extension_headers=((1, b"x"),)), "has 4n - 2 bytes, not 1"),
        (IPv4("10.0.0.1", "no-such-name.invalid"), "is no IPv4 address, and no name"),
        (IPv4("10.0.0.1", "10.0.0"), "is no IPv4 address"),
    ]:
        with pytest.raises(UsageError, match=said):
            bytes(wrong)


def test_a_destination_may_be_a_name():
    assert wire.decode(IPv4("localhost", "localhost") / UDP()).ip.destination == "127.0.0.1"


PARSED = [
    *(DNS, DHCP, GRE, GTPU, IGMPv3, MPLS, NDP, PPP, VXLAN, BackboneBridge, ControlWord, Geneve, PortTag, PPPoE),
]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(PARSED))
def test_any_bytes_are_a_message_or_none(data, kind):
    found = kind.parse(data)
    if found is not None:
        layer, rest = found
        assert data.endswith(rest)
        bytes(IPv6("::1", "::1") / layer)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_a_name_of_any_bytes_is_the_same_when_read(labels):
    data = bytes(11) + b"\0" + b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\1\0\1"
    data = data[:4] + b"\0\1" + data[6:]
    layer, rest = DNS.parse(data)
    assert (bytes(layer), rest) == (data, b"")


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


@settings(deadline=None)
@given(st.binary(max_size=120), st.sampled_from([1, 101, 113]))
def test_any_bytes_can_be_taken_apart(data, link_type):
    frame = wire.decode(data, link_type)
    assert frame.bytes.startswith(bytes(layers(frame)))


@settings(deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(PACKETS[:10] + MESSAGES))
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
