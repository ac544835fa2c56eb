"""A packet made by hand that says nothing of what it carries, and packets that carry nothing, or say it."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.diagnose.story import Story

UDP = struct.pack("!HHHH", 1234, 5678, 8 + 5, 0) + b"hello"
TCP = struct.pack("!HHIIBBHHH", 1234, 80, 1000, 0, 0x50, 0x02, 1024, 0, 0)
ETHERNET = bytes(12) + b"\x08\x00"
TAGGED = bytes(12) + b"\x81\x00\x00\x07\x08\x00"


def ip(carried: bytes, protocol: int = 0, fragment: int = 0, version: int = 4) -> bytes:
    """An IPv4 packet."""
    head = (version << 4 | 5, 0, 20 + len(carried), 1, fragment, 64, protocol, 0, bytes(4), bytes(4))
    return struct.pack("!BBHHHBBH4s4s", *head) + carried


def sends(story: Story, data: bytes, family: int, kind: int, protocol: int = 0) -> None:
    """A program sends bytes through a socket of its kind; as much is kept of them as a recorder keeps."""
    sender = story.socket(story.process("crafter"), None, None, family=family, type=kind, protocol=protocol)
    story.call("socket", sender, 9, a=family, b=kind, c=protocol, made=sender)
    story.call("sendto", sender, len(data), payload=data[:64], length=len(data))


@pytest.mark.parametrize(
    ("data", "socket_is", "found"),
    [
        (ETHERNET + ip(UDP), (socket.AF_PACKET, socket.SOCK_RAW), True),
        (TAGGED + ip(UDP), (socket.AF_PACKET, socket.SOCK_RAW), True),
        (ETHERNET + ip(TCP), (socket.AF_PACKET, socket.SOCK_RAW), True),
        (ip(UDP), (socket.AF_PACKET, socket.SOCK_DGRAM), True),
        (ip(UDP), (socket.AF_INET, socket.SOCK_RAW, 255), True),
        # It says what it carries.
        (ETHERNET + ip(UDP, 17), (socket.AF_PACKET, socket.SOCK_RAW), False),
        # Who tries all protocols sends one that carries nothing, or no header of a transport.
        (ETHERNET + ip(b""), (socket.AF_PACKET, socket.SOCK_RAW), False),
        (ETHERNET + ip(bytes(30)), (socket.AF_PACKET, socket.SOCK_RAW), False),
        # A later fragment does not begin with a header, whatever its bytes look like.
        (ETHERNET + ip(UDP, fragment=185), (socket.AF_PACKET, socket.SOCK_RAW), False),
        # No IPv4: another type of frame, another version, or what the kernel puts behind a header of its own.
        (bytes(12) + b"\x88\xb5" + ip(UDP), (socket.AF_PACKET, socket.SOCK_RAW), False),
        (ip(UDP, version=6), (socket.AF_PACKET, socket.SOCK_DGRAM), False),
        (ip(UDP), (socket.AF_INET, socket.SOCK_RAW, 253), False),
        (ETHERNET + ip(UDP)[:9], (socket.AF_PACKET, socket.SOCK_RAW), False),
    ],
)
def test_only_a_transport_that_is_not_named(data: bytes, socket_is: tuple[int, ...], found: bool) -> None:
    story = Story()
    sends(story, data, *socket_is)
    assert story.found() == (["crafted-without-protocol strong error"] if found else [])
