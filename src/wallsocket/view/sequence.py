"""The time-sequence graph: bytes against time, with what was sent again, acknowledgements and the window at one glance."""

from __future__ import annotations

from typing import Final

import msgspec

from ..kernel.tcp_info import TcpInfo
from ..trace.conversations import Conversation
from ..trace.labels import conversation_title
from ..trace.text import escape
from ..trace.wire import FIN, RST, SYN
from ..wire.frame import decode
from .ladder import rail
from .segments import Flow
from .snapshot import Snapshot, key_of

__all__ = ["Direction", "Piece", "Sequence", "SequenceAsked", "Sum", "WindowAsked", "sequence", "window_of"]

#: Pixels that a graph may have.
_WIDEST: Final = 4000


class WindowAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A window of time of a conversation.

    Attributes:
        conversation: its key, or the id of a socket of it.
        since_ns, until_ns: the window; 0 for until: to the end.
        width: pixels to fill: no more items come than these.
    """

    conversation: str
    since_ns: int = 0
    until_ns: int = 0
    width: int = 1000


class SequenceAsked(WindowAsked, frozen=True, kw_only=True):
    """A window of the graph; ``side`` is who sends: ``left`` or ``right``."""

    side: str = "left"


class Piece(msgspec.Struct, array_like=True):
    """Segments that stand at one place; as a list in JSON.

    Attributes:
        first_ns, last_ns: when. begin, end: stream offsets. segments: how many. again: how many of them travelled again.
        mark: letters for what is among them: ``S`` a SYN, ``F`` a FIN, ``R`` a reset. packet: packet.id of the first.
    """

    first_ns: int
    last_ns: int
    begin: int
    end: int
    segments: int
    again: int
    mark: str
    packet: int


class Edge(msgspec.Struct, array_like=True):
    """What the receiver said at a time; as a list in JSON.

    Attributes:
        at_ns: when. acknowledged: offset up to which it has the bytes. window: offset up to which it takes more; ``None``
            where the scale of the window is unknown. packet: packet.id.
    """

    at_ns: int
    acknowledged: int
    window: int | None
    packet: int


class Sum(msgspec.Struct):
    """The whole direction in numbers.

    Attributes:
        segments: how many. bytes: of the stream. again: segments that travelled again.
        stalls: how often the receiver said that it has no room (window 0).
    """

    segments: int
    bytes: int
    again: int
    stalls: int


class Direction(msgspec.Struct):
    """One direction of a stream; ``who`` sends, in words; ``pieces`` and ``edges`` in order of time; ``sum`` is of all."""

    who: str
    pieces: list[Piece]
    edges: list[Edge]
    sum: Sum


class Sequence(msgspec.Struct):
    """The graph.

    Attributes:
        key, title: as of the ladder. since_ns, until_ns: the window that is given. start_ns, end_ns: all there is.
        highest: highest offset of all. missing: why there is nothing to show; empty where there is.
        direction: what ``side`` sends; ``None`` where there is nothing.
        senders: names of both directions, left and right; empty where there is none.
        scaled: the window's scale is known.
    """

    key: str
    title: str
    since_ns: int
    until_ns: int
    start_ns: int
    end_ns: int
    highest: int
    missing: str
    direction: Direction | None
    senders: list[str]
    scaled: bool


def sequence(snapshot: Snapshot, asked: SequenceAsked) -> Sequence:
    """A window of the graph of one direction."""
    conversation = snapshot.conversation(asked.conversation)
    left, right = _flows(snapshot, conversation)
    flow, answers = (right, left) if asked.side == "right" else (left, right)
    key, title = key_of(conversation), conversation_title(snapshot.timeline, conversation)
    senders = _senders(snapshot, conversation)
    whole = flow.levels.furthest if flow is not None else []
    heard = answers.levels.furthest if answers is not None else []
    if not whole and not heard:
        return Sequence(key, title, 0, 0, 0, 0, 0, _missing(snapshot, conversation), None, senders, scaled=False)
    start_ns = min(bundles[0].first_ns for bundles in (whole, heard) if bundles)
    end_ns = max(bundles[-1].last_ns for bundles in (whole, heard) if bundles)
    since_ns, until_ns, width = window_of(asked, start_ns, end_ns)
    scale = _scale(snapshot, flow, answers, conversation, "left" if asked.side == "right" else "right")
    pieces = [
        Piece(
            bundle.first_ns, bundle.last_ns, bundle.begin, bundle.end, bundle.segments, bundle.again,
            _mark(bundle.flags), bundle.packet,
        )
        for bundle in (flow.levels.between(since_ns, until_ns, width) if flow is not None else ())
        if bundle.end > bundle.begin or bundle.flags & (SYN | FIN | RST)
    ]  # fmt: skip
    edges = [
        Edge(
            bundle.last_ns,
            bundle.acknowledged,
            # The window of a SYN is never scaled (RFC 7323, 2.2).
            bundle.acknowledged + (bundle.window << (0 if bundle.flags & SYN else scale))
            if scale is not None
            else None,
            bundle.packet,
        )
        for bundle in (answers.levels.between(since_ns, until_ns, width) if answers is not None else ())
        if not bundle.flags & RST
    ]
    total = Sum(
        sum(bundle.segments for bundle in whole),
        max((bundle.end for bundle in whole), default=0),
        sum(bundle.again for bundle in whole),
        sum(bundle.stalls for bundle in heard),
    )
    direction = Direction(senders[asked.side == "right"], pieces, edges, total)
    highest = max([total.bytes, *(edge.window or edge.acknowledged for edge in edges)])
    return Sequence(
        key, title, since_ns, until_ns, start_ns, end_ns, highest, "", direction, senders, scaled=scale is not None
    )


def window_of(asked: WindowAsked, start_ns: int, end_ns: int) -> tuple[int, int, int]:
    """The window of time that was asked for, within what there is, and the pixels to fill."""
    until_ns = min(asked.until_ns or end_ns, end_ns)
    since_ns = min(max(asked.since_ns, start_ns), until_ns)
    return since_ns, until_ns, max(1, min(asked.width, _WIDEST))


def _flows(snapshot: Snapshot, conversation: Conversation) -> tuple[Flow | None, Flow | None]:
    """What the left side sent, and what the right side sent."""
    local, remote = snapshot.timeline.joins.ends(conversation.left)
    if local is None or remote is None or conversation.kind != "tcp":
        return None, None
    network = snapshot.timeline.tracks[conversation.left].socket.network
    return snapshot.segments.flow(local, remote, network), snapshot.segments.flow(remote, local, network)


def _missing(snapshot: Snapshot, conversation: Conversation) -> str:
    if conversation.kind != "tcp":
        return "Only a TCP connection has a stream of numbered bytes."
    reason = snapshot.recording.missing.get("wire")
    return f"wire: not recorded ({escape(reason)})" if reason else "None of its segments was recorded."


def _senders(snapshot: Snapshot, conversation: Conversation) -> list[str]:
    ends = [rail(snapshot, conversation, side, "") for side in (0, 1)]
    return [f"{end.title} {end.address}".strip() if end is not None else "" for end in ends]


def _mark(flags: int) -> str:
    return "".join(letter for bit, letter in ((SYN, "S"), (FIN, "F"), (RST, "R")) if flags & bit)


def _scale(
    snapshot: Snapshot, flow: Flow | None, answers: Flow | None, conversation: Conversation, receiver: str
) -> int | None:
    """By how many bits the windows in ``answers`` are to be shifted; ``None`` unknown.

    Both SYNs must have offered it (RFC 7323, 2.2). Of a connection whose beginning was not seen, TCP_INFO may tell.
    """
    if flow is None or answers is None:
        return None
    if flow.scale_packet is not None and answers.scale_packet is not None:
        offered = [_offered(snapshot, packet) for packet in (answers.scale_packet, flow.scale_packet)]
        return offered[0] if None not in offered else 0
    for side in (0, 1):
        socket = conversation.socket_of(side)
        if socket is None:
            continue
        for state in snapshot.recording.states(socket=socket):
            if state.tcp_info:
                info = TcpInfo.parse(state.tcp_info)
                mine = (receiver == "left") == (side == 0)
                return info.receive_window_scale if mine else info.send_window_scale
    return None


def _offered(snapshot: Snapshot, packet: int) -> int | None:
    found = snapshot.recording.packet(packet)
    if found is None:
        return None
    tcp = decode(found.frame, found.link_type & 0xFFFFFFFF, original_length=found.length & 0xFFFFFFFF).tcp
    return tcp.window_scale if tcp is not None else None
