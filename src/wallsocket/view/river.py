"""The byte river: how long the bytes of a stream stood in send buffer, flight, receive buffer and program."""

from __future__ import annotations

from typing import Final

import msgspec

from ..trace.conversations import Conversation
from ..trace.joins import Way
from ..trace.labels import conversation_title
from .ladder import rail
from .sequence import WindowAsked, window_of
from .snapshot import Snapshot, key_of

__all__ = ["STAGES", "River", "RiverAsked", "Stage", "Stretch", "river"]

#: Where bytes stand one after the other; the last is told only where the wire was not recorded.
STAGES: Final = ("send buffer", "flight", "receive buffer", "program", "on the way")


class RiverAsked(WindowAsked, frozen=True, kw_only=True):
    """A window of the river; ``side`` is who sends: ``left`` or ``right``."""

    side: str = "left"


class Stretch(msgspec.Struct, array_like=True):
    """Bytes that went the same way; as a list in JSON. A time is ``None`` where it did not come, or is unknown.

    Attributes:
        begin, end: of the stream; of datagrams, of all that were sent before and this one.
        sent_ns: entry of the call that gave them away. travelled_ns: their first segment. arrived_ns: an acknowledgement
            or a receive shows that they were there. received_ns: the receiving call returned. answered_ns: the thread that
            received them next sent anything.
        again: how often they travelled again. doubt: why another way is possible; empty: nothing else fits.
        sent, packet, received: rows of the recording. ways: how many this one, the slowest, stands for.
    """

    begin: int
    end: int
    sent_ns: int | None
    travelled_ns: int | None
    arrived_ns: int | None
    received_ns: int | None
    answered_ns: int | None
    again: int
    doubt: str
    sent: int | None
    packet: int | None
    received: int | None
    ways: int = 1

    @property
    def first_ns(self) -> int:
        """The first time that is known."""
        return min(self.times, default=0)

    @property
    def last_ns(self) -> int:
        """The last time that is known."""
        return max(self.times, default=0)

    @property
    def times(self) -> list[int]:
        """All times that are known."""
        found = (self.sent_ns, self.travelled_ns, self.arrived_ns, self.received_ns, self.answered_ns)
        return [time for time in found if time is not None]

    @property
    def stages_ns(self) -> tuple[int | None, ...]:
        """How long in each of :data:`STAGES`."""
        return (
            _between(self.sent_ns, self.travelled_ns),
            _between(self.travelled_ns, self.arrived_ns),
            _between(self.arrived_ns if self.travelled_ns is not None else None, self.received_ns),
            _between(self.received_ns, self.answered_ns),
            _between(self.sent_ns, self.received_ns) if self.travelled_ns is None else None,
        )


class Stage(msgspec.Struct):
    """One place where bytes stand.

    Attributes:
        name: one of :data:`STAGES`.
        mean_ns: how long a byte stood there, on average. longest_ns: the longest. bytes: of so many it is known.
        row: of the longest, the row to look at: ``call:17`` or ``packet:4``; empty where there is none.
    """

    name: str
    mean_ns: int
    longest_ns: int
    bytes: int
    row: str


class River(msgspec.Struct):
    """The river of one direction.

    Attributes:
        key, title: as of the ladder. since_ns, until_ns: the window. start_ns, end_ns: all there is.
        highest: offset after the last byte. missing: why there is nothing to show; empty where there is.
        senders: names of both directions, left and right; empty where there is none.
        stretches: what stands in the window, in the order of the stream. stages: the whole direction in numbers.
        lost: bytes that were sent and of which no receive is known.
    """

    key: str
    title: str
    since_ns: int
    until_ns: int
    start_ns: int
    end_ns: int
    highest: int
    missing: str
    senders: list[str]
    stretches: list[Stretch]
    stages: list[Stage]
    lost: int


