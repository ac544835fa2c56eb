"""Two runs of the same thing: their sockets put side by side by what they are for, and where each layer first parts.

As data, for text, JSON and pages. Sockets are aligned by role: the program, what kind of socket it is, and the line that
made it, then by weaker signs. Steps are compared by what they are, never by time, and not by how bytes were cut: what was
received in two calls and in five is the same as long as nothing else came between.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from ..events import Call, Known
from ..kernel import names as naming
from ..kernel.address import end_of
from ..kernel.tcp_state import TcpState
from .calls import CallText
from .conversations import Conversation
from .labels import conversation_title, process_label, process_title
from .recording import Recording
from .syscalls import Role, moved
from .timeline import Timeline
from .wire import FIN, ICMP, RST, SYN, segment

__all__ = ["LAYERS", "Comparison", "Divergence", "Layer", "Pair", "Step", "compare"]

Layer: TypeAlias = Literal["calls", "kernel", "wire"]
LAYERS: Final[tuple[Layer, ...]] = ("calls", "kernel", "wire")
Basis: TypeAlias = Literal["line", "function", "program", "order", "kind", "none"]

#: Steps of one socket that are compared: where two runs part is near the beginning, or nobody would look for it here.
_MOST_STEPS: Final = 20_000
_EAGAIN, _EINTR, _EINPROGRESS = 11, 4, 115
_QUESTIONS: Final = frozenset({"getsockname", "getpeername", "epoll_ctl", "fcntl", "ioctl", "getsockopt", "dup"})
#: States that a sample may or may not meet on the way, as one; those that it nearly never meets are left out.
_STAGES: Final[Mapping[TcpState, str]] = {
    TcpState.CLOSE: "closed",
    TcpState.LISTEN: "listening",
    TcpState.ESTABLISHED: "established",
    TcpState.CLOSE_WAIT: "the peer has ended",
    TcpState.FIN_WAIT1: "ending",
    TcpState.FIN_WAIT2: "ending",
    TcpState.CLOSING: "ending",
    TcpState.TIME_WAIT: "ending",
    TcpState.LAST_ACK: "ending",
}


class Step(msgspec.Struct, frozen=True):
    """One thing that happened to a socket.

    Attributes:
        what: what it is compared by.
        text: in words.
        at_ns: when, since the beginning of its recording.
        call: id of the call, or ``None``; likewise ``packet``.
        file: of the line of code. line: where it is known.
        times: how often it happened in a row.
    """

    what: str
    text: str
    at_ns: int
    call: int | None = None
    packet: int | None = None
    file: str | None = None
    line: int | None = None
    times: int = 1


class Divergence(msgspec.Struct, frozen=True):
    """Where a layer of two sockets parts.

    Attributes:
        layer: ``calls``, ``kernel`` or ``wire``.
        pair: number of the pair of sockets.
        common: how many steps are the same before.
        before: the last of those, in the bad run; ``None``: they part at once.
        good: what came next in the good run; ``None``: nothing.
        bad: what came next in the bad run; ``None``: nothing.
    """

    layer: Layer
    pair: int
    common: int
    before: Step | None
    good: Step | None
    bad: Step | None


class Pair(msgspec.Struct, frozen=True):
    """Two sockets with the same role, or one that the other run lacks.

    Attributes:
        number: from 1, in the order of the bad run, then what only the good one has.
        good: socket id in the good run, or ``None``; likewise ``bad``.
        good_title: in words. bad_title: likewise.
        basis: how they were aligned: ``line`` (the same program and line made them), ``function``, ``program``, ``order``
            (the same process in the order of starts), ``kind``, or ``none``.
        divergences: where each layer parts; none of a layer: it does not.
        good_moved: bytes that the socket sent and received in the good run. bad_moved: likewise. They count as no difference,
            since times, names and numbers in them differ between any two runs.
    """

    number: int
    good: int | None
    bad: int | None
    good_title: str
    bad_title: str
    basis: Basis
    divergences: list[Divergence] = []
    good_moved: tuple[int, int] = (0, 0)
    bad_moved: tuple[int, int] = (0, 0)


class Comparison(msgspec.Struct, frozen=True):
    """Two recordings side by side.

    Attributes:
        pairs: sockets, aligned.
        first: where each layer parts first, by the time of the bad run.
        not_compared: layers that one of the recordings lacks, and why.
    """

    pairs: list[Pair]
    first: dict[Layer, Divergence]
    not_compared: dict[Layer, str]

    @property
    def same(self) -> bool:
        """Whether nothing parts: each socket has its like, and no layer of them differs."""
        return not self.first and all(pair.good is not None and pair.bad is not None for pair in self.pairs)


def compare(good: Recording, bad: Recording) -> Comparison:
    """Put two runs side by side.

    Raises:
        RecordingError: a recording is damaged, or has more sockets than can be drawn.
    """
    runs = (_Run(good), _Run(bad))
    not_compared: dict[Layer, str] = {}
    for layer in LAYERS:
        for name, recording in (("good", good), ("bad", bad)):
            reason = recording.meta.get(layer, "yes")
            if reason != "yes" and layer not in not_compared:
                not_compared[layer] = (
                    f"in the {name} run it is {reason}"
                    if reason.startswith("incomplete")
                    else f"the {name} run has no {layer} layer ({reason})"
                )
    pairs: list[Pair] = []
    for good_socket, bad_socket, basis in _aligned(*runs):
        number = len(pairs) + 1
        divergences: list[Divergence] = []
        if good_socket is not None and bad_socket is not None:
            for layer in LAYERS:
                if layer not in not_compared:
                    divergences += _partings(
                        layer, number, runs[0].steps(layer, good_socket), runs[1].steps(layer, bad_socket)
                    )
        good_title, bad_title = runs[0].title(good_socket), runs[1].title(bad_socket)
        moved = runs[0].moved(good_socket), runs[1].moved(bad_socket)
        pairs.append(Pair(number, good_socket, bad_socket, good_title, bad_title, basis, divergences, *moved))
    first: dict[Layer, Divergence] = {}
    for layer in LAYERS:
        found_all = [item for pair in pairs for item in pair.divergences if item.layer == layer]
        if found_all:
            first[layer] = min(found_all, key=_when)
    return Comparison(pairs, first, not_compared)


def _when(item: Divergence) -> tuple[int, int]:
    """By when the bad run did the other thing; where it did nothing more, by when it had done its last one."""
    step = item.bad or item.before or item.good
    return (step.at_ns if step is not None else 0, item.pair)


def _partings(layer: Layer, pair: int, good: Sequence[Step], bad: Sequence[Step]) -> list[Divergence]:
    """Where two sequences of steps part: at most once."""
    ways: tuple[tuple[Sequence[Step], Sequence[Step]], ...] = ((good, bad),)
    if layer == "wire":
        # What went out and what came in cross each other as they like.
        ways = tuple(
            ([step for step in good if step.what.endswith(way)], [step for step in bad if step.what.endswith(way)])
            for way in (" out", " in")
        )
    found = [item for one, other in ways if (item := _parting(layer, pair, one, other)) is not None]
    # Of two that belong together, what came tells more than what did not.
    return [min(found, key=lambda item: (item.bad is None, *_when(item)))] if found else []


def _parting(layer: Layer, pair: int, good: Sequence[Step], bad: Sequence[Step]) -> Divergence | None:
    common = 0
    while common < min(len(good), len(bad)) and good[common].what == bad[common].what:
        common += 1
    if common == len(good) == len(bad):
        return None
    return Divergence(
        layer,
        pair,
        common,
        bad[common - 1] if common else None,
        good[common] if common < len(good) else None,
        bad[common] if common < len(bad) else None,
    )


class _Run:
    """One recording, by sockets."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.timeline = Timeline(recording, decode=segment)
        self._text = CallText(recording.meta.get("machine", ""), payload_bytes=0)
        self._conversations: dict[int, Conversation] = {}
        for item in self.timeline.wanted():
            for socket in (item.left, item.right):
                if socket is not None:
                    self._conversations.setdefault(socket, item)
        order = sorted(recording.processes.values(), key=lambda process: (process.started_ns, process.id))
        self._order = {process.id: position for position, process in enumerate(order)}
        self._calls: dict[int, list[Step]] = defaultdict(list)
        for call in recording.calls():
            if call.socket is not None and len(self._calls[call.socket]) < _MOST_STEPS:
                self._add(self._calls[call.socket], self._call_step(call))

    def title(self, socket: int | None) -> str:
        """In words, empty for none."""
        if socket is None:
            return ""
        row = self.recording.sockets[socket]
        who = process_title(self.recording.processes.get(row.process), self.recording.networks)
        return f"{conversation_title(self.timeline, self._conversations[socket])}  {who}"

    def moved(self, socket: int | None) -> tuple[int, int]:
        """Bytes that a socket sent and received; of none no bytes."""
        track = self.timeline.tracks.get(socket) if socket is not None else None
        return (track.sent, track.received) if track is not None else (0, 0)

    def steps(self, layer: Layer, socket: int) -> list[Step]:
        """What happened to a socket, as one layer has it."""
        if layer == "calls":
            return self._calls.get(socket, [])
        return list(self._kernel(socket) if layer == "kernel" else self._wire(socket))

    # -- roles

    def role(self, socket: int, basis: Basis) -> tuple[object, ...]:
        """What a socket is for, by strong signs or weak ones."""
        row = self.recording.sockets[socket]
        conversation = self._conversations[socket]
        kind = (conversation.kind, row.family, row.type, row.origin)
        source = self.recording.sources.get(row.source) if row.source is not None else None
        file = os.path.basename(source.file) if source is not None and source.file is not None else None
        program = process_label(self.recording.processes.get(row.process))
        match basis:
            case "line":
                return (*kind, program, file, source.line if source is not None else None, self._port(socket))
            case "function":
                return (*kind, program, file, source.function if source is not None else None)
            case "program":
                return (*kind, program)
            case "order":
                return (*kind, self._order.get(row.process))
        return kind

    def _port(self, socket: int) -> int | None:
        """The port by which the service is known; of one that the kernel chose none."""
        row = self.recording.sockets[socket]
        far = end_of(row.remote)
        own = end_of(row.local)
        end = own if self._conversations[socket].kind == "listener" or row.origin == "accept" else far
        return end.port if end is not None and end.port < 32768 else None

    # -- steps

    @staticmethod
    def _add(steps: list[Step], step: Step | None) -> None:
        if step is None:
            return
        if steps and steps[-1].what == step.what:
            steps[-1] = msgspec.structs.replace(steps[-1], times=steps[-1].times + 1)
        else:
            steps.append(step)

    def _call_step(self, call: Call) -> Step | None:
        name, role = self._text.name(call), self._text.role(call)
        if role is Role.WAIT or name in _QUESTIONS:
            return None
        word = {Role.SEND: "send", Role.RECEIVE: "receive", Role.ACCEPT: "accept"}.get(role, name)
        if name in ("setsockopt", "shutdown", "listen"):
            word = f"{name} {call.a} {call.b if name == 'setsockopt' else ''}"
        if call.result is None:
            outcome = "has not returned"
        elif call.errno is not None:
            if call.errno in (_EAGAIN, _EINTR) and role in (Role.SEND, Role.RECEIVE, Role.ACCEPT):
                return None
            outcome = "" if call.errno == _EINPROGRESS else naming.error(call.errno)
        elif role is Role.RECEIVE:
            outcome = "end" if moved(call, name)[0] == 0 and call.length else ""
        else:
            outcome = ""
        source = self.recording.sources.get(call.source) if call.source is not None else None
        known = source is not None and call.known != Known.UNKNOWN
        return Step(
            f"{word} {outcome}".strip(),
            self._text.short(call) if call.result is not None else f"{self._text.short(call)} has not returned",
            call.entry_ns,
            call=call.id,
            file=source.file if source is not None and known else None,
            line=source.line if source is not None and known else None,
        )

    def _kernel(self, socket: int) -> Iterator[Step]:
        track = self.timeline.tracks[socket]
        last = None
        for transition in track.path:
            stage = _STAGES.get(TcpState(transition.state))
            if stage is None or stage == last:
                continue
            if (last, stage) == ("ending", "closed"):
                continue  # the end of that end: whether somebody still looked then is chance
            last = stage
            if stage == "closed" and transition is track.path[0]:
                continue
            yield Step(stage, naming.tcp_state(transition.state), transition.at_ns, call=transition.call)
        end_ns = track.socket.ended_ns if track.socket.ended_ns is not None else self.recording.ended_ns
        if track.unread:
            yield Step("unread", f"closed with {track.unread} bytes unread", end_ns)
        if track.drops:
            yield Step("drops", f"{track.drops} dropped by the kernel", end_ns)

    def _wire(self, socket: int) -> Iterator[Step]:
        conversation = self._conversations[socket]
        if conversation.kind == "listener":
            return
        own = conversation.side_of(socket)
        last = {True: "", False: ""}
        for row in conversation.lines:
            found = row.segment
            if found is None:
                continue
            out = row.side == own
            for what, said in _travelled(row.again, found.protocol, found.flags, found.length, found.label):
                key = f"{what} {'out' if out else 'in'}"
                if key != last[out]:
                    arrow = "→" if out else "←"
                    yield Step(key, f"{arrow} {said}", row.at_ns, packet=found.packet)
                last[out] = key


