"""The state graph of a conversation's sockets: the path that each took, and how long it stayed in each state."""

from __future__ import annotations

from functools import cache

import msgspec

from ..endpoints.drawing import Shapes, shapes
from ..endpoints.states import TCP_KERNEL
from ..kernel import names as naming
from ..trace.conversations import Conversation
from ..trace.labels import conversation_title, process_title
from ..trace.tracks import Track
from ..trace.verdict import verdict
from ..trace.views import state_cause
from .snapshot import Snapshot, key_of

__all__ = ["Edge", "Node", "SocketStates", "States", "StatesAsked", "Step", "states"]


class StatesAsked(msgspec.Struct, frozen=True):
    """Of which conversation: its key, or the id of a socket of it."""

    conversation: str


class Step(msgspec.Struct):
    """A socket entered a state.

    Attributes:
        state: its name. inferred: nobody reported it.
        at_ns: when. for_ns: how long it stayed.
        how: how that is known, in words. call, packet: the row that it follows from; ``None`` for none.
    """

    state: str
    inferred: bool
    at_ns: int
    for_ns: int
    how: str
    call: int | None
    packet: int | None


class Node(msgspec.Struct):
    """A state of the graph.

    Attributes:
        state: its name. meaning: one sentence.
        x, y, width, height: of its box.
        visits: how often it was entered. for_ns: how long the socket was in it, in all.
    """

    state: str
    meaning: str
    x: float
    y: float
    width: float
    height: float
    visits: int
    for_ns: int


class Edge(msgspec.Struct):
    """A way between two states.

    Attributes:
        source, target: names of states; empty is no socket.
        path: how it is drawn (``d`` of an SVG path); empty: the graph has no such way, it was taken unseen.
        causes: the calls and events that lead along it.
        taken: positions of the steps that came along it, counted from 1.
    """

    source: str
    target: str
    path: str
    causes: list[str]
    taken: list[int]


class SocketStates(msgspec.Struct):
    """The states of one socket.

    Attributes:
        socket: its id. who: its program, in words. verdict: how it went.
        missing: why there is nothing to show; empty where there is.
        steps: the path. nodes, edges: the graph. width, height: of the drawing.
    """

    socket: int
    who: str
    verdict: str
    missing: str
    steps: list[Step]
    nodes: list[Node]
    edges: list[Edge]
    width: float
    height: float


class States(msgspec.Struct):
    """The states of a conversation's sockets; ``key`` and ``title`` as of its ladder."""

    key: str
    title: str
    sockets: list[SocketStates]


def states(snapshot: Snapshot, asked: StatesAsked) -> States:
    """The states of a conversation's sockets."""
    conversation = snapshot.conversation(asked.conversation)
    return States(
        key_of(conversation),
        conversation_title(snapshot.timeline, conversation),
        [_socket(snapshot, socket) for socket in _sockets(conversation)],
    )


def _sockets(conversation: Conversation) -> list[int]:
    return [socket for socket in (conversation.left, conversation.right) if socket is not None]


@cache
def _drawing() -> Shapes:
    return shapes(TCP_KERNEL)


def _socket(snapshot: Snapshot, socket: int) -> SocketStates:
    timeline = snapshot.timeline
    track = timeline.tracks[socket]
    who, how_it_went = (
        process_title(timeline.processes.get(track.socket.process), timeline.recording.networks),
        verdict(timeline, track),
    )
    if not track.path:
        missing = (
            "It is no TCP socket: it has no states." if not track.tcp else "Its states are unknown: nobody looked."
        )
        return SocketStates(socket, who, how_it_went, missing, [], [], [], 0, 0)
    steps = _steps(snapshot, track)
    drawing = _drawing()
    nodes = []
    for name, state in TCP_KERNEL.states.items():
        own = [step for step in steps if step.state == name]
        nodes.append(Node(name, state.meaning, *drawing.boxes[name], len(own), sum(step.for_ns for step in own)))
    return SocketStates(socket, who, how_it_went, "", steps, nodes, _edges(steps), drawing.width, drawing.height)


def _steps(snapshot: Snapshot, track: Track) -> list[Step]:
    timeline = snapshot.timeline
    end_ns = track.socket.ended_ns if track.socket.ended_ns is not None else snapshot.recording.ended_ns
    steps = []
    for index, transition in enumerate(track.path):
        following_ns = track.path[index + 1].at_ns if index + 1 < len(track.path) else max(end_ns, transition.at_ns)
        inferred = track.is_inferred(index)
        steps.append(
            Step(
                naming.tcp_state(transition.state),
                inferred,
                transition.at_ns,
                max(0, following_ns - transition.at_ns),
                state_cause(timeline, transition.how, transition.call, inferred=inferred),
                transition.call,
                transition.packet,
            )
        )
    return steps


def _edges(steps: list[Step]) -> list[Edge]:
    drawing = _drawing()
    edges = {way: Edge(*way, path, [], []) for way, path in drawing.paths.items()}
    for transition in TCP_KERNEL.transitions:
        edges[transition.source, transition.target].causes.append(transition.cause)
    before = ""
    for number, step in enumerate(steps, 1):
        way = (before, step.state)
        if before or way in edges:
            edge = edges.get(way)
            if edge is None:
                edge = edges[way] = Edge(*way, "", [], [])
            edge.taken.append(number)
        before = step.state
    return list(edges.values())
