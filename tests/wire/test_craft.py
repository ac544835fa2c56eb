"""Packets of one's own making: what is built decodes to what was asked for, right or wrong on purpose."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wallsocket.errors import UsageError
from wallsocket.wire import ARP, ICMP, IGMP, TCP, UDP, Dot1Q, Ethernet, ICMPv6, IPv4, IPv6, Raw, decode
from wallsocket.wire.craft import fragment, sweep

#: A loaded machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ports = st.integers(0, 65535)
numbers = st.integers(0, 2**32 - 1)
ipv4 = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
ipv6 = st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number)))
macs = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@unhurried
@given(ipv4, ipv4, ports, ports, numbers, numbers, st.integers(0, 0x1FF), ports, st.binary(max_size=200))
def test_tcp_over_ipv4(source, destination, from_port, to_port, sequence, acknowledgement, flags, window, data):
    packet = IPv4(source, destination) / TCP(from_port, to_port, sequence, acknowledgement, flags, window) / data
    frame = decode(packet, "raw")
    assert frame.problem is None
    assert frame.checksums == ("good", "good")
    assert (frame.ip.source, frame.ip.destination) == (source, destination)
    tcp = frame.tcp
    assert (tcp.source_port, tcp.destination_port) == (from_port, to_port)
    assert (tcp.sequence_number, tcp.acknowledgement_number) == (sequence, acknowledgement)
    assert (tcp.flags, tcp.window) == (flags, window)
    assert frame.payload == data


@unhurried
@given(ipv6, ipv6, ports, ports, st.binary(max_size=200), st.integers(0, 0xFFFFF))
def test_udp_over_ipv6(source, destination, from_port, to_port, data, label):
    packet = IPv6(source, destination, flow_label=label) / UDP(from_port, to_port) / data
    frame = decode(packet, "raw")
    assert frame.checksums == ("absent", "good")
    assert (frame.udp.source_port, frame.udp.destination_port, frame.ip.flow_label) == (from_port, to_port, label)
    assert frame.payload == data


@unhurried
@given(macs, macs, st.integers(0, 4095), st.integers(0, 7))
def test_tags_and_arp(source, destination, vlan, priority):
    packet = Ethernet(source, destination) / Dot1Q(vlan, priority) / ARP(2, source, "10.0.0.1", destination, "10.0.0.2")
    frame = decode(packet)
    assert frame.vlans == [vlan]
    assert frame.ethernet.source == source
    assert (frame.arp.operation, frame.arp.sender, frame.arp.target_hardware) == (2, "10.0.0.1", destination)


def test_options_are_those_of_tcpdump():
    options = [("mss", 1460), "sackOK", ("TS", 7, 0), "nop", ("wscale", 7)]
    frame = decode(IPv4("10.0.0.1", "10.0.0.2") / TCP(40000, 80, 100, flags="S", window=64240, options=options), "raw")
    assert frame.summary() == (
        "IP 10.0.0.1.40000 > 10.0.0.2.80: Flags [S], seq 100, win 64240, "
        "options [mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 7], length 0"
    )
    assert frame.tcp.maximum_segment_size == 1460
    assert frame.tcp.timestamps == (7, 0)


def test_fields_may_be_wrong_on_purpose():
    wrong = decode(IPv4("10.0.0.1", "10.0.0.2", checksum=0x1234) / UDP(1, 2, length=4, checksum=7) / b"abc", "raw")
    assert wrong.checksums[0] == "bad"
    assert wrong.problem == "UDP length 4 is below 8 (at byte 20)"
    assert wrong.malformed
    short = decode(IPv4("10.0.0.1", "10.0.0.2", header_length=8) / UDP(1, 2), "raw")
    assert short.problem == "IPv4 header length 8 is below 20 (at byte 0)"
    unchecked = decode(IPv4("10.0.0.1", "10.0.0.2") / UDP(1, 2, checksum=0), "raw")
    assert unchecked.checksums == ("good", "absent")


def test_impossible_values_are_refused_in_one_line():
    for packet, text in (
        (IPv4(time_to_live=256), "time_to_live=256 does not fit 8 bits"),
        (IPv4(destination="300.0.0.1"), "'300.0.0.1' is no IPv4 address"),
        (Ethernet(destination="02:00"), "'02:00' is no Ethernet address"),
        (TCP(flags="X"), "no TCP flag 'X'"),
        (Dot1Q(4096), "vlan=4096 does not fit 12 bits"),
    ):
        with pytest.raises(UsageError, match=text.replace("(", r"\(")):
            bytes(packet)


def test_a_sweep_is_every_combination():
    packets = list(sweep(IPv4("10.0.0.1", "10.0.0.2", time_to_live=[1, 2]) / UDP(1, range(80, 83))))
    assert [(packet[IPv4].time_to_live, packet[UDP].destination_port) for packet in packets] == [
        (1, 80), (1, 81), (1, 82), (2, 80), (2, 81), (2, 82),
    ]  # fmt: skip


@pytest.mark.parametrize("head", [IPv4("10.0.0.1", "10.0.0.2"), IPv6("fd00::1", "fd00::2")])
def test_fragments_hold_the_whole(head):
    data = bytes(range(256)) * 16
    whole = head / UDP(1, 2) / data
    parts = [decode(part, "raw") for part in fragment(whole, 1280, identification=9)]
    assert all(len(part) <= 1280 for part in parts)
    assert [part.ip.more_fragments for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part.ip.identification for part in parts} == {9}
    header = 20 if head is whole.layers[0] and isinstance(head, IPv4) else 48
    together = b"".join(part.bytes[header:] for part in parts)
    assert together == decode(whole, "raw").bytes[20 if isinstance(head, IPv4) else 40 :]
    assert parts[0].udp.destination_port == 2
    assert parts[1].udp is None


def test_other_layers():
    echo = decode(IPv4("10.0.0.1", "10.0.0.2") / ICMP(identifier=7, sequence_number=9) / b"x", "raw")
    assert (echo.icmp.identifier, echo.icmp.sequence_number, echo.checksums[1]) == (7, 9, "good")
    echo6 = decode(IPv6("fd00::1", "fd00::2") / ICMPv6(identifier=7, sequence_number=9) / b"x", "raw")
    assert (echo6.icmp.version, echo6.icmp.type, echo6.checksums[1]) == (6, 128, "good")
    group = decode(IPv4("10.0.0.1", "224.0.0.1", 1) / IGMP(group="224.0.1.1"), "raw")
    assert group.igmp.group == "224.0.1.1"
    assert bytes(Raw(b"ab") / b"cd") == b"abcd"


def test_dpkt_objects_are_taken_and_given():
    dpkt = pytest.importorskip("dpkt")
    from wallsocket.wire.frame import to_dpkt

    udp = dpkt.udp.UDP(sport=1, dport=2, data=b"hello")
    udp.ulen = len(udp)
    packet = Ethernet("02:00:00:00:00:02", "02:00:00:00:00:01") / IPv4("10.0.0.1", "10.0.0.2", protocol=17) / udp
    frame = decode(packet)
    assert frame.payload == b"hello"
    back = to_dpkt(frame)
    assert back.data.data.dport == 2


def test_neighbour_discovery_gives_target_and_options():
    advertisement = bytes.fromhex(
        "8600000040000708" "0000000000000000"  # lifetime 1800 s
        "0101020000000009"  # source link-layer address
        "05010000000005dc"  # MTU 1500
        "030440c0" "00015180" "00003840" "00000000" "fd000001000000000000000000000000"  # prefix information
        "1903000000000258" "fd000000000000000000000000000053"  # a name server for 600 s
    )  # fmt: skip
    head = IPv6("fe80::1", "ff02::1", 255, next_header=58)
    icmp = decode(bytes(head / Raw(advertisement)), 101).icmp
    assert icmp.source_link_layer == "02:00:00:00:00:09"
    assert icmp.link_mtu == 1500
    assert icmp.prefixes == [("fd00:1::/64", True, True, 86400, 14400)]
    assert icmp.name_servers == [("fd00::53", 600)]
    assert (icmp.target, icmp.target_link_layer) == (None, None)
    answer = bytes.fromhex("8800000060000000fe8000000000000000000000000000020201020000000002")
    icmp = decode(bytes(head / Raw(answer)), 101).icmp
    assert (icmp.target, icmp.target_link_layer) == ("fe80::2", "02:00:00:00:00:02")
    # A length of 0 ends the list; what came before stands.
    icmp = decode(bytes(head / Raw(answer[:-8] + b"\x01\x00" + bytes(6))), 101).icmp
    assert (icmp.target, icmp.target_link_layer) == ("fe80::2", None)