def _travelled(again: bool, protocol: int, flags: int, length: int, label: str | None) -> Iterator[tuple[str, str]]:
    if protocol == ICMP:
        yield f"icmp {label}", label or "ICMP error"
        return
    if protocol == 6 and flags & SYN:
        yield ("SYN again", "SYN again") if again else ("SYN", "SYN" if not flags & 16 else "SYN ACK")
    if length:
        yield ("data again", f"{length} bytes again") if again else ("data", f"{length} bytes")
    if protocol == 6 and flags & FIN:
        yield "FIN", "FIN"
    if protocol == 6 and flags & RST:
        yield "RST", "RST"


def _aligned(good: _Run, bad: _Run) -> Iterator[tuple[int | None, int | None, Basis]]:
    """Pairs of sockets: each with the first one of the same role that is left, by signs from strong to weak."""
    left = [list(good.recording.sockets), list(bad.recording.sockets)]
    pairs: dict[int, tuple[int, Basis]] = {}
    bases: tuple[Basis, ...] = ("line", "function", "program", "order", "kind")
    for basis in bases:
        free: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for socket in left[0]:
            free[good.role(socket, basis)].append(socket)
        rest: list[int] = []
        for socket in left[1]:
            same = free.get(bad.role(socket, basis))
            if same:
                pairs[socket] = (same.pop(0), basis)
            else:
                rest.append(socket)
        taken = {partner for partner, _ in pairs.values()}
        left = [[socket for socket in left[0] if socket not in taken], rest]
    for socket in bad.recording.sockets:
        partner, basis = pairs.get(socket, (None, "none"))
        yield partner, socket, basis
    for socket in left[0]:
        yield socket, None, "none"
