"""Frames of lab hosts: the same functions, with the host in front."""

from __future__ import annotations

import socket

import pytest

from wallsocket import lab
from wallsocket.errors import WallsocketError


def test_a_lab_host_captures_and_probes():
    try:
        hosts = lab.hosts("a", "b")
    except (WallsocketError, OSError) as error:
        pytest.skip(f"no lab here: {error}")
    with hosts as (a, b):
        with b.capture(b.interfaces[0].name, filter="icmp") as capture:
            with a.wire.ping(b.address, count=1, timeout_s=5) as running:
                assert [reply.kind for reply in running] == ["reply"]
            kinds = []
            while len(kinds) < 2:
                kinds += [frame.icmp.type for frame in capture.read(5.0)]
        assert kinds == [8, 0]
        answer = a.wire.ask(_udp(b.address), 5.0)
        assert answer.icmp.is_error
        with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            assert sock.fileno() > 0


def test_a_link_captures_both_directions_and_knows_the_fate_of_each_frame():
    try:
        made = lab.hosts("a", "b", lose=[2], ipv6=False)
    except (WallsocketError, OSError) as error:
        pytest.skip(f"no lab here: {error}")
    with made as (a, b):
        (link,) = made.links
        link.record()
        with link.capture(filter="udp port 9000 or udp port 9001") as near, b.capture(filter="udp port 9000") as far:
            receiver = b.udp.bind(":9000")
            with a.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("", 9001))
                for number in (1, 2, 3):
                    sender.sendto(bytes([number]), (b.address, 9000))
                for _ in range(2):
                    datagram = receiver.receive(timeout_s=10)
                receiver.reply(datagram, b"answer")
                sender.settimeout(10)
                sender.recv(100)
            receiver.close()
            seen, arrived = [], []
            while len(seen) < 4:
                seen += [(frame.payload, frame.inbound) for frame in near.read(10.0)]
            while len(arrived) < 3:
                arrived += [frame.payload for frame in far.read(10.0)]
        assert seen == [(b"\1", False), (b"\2", False), (b"\3", False), (b"answer", True)]
        assert arrived == [b"\1", b"\3", b"answer"]
        fates = [fate.fate for fate in link.fates() if fate.toward == "b" and "udp" in fate.flow.lower()]
        assert fates == ["passed", "lost", "passed"]


def _udp(address: str):
    from wallsocket.wire import UDP, IPv4

    return IPv4(destination=address) / UDP(5000, 9)
