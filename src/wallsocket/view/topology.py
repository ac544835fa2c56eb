"""The programs and hosts of a recording as a map: who talks with whom, how much, and where something is wrong."""

from __future__ import annotations

from typing import Final

import msgspec

from ..kernel import names as naming
from ..kernel.address import End, end_of
from ..trace.conversations import Conversation
from ..trace.labels import process_title
from ..trace.text import escape
from .snapshot import Snapshot, key_of

__all__ = ["Link", "Place", "Topology", "TopologyAsked", "topology"]

#: More would be no map.
_MOST_PLACES: Final = 120
_MOST_LINKS: Final = 300
#: The drawing's measures, in the units of its viewBox.
_COLUMN: Final = 370
_WIDTH: Final = 232
_HEIGHT: Final = 62
_ROW: Final = 122
_MARGIN: Final = 20
_HEAD: Final = 20


class TopologyAsked(msgspec.Struct, frozen=True):
    """The whole map: there is nothing to choose."""


class Place(msgspec.Struct):
    """A program, or a host of which no program was traced.

    Attributes:
        id: ``process 3``, or the host's address.
        title: in words. traced: whether it is a program of the recording.
        host: its network namespace, where there are several; empty otherwise.
        listens: where it waits for others, in words.
        findings: numbers of the findings about it. x, y, width, height: of its box.
    """

    id: str
    title: str
    traced: bool
    host: str
    listens: list[str]
    findings: list[int]
    x: float = 0
    y: float = 0
    width: float = _WIDTH
    height: float = _HEIGHT


class Link(msgspec.Struct):
    """Conversations between two places, from who began them.

    Attributes:
        source, target: ids of places, the same for a program that talks with itself.
        kinds: ``tcp``, ``udp``, ``unix``. conversations: how many. failed: of them those of which a socket failed.
        to_target, to_source: bytes that programs gave away or got, each way.
        findings: numbers of the findings about their sockets.
        key: of the one to look at first: with a finding, else the one in which most happened.
    """

    source: str
    target: str
    kinds: list[str]
    conversations: int
    failed: int
    to_target: int
    to_source: int
    findings: list[int]
    key: str


class Topology(msgspec.Struct):
    """The map; ``more``: places and links that are not in it."""

    places: list[Place]
    links: list[Link]
    width: float
    height: float
    more: int


def topology(snapshot: Snapshot, asked: TopologyAsked) -> Topology:
    """The map of a recording."""
    del asked
    return snapshot.remember("topology", lambda: _topology(snapshot))


def _topology(snapshot: Snapshot) -> Topology:
    timeline = snapshot.timeline
    about: dict[int, list[int]] = {}
    for number, finding in enumerate(snapshot.findings, 1):
        if finding.socket is not None:
            about.setdefault(finding.socket.id, []).append(number)
    places: dict[str, Place] = {}
    links: dict[tuple[str, str], Link] = {}
    weight: dict[tuple[str, str], tuple[bool, int]] = {}
    for conversation in timeline.conversations:
        own = _process(snapshot, places, conversation.left)
        numbers = sorted({number for socket in _sockets(conversation) for number in about.get(socket, ())})
        own.findings = sorted({*own.findings, *about.get(conversation.left, ())})
        if conversation.kind == "listener":
            local = timeline.tracks[conversation.left].socket.local
            if local:
                own.listens.append(escape(naming.address(local)))
            continue
        other = _other(snapshot, places, conversation)
        if other is None:
            continue
        if conversation.right is not None:
            other.findings = sorted({*other.findings, *about.get(conversation.right, ())})
        track = timeline.tracks[conversation.left]
        # Who accepted did not begin.
        begun = track.socket.origin != "accept"
        way = (own.id, other.id) if begun else (other.id, own.id)
        link = links.get(way)
        if link is None:
            link = links[way] = Link(*way, [], 0, 0, 0, 0, [], "")
        link.conversations += 1
        if conversation.kind not in link.kinds:
            link.kinds.append(conversation.kind)
        link.failed += any(timeline.tracks[socket].failed is not None for socket in _sockets(conversation))
        link.to_target += track.sent if begun else track.received
        link.to_source += track.received if begun else track.sent
        link.findings = sorted({*link.findings, *numbers})
        heavy = (bool(numbers), len(conversation.rows))
        if heavy > weight.get(way, (False, -1)):
            weight[way], link.key = heavy, key_of(conversation)
    kept = sorted(links.values(), key=lambda link: (not link.findings, -link.conversations))[:_MOST_LINKS]
    named = {end for link in kept for end in (link.source, link.target)}
    shown = [place for place in places.values() if place.id in named or place.listens or place.findings]
    shown = sorted(shown, key=lambda place: not place.findings)[:_MOST_PLACES]
    there = {place.id for place in shown}
    kept = [link for link in kept if link.source in there and link.target in there]
    width, height = _place(shown, kept)
    return Topology(shown, kept, width, height, len(places) - len(shown) + len(links) - len(kept))


def _sockets(conversation: Conversation) -> list[int]:
    return [socket for socket in (conversation.left, conversation.right) if socket is not None]


def _process(snapshot: Snapshot, places: dict[str, Place], socket: int) -> Place:
    timeline = snapshot.timeline
    number = timeline.tracks[socket].socket.process
    name = f"process {number}"
    place = places.get(name)
    if place is None:
        process = timeline.processes.get(number)
        network = snapshot.recording.networks.get(process.network) if process and process.network else None
        host = ""
        if network is not None and len(snapshot.recording.networks) > 1:
            host = escape(network.name or f"network {network.id}")
        place = places[name] = Place(name, process_title(process, {}), True, host, [], [])
    return place


def _other(snapshot: Snapshot, places: dict[str, Place], conversation: Conversation) -> Place | None:
    """The program at the other end, or the host; ``None`` where nothing is known of it."""
    timeline = snapshot.timeline
    if conversation.right is not None:
        return _process(snapshot, places, conversation.right)
    remote = timeline.tracks[conversation.left].socket.remote
    if remote is None and (tried := timeline.target_of(conversation.left)) is not None:
        remote = tried.address
    if not remote:
        return None
    end = end_of(remote)
    if end is not None and end.any and not end.port:
        return None
    name = _host(remote, end)
    if name not in places:
        places[name] = Place(name, name, False, "", [], [])
    return places[name]


def _host(remote: bytes, end: End | None) -> str:
    text = escape(naming.address(remote))
    # One host for all its ports; a Unix socket is a name of its own.
    return text.rpartition(":")[0] if end is not None and ":" in text else text


def _place(places: list[Place], links: list[Link]) -> tuple[float, float]:
    """Give each place its box: who only begins to the left, who is only asked to the right, hosts outside furthest right."""
    begins = {link.source for link in links if link.source != link.target}
    asked = {link.target for link in links if link.source != link.target}
    columns: list[list[Place]] = [[], [], []]
    for place in places:
        middle = place.id in begins and place.id in asked
        columns[1 if middle else 0 if place.id in begins or place.id not in asked else 2].append(place)
    columns = [column for column in columns if column]
    for number, column in enumerate(columns):
        # Untraced hosts stand below programs; those of one network together.
        column.sort(key=lambda place: (not place.traced, place.host, not place.findings))
        for row, place in enumerate(column):
            place.x, place.y = _MARGIN + number * _COLUMN, _HEAD + row * _ROW
    height = _HEAD + max((len(column) for column in columns), default=1) * _ROW
    return _MARGIN * 2 + _WIDTH + max(0, len(columns) - 1) * _COLUMN, height
