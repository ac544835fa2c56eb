"""SO_RCVBUF: told when a window was read in each round trip, and no more."""

from __future__ import annotations

import struct

import pytest

from tests.diagnose.story import MS, Story, pair
from wallsocket.kernel.tcp_info import TcpInfo

RTT_MS, WINDOW = 30, 16_000


def info(window: int, rtt_ms: float) -> bytes:
    """TCP_INFO with the fields that matter."""
    raw = bytearray(256)
    raw[0] = 1
    for offset, value in ((148, int(rtt_ms * 1000)), (232, window)):
        struct.pack_into("<I", raw, offset, value)
    assert TcpInfo.parse(bytes(raw)).receive_window == window
    assert TcpInfo.parse(bytes(raw)).min_rtt_us == int(rtt_ms * 1000)
    return bytes(raw)


def download(each: int, *, rounds: int = 40, rtt_ms: float = RTT_MS, option: bool = True) -> list[str]:
    """A client reads this much in each round trip."""
    story = Story()
    _, client = pair(story)
    if option:
        story.call("setsockopt", client, a=1, b=8, value=struct.pack("<i", 8_192))
    for _ in range(rounds):
        story.now += int(rtt_ms * MS)
        story.call("recvfrom", client, each, length=65_536)
    story.state(client, tcp_info=info(WINDOW, rtt_ms))
    story.call("close", client)
    return story.found()


def test_a_window_in_each_round_trip() -> None:
    assert "window-fixed strong warning" in download(WINDOW)


@pytest.mark.parametrize(
    ("each", "more"),
    [
        (WINDOW, {"option": False}),  # the kernel chose the window
        (WINDOW // 4, {}),  # something else limits it
        (WINDOW, {"rounds": 9}),  # it has only begun
        (WINDOW, {"rtt_ms": 1, "rounds": 800}),  # a short path
    ],
)
def test_other_limits(each: int, more: dict[str, bool]) -> None:
    assert "window-fixed" not in str(download(each, **more))