def river(snapshot: Snapshot, asked: RiverAsked) -> River:
    """A window of the river of one direction."""
    conversation = snapshot.conversation(asked.conversation)
    side = int(asked.side == "right")
    whole = snapshot.remember(("river", conversation.number, side), lambda: _stretches(snapshot, conversation, side))
    ends = [rail(snapshot, conversation, number, "") for number in (0, 1)]
    senders = [f"{end.title} {end.address}".strip() if end is not None else "" for end in ends]
    key, title = key_of(conversation), conversation_title(snapshot.timeline, conversation)
    if not whole:
        missing = "No bytes went this way, as far as was recorded."
        return River(key, title, 0, 0, 0, 0, 0, missing, senders, [], [], 0)
    start_ns, end_ns = min(one.first_ns for one in whole), max(one.last_ns for one in whole)
    since_ns, until_ns, width = window_of(asked, start_ns, end_ns)
    shown = [one for one in whole if one.last_ns >= since_ns and one.first_ns <= until_ns]
    if len(shown) > width:
        step = -(-len(shown) // width)
        shown = [_slowest(shown[at : at + step]) for at in range(0, len(shown), step)]
    return River(
        key,
        title,
        since_ns,
        until_ns,
        start_ns,
        end_ns,
        max(one.end for one in whole),
        "",
        senders,
        shown,
        _stages(whole),
        sum(one.end - one.begin for one in whole if one.received is None),
    )


def _stretches(snapshot: Snapshot, conversation: Conversation, side: int) -> list[Stretch]:
    joins = snapshot.joins_of(conversation)
    source, destination = conversation.socket_of(side), conversation.socket_of(1 - side)
    if source is not None:
        ways = [
            way
            for way in joins.ways(source)
            if destination is None or way.received is None or way.received.socket == destination
        ]
    elif destination is not None:
        ways = [way for way in joins.ways_to(destination) if way.sent is None]
    else:
        ways = []
    datagrams = conversation.kind == "udp"
    offset = 0
    found = []
    for way in ways:
        if way.end <= way.begin:
            continue
        begin = offset if datagrams else way.begin
        offset = begin + way.end - way.begin
        found.append(_stretch(way, begin))
    return found


def _stretch(way: Way, begin: int) -> Stretch:
    travelled_ns = way.carried[0].at_ns if way.carried else None
    flight_ns, program_ns = way.in_flight_ns, way.in_program_ns
    received_ns = way.received.exit_ns if way.received is not None else None
    return Stretch(
        begin,
        begin + way.end - way.begin,
        way.sent.entry_ns if way.sent is not None else None,
        travelled_ns,
        travelled_ns + flight_ns if travelled_ns is not None and flight_ns is not None else None,
        received_ns,
        received_ns + program_ns if received_ns is not None and program_ns is not None else None,
        max(0, sum(piece.again for piece in way.carried)),
        way.doubt,
        way.sent.call if way.sent is not None else None,
        way.carried[0].packet if way.carried else None,
        way.received.call if way.received is not None else None,
    )


def _between(one_ns: int | None, other_ns: int | None) -> int | None:
    return None if one_ns is None or other_ns is None else max(0, other_ns - one_ns)


def _slowest(stretches: list[Stretch]) -> Stretch:
    """The one that took longest, in place of all its neighbours."""
    slowest = max(stretches, key=lambda one: one.last_ns - one.first_ns)
    return msgspec.structs.replace(
        slowest,
        begin=min(one.begin for one in stretches),
        end=max(one.end for one in stretches),
        again=sum(one.again for one in stretches),
        ways=sum(one.ways for one in stretches),
    )


def _stages(stretches: list[Stretch]) -> list[Stage]:
    stages = []
    for number, name in enumerate(STAGES):
        known = [(time_ns, one) for one in stretches if (time_ns := one.stages_ns[number]) is not None]
        if not known:
            continue
        total = sum(one.end - one.begin for _, one in known)
        longest_ns, slowest = max(known, key=lambda entry: entry[0])
        mean_ns = sum(time_ns * (one.end - one.begin) for time_ns, one in known) // max(1, total)
        table, row = ("call", slowest.received) if name in ("receive buffer", "program") else ("call", slowest.sent)
        if row is None:
            table, row = "packet", slowest.packet
        stages.append(Stage(name, mean_ns, longest_ns, total, f"{table}:{row}" if row is not None else ""))
    return stages
