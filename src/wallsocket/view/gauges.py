"""Queues, windows and round trips of a conversation's sockets over time, as the kernel reported them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from ..events import State
from ..kernel.tcp_info import TcpInfo
from ..kernel.tcp_state import TcpState
from ..trace.labels import conversation_title, socket_label
from .levels import Levels
from .sequence import WindowAsked, window_of
from .snapshot import Snapshot, key_of

__all__ = ["Chart", "Gauges", "GaugesAsked", "Line", "gauges"]

#: The kernel's word for "not yet".
_UNSET: Final = 0x7FFFFFFF


class GaugesAsked(WindowAsked, frozen=True, kw_only=True):
    """A window of the charts of one socket; ``side`` is which: ``left`` or ``right``."""

    side: str = "left"


class Line(msgspec.Struct):
    """A value over time.

    Attributes:
        name: what it is. colour: which of the page's colours it has.
        points: time, lowest, highest and row of ``state``, of one or of several neighbours, in order of time.
        last: the last value of all. most: the highest of all.
    """

    name: str
    colour: str
    points: list[tuple[int, int, int, int]]
    last: int
    most: int


class Chart(msgspec.Struct):
    """Values that have a unit in common: ``byte``, ``segment``, ``µs``, ``connection`` or ``datagram``."""

    title: str
    unit: str
    lines: list[Line]
    highest: int


class Gauges(msgspec.Struct):
    """The charts of one socket.

    Attributes:
        key, title: as of the ladder. since_ns, until_ns: the window. start_ns, end_ns: all there is.
        missing: why there is nothing to show; empty where there is. sockets: names of both sockets, left and right.
        looks: how often the socket was looked at. charts: those that have values.
    """

    key: str
    title: str
    since_ns: int
    until_ns: int
    start_ns: int
    end_ns: int
    missing: str
    sockets: list[str]
    looks: int
    charts: list[Chart]


class _Point(NamedTuple):
    first_ns: int
    last_ns: int
    low: int
    high: int
    row: int


class _Kind(NamedTuple):
    chart: str
    unit: str
    name: str
    colour: str


_UNREAD: Final = _Kind("Queues", "byte", "unread in the receive queue", "to-left")
_UNSENT: Final = _Kind("Queues", "byte", "not acknowledged in the send queue", "to-right")
_ACCEPT: Final = _Kind("Accept queue", "connection", "waiting to be accepted", "to-left")
_BACKLOG: Final = _Kind("Accept queue", "connection", "backlog", "error")
_DROPS: Final = _Kind("Dropped", "datagram", "dropped by the kernel, in all", "error")
_INFO: Final = (
    (_Kind("Windows", "byte", "room at the peer", "to-right"), "send_window"),
    (_Kind("Windows", "byte", "room that we offer", "to-left"), "receive_window"),
    (_Kind("In flight", "segment", "congestion window", "good"), "congestion_window"),
    (_Kind("In flight", "segment", "sent and not acknowledged", "to-right"), "unacked_segments"),
    (_Kind("In flight", "segment", "sent again, in all", "error"), "total_retransmitted_segments"),
    (_Kind("Round trip", "µs", "smoothed round trip", "to-right"), "rtt_us"),
    (_Kind("Round trip", "µs", "retransmission timeout", "warning"), "rto_us"),
)


def gauges(snapshot: Snapshot, asked: GaugesAsked) -> Gauges:
    """A window of the charts of one socket."""
    conversation = snapshot.conversation(asked.conversation)
    timeline = snapshot.timeline
    names = [
        socket_label(timeline, socket) if socket is not None else ""
        for socket in (conversation.left, conversation.right)
    ]
    key, title = key_of(conversation), conversation_title(timeline, conversation)
    socket = conversation.socket_of(int(asked.side == "right"))
    series, looks = (
        snapshot.remember(("gauges", socket), lambda: _series(list(snapshot.recording.states(socket=socket))))
        if socket is not None
        else ({}, 0)
    )
    if not series:
        reason = snapshot.recording.meta.get("kernel", "yes")
        missing = f"kernel: not recorded ({reason})" if reason != "yes" else "Nobody looked at this socket."
        return Gauges(key, title, 0, 0, 0, 0, missing, names, looks, [])
    start_ns = min(levels.furthest[0].first_ns for levels in series.values())
    end_ns = max(levels.furthest[-1].last_ns for levels in series.values())
    since_ns, until_ns, width = window_of(asked, start_ns, end_ns)
    charts: dict[str, Chart] = {}
    for kind, levels in series.items():
        most = max(point.high for point in levels.furthest)
        points = [(one.first_ns, one.low, one.high, one.row) for one in levels.between(since_ns, until_ns, width)]
        chart = charts.setdefault(kind.chart, Chart(kind.chart, kind.unit, [], 0))
        chart.lines.append(Line(kind.name, kind.colour, points, levels.nearest[-1].high, most))
        chart.highest = max(chart.highest, most)
    return Gauges(key, title, since_ns, until_ns, start_ns, end_ns, "", names, looks, list(charts.values()))


def _series(states: list[State]) -> tuple[dict[_Kind, Levels[_Point]], int]:
    values: dict[_Kind, list[_Point]] = {}

    def note(kind: _Kind, state: State, value: int | None) -> None:
        if value is not None and value != _UNSET:
            values.setdefault(kind, []).append(_Point(state.at_ns, state.at_ns, value, value, state.id))

    for state in sorted(states, key=lambda state: state.at_ns):
        if state.state == TcpState.LISTEN:
            note(_ACCEPT, state, state.receive_queue)
            note(_BACKLOG, state, state.send_queue)
            continue
        note(_UNREAD, state, state.receive_queue)
        note(_UNSENT, state, state.send_queue)
        if state.drops:
            note(_DROPS, state, state.drops)
        if state.tcp_info:
            info = TcpInfo.parse(state.tcp_info)
            for kind, field in _INFO:
                note(kind, state, getattr(info, field))
    # What never was anything is not worth a chart.
    telling = {kind: points for kind, points in values.items() if any(point.high for point in points)}
    return {kind: Levels(points, _joined) for kind, points in telling.items()}, len(states)


def _joined(points: Sequence[_Point]) -> _Point:
    low, high = min(points, key=lambda point: point.low), max(points, key=lambda point: point.high)
    return _Point(points[0].first_ns, points[-1].last_ns, low.low, high.high, high.row)
