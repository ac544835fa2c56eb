"""IPV6_V6ONLY on a listener of all addresses."""

from __future__ import annotations

import struct

import pytest

from tests.diagnose.story import REFUSED, Story, inet


def refused(*, v6only: int | None, told: bool | None = None, host: str = "127.0.0.1") -> Story:
    import socket

    story = Story()
    server, client = story.process("server"), story.process("client")
    listener = story.socket(server, ("::", 4567), None, family=socket.AF_INET6)
    if v6only is not None:
        story.call("setsockopt", listener, a=41, b=26, value=struct.pack("<i", v6only))
    story.call("bind", listener, address=inet("::", 4567))
    story.call("listen", listener, a=5)
    tried = story.socket(client, None, None)
    call = story.call("connect", tried, REFUSED, address=inet(host, 4567))
    entry = {"protocol": "tcp6", "state": 10, "local": "[::]:4567", "remote": None, "pids": []}
    story.fact(call, "sockets", [{**entry, "only_inet6": told}])
    return story


@pytest.mark.parametrize(("v6only", "told"), [(1, None), (None, True)])
def test_it_keeps_ipv4_out(v6only: int | None, told: bool | None) -> None:
    assert refused(v6only=v6only, told=told).found() == ["only-inet6 certain error"]


def test_without_it_ipv4_would_have_been_taken() -> None:
    diagnosis = refused(v6only=0).diagnosis()
    assert diagnosis.findings == ()
    assert "nobody-listens" in [question.rule for question in diagnosis.cannot_tell]
