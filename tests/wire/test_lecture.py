"""The raw-socket samples that people learn from, in a form that works, each with what it shows."""

from __future__ import annotations

import socket
import struct

import pytest

from wallsocket import wire
from wallsocket.wire.capture import Capture
from wallsocket.wire.interfaces import interface

dpkt = pytest.importorskip("dpkt")

ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 263, 1, 1


def crafted() -> bytes:
    """A UDP datagram in Ethernet by dpkt: addresses packed, the protocol said, the length of UDP filled in."""
    udp = dpkt.udp.UDP(sport=1234, dport=4567)
    udp.ulen = len(udp)
    addresses = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")
    ip = dpkt.ip.IP(src=addresses[0], dst=addresses[1], p=dpkt.ip.IP_PROTO_UDP, data=udp)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2\0\0\0\0\1", dst=b"\2\0\0\0\0\2", data=ip))


def test_crafting_gives_42_bytes_with_right_checksums():
    frame = wire.decode(crafted())
    assert len(frame) == 42
    assert frame.checksums == ("good", "good")
    assert frame.summary() == "IP 10.0.0.1.1234 > 10.0.0.2.4567: UDP, length 0"
    # Without p= the protocol is 0, and with addresses as text dpkt cannot pack them.
    assert dpkt.ip.IP(src=bytes(4), dst=bytes(4)).p == 0
    with pytest.raises(dpkt.PackError):
        bytes(dpkt.ip.IP(src="10.0.0.1", dst="10.0.0.2"))


def test_raw_sending_puts_exactly_these_bytes_on_the_link(pair):
    a, b = pair
    with Capture("eth0", host=b) as capture:
        sender = a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind(("eth0", 0))
        assert sender.send(b"A" * 20) == 20
        frame = next(frame for frame in capture if frame.bytes == b"A" * 20)
    # 41:… is a group address (its lowest bit is set), and "AA" is an EtherType nobody has.
    assert frame.ethernet.destination == "41:41:41:41:41:41"
    assert int(frame.ethernet.destination[:2], 16) & 1
    assert frame.ether_type == 0x4141


def test_raw_receiving(pair):
    a, b = pair
    receiver = b.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    receiver.bind(("eth0", 0))
    # Promiscuous mode, or the interface drops what is for others before it gets here; index 0 would be no interface.
    index = interface("eth0", b).index
    receiver.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, struct.pack("iHH8s", index, PACKET_MR_PROMISC, 0, b""))
    receiver.settimeout(10)
    sender = a.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("eth0", 0))
    sender.send(crafted())
    while True:
        data, (name, protocol, kind, _, _) = receiver.recvfrom(65550)
        if data == crafted():
            break
    # To another host: its address is not b's.
    assert (name, protocol, kind) == ("eth0", 0x0800, socket.PACKET_OTHERHOST)


def test_parsing_asks_what_a_layer_is():
    ethernet = dpkt.ethernet.Ethernet(crafted())
    assert isinstance(ethernet.data, dpkt.ip.IP)
    assert not isinstance(ethernet.data.data, dpkt.tcp.TCP)
    # What dpkt cannot unpack raises; here it is a frame that says what is wrong.
    with pytest.raises(dpkt.UnpackError):
        dpkt.ethernet.Ethernet(b"short")
    assert wire.decode(b"short").problem == "link layer too short: 5 of 14 bytes (at byte 0)"
    assert wire.decode(b"A" * 20).summary() == "41:41:41:41:41:41 > 41:41:41:41:41:41, ethertype 0x4141, length 20"
