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


def _udp(address: str):
    from wallsocket.wire import UDP, IPv4

    return IPv4(destination=address) / UDP(5000, 9)
