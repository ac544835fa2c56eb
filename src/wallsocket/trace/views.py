"""The other views of a recording: a line per call, a line per packet, the states of each socket, and JSON."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from ..events import Call, Counter, Fact, Known, Mark, Packet, State
from ..kernel import names as naming
from .calls import CallText, address, named
from .labels import conversation_title, process_label, socket_label, source_text
from .lines import Lines
from .recording import Event, Recording
from .text import Style, escape, json_line, paint
from .timeline import Timeline
from .verdict import duration, verdict

__all__ = ["call_lines", "json_lines", "packet_lines", "state_lines"]

_KNOWN: Final = {known.value: known.name.lower() for known in Known}
#: Calls that are looked at before the first is written, to see whether threads must be told apart.
_LOOK_AHEAD: Final = 256
#: Columns for process and thread; both have up to seven digits (proc(5), pid_max).
_WHO_COLUMNS: Final = 15
#: Signals that say nothing about sockets; a mark's text is the signal's name.
_DULL_SIGNALS: Final = frozenset({"SIGCHLD", "SIGWINCH", "SIGCONT"})
_MOMENTS: Final = {0: "entry", 1: "exit", 2: "sample", 3: "destroyed"}


def _ms(at_ns: int) -> str:
    return f"{at_ns / 1_000_000:11.3f}"


def call_lines(
    recording: Recording,
    *,
    colour: bool,
    payload_bytes: int = 32,
    socket: int | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    every_mark: bool = False,
) -> Iterator[str]:
    """A line per call in the order of entry: time in ms, process, call and result, time it took, line of code.

    What else happened (exec, signals) stands between, of processes that have sockets; ``every_mark`` shows it of all,
    and child-has-ended signals too.
    """
    text = CallText(recording.meta.get("machine", ""), payload_bytes=payload_bytes)
    users = {item.process for item in recording.sockets.values()}
    calls = recording.calls(socket=socket, since_ns=since_ns, until_ns=until_ns)
    first = list(itertools.islice(calls, _LOOK_AHEAD))
    threads = any(_is_thread(recording, call) for call in first)
    who_width = _WHO_COLUMNS if len(users) > 1 or threads or every_mark else 0
    marks = (
        mark
        for mark in recording.marks()
        if every_mark or (socket is None and mark.process in users and mark.text not in _DULL_SIGNALS)
    )
    mark = next(marks, None)

    def marks_until(at_ns: int) -> Iterator[str]:
        nonlocal mark
        while mark is not None and mark.at_ns <= at_ns:
            if (since_ns or 0) <= mark.at_ns <= (until_ns if until_ns is not None else mark.at_ns):
                note = f"--- {escape(mark.kind)}: {escape(mark.text)} ---"
                yield f"{_ms(mark.at_ns)}  {_who(recording, mark.process, mark.tid, who_width)}" + paint(
                    note, Style.DIM, colour=colour
                )
            mark = next(marks, None)

    for call in itertools.chain(first, calls):
        yield from marks_until(call.entry_ns)
        yield _call_line(recording, text, call, who_width=who_width, colour=colour)
    yield from marks_until(1 << 62)


def _call_line(recording: Recording, text: CallText, call: Call, *, who_width: int, colour: bool) -> str:
    failed = call.errno is not None
    shown = paint(text.full(call), Style.ERROR if failed else Style.PLAIN, colour=colour)
    took = f"  <{duration(call.took_ns)}>" if call.took_ns is not None else ""
    where = ""
    source = recording.sources.get(call.source) if call.source is not None else None
    if source is not None and source.file is not None:
        place = f"{source.file}:{source.line}" if source.line is not None else source.file
        function = f" {source.function}" if source.function else ""
        known = "" if call.known == Known.DIRECT else f" ({_KNOWN.get(call.known, 'unknown')})"
        where = f"  {escape(place)}{escape(function)}{known}"
    who = _who(recording, call.process, call.tid, who_width)
    return f"{_ms(call.entry_ns)}  {who}{shown}{paint(took + where, Style.DIM, colour=colour)}"


def _is_thread(recording: Recording, call: Call) -> bool:
    process = recording.processes.get(call.process)
    return process is not None and process.pid != call.tid


def _who(recording: Recording, process: int | None, tid: int | None, width: int) -> str:
    """``pid`` or ``pid/tid``, where there is more than one of them to tell apart."""
    if not width:
        return ""
    found = recording.processes.get(process) if process is not None else None
    pid = str(found.pid) if found is not None else "?"
    thread = f"/{tid}" if tid is not None and (found is None or tid != found.pid) else ""
    return f"{pid + thread:<{width}}  "


def packet_lines(
    recording: Recording,
    summary: Callable[[Packet], str],
    *,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> Iterator[str]:
    """A line per packet: time in ms, interface, and what the decoder says of it."""
    for packet in recording.packets():
        if (since_ns or 0) <= packet.at_ns <= (until_ns if until_ns is not None else packet.at_ns):
            interface = f"{escape(packet.interface)}  " if packet.interface else ""
            yield f"{_ms(packet.at_ns)}  {interface}{escape(summary(packet))}"


def state_lines(timeline: Timeline, *, colour: bool) -> Iterator[str]:
    """Per socket the path that it took through the states, with the time in each and how it is known."""
    for conversation in timeline.wanted():
        for socket in (conversation.left, conversation.right):
            if socket is None:
                continue
            track = timeline.tracks[socket]
            title = f"{socket_label(timeline, socket)}  {conversation_title(timeline, conversation)}"
            yield paint(title, Style.BOLD, colour=colour)
            if not track.path:
                reason = "no states: not a TCP socket" if not track.tcp else "states unknown: not looked at"
                yield f"             {reason}"
            end_ns = track.socket.ended_ns if track.socket.ended_ns is not None else timeline.recording.ended_ns
            for index, transition in enumerate(track.path):
                following = (
                    track.path[index + 1].at_ns if index + 1 < len(track.path) else max(end_ns, transition.at_ns)
                )
                inferred = track.is_inferred(index)
                name = naming.tcp_state(transition.state)
                state = f"[{name}]" if inferred else name
                how = _how(timeline, transition.how, transition.call, inferred=inferred)
                line = f"{_ms(transition.at_ns)}  {state:<13}  {duration(following - transition.at_ns):>8}  {how}"
                yield line.rstrip()
            yield f"             {verdict(timeline, track)}"


def _how(timeline: Timeline, how: str, call_id: int | None, *, inferred: bool) -> str:
    if how == "wire":
        return "follows from a segment" if inferred else "a segment, confirmed by the kernel"
    call = timeline.recording.call(call_id) if call_id is not None else None
    where = ""
    if call is not None:
        text = CallText(timeline.machine)
        where = f"{text.short(call)}  {source_text(timeline, call)}".rstrip()
    if inferred:
        return f"follows from {where}" if where else "inferred"
    return where or "seen between calls"


# -- JSON


def json_lines(
    recording: Recording,
    *,
    segment: Callable[[Packet], Any] | None = None,
    follow: bool = False,
    timeline: Timeline | None = None,
) -> Iterator[bytes]:
    """One JSON object per line, documented in ``docs/show.md``: what there is, what happened, and the ladders of a timeline."""
    yield json_line({"recording": {"schema": 1, **recording.meta}})
    for process in recording.processes.values():
        yield json_line({"process": {**_fields(process), "name": process_label(process)}})
    for source in recording.sources.values():
        yield json_line({"source": _fields(source)})
    for item in recording.sockets.values():
        fields = _fields(item)
        fields["local"] = _address(item.local)
        fields["remote"] = _address(item.remote)
        fields["family"] = named(naming.family, item.family)
        fields["type"] = named(naming.socket_type, item.type)
        fields["protocol"] = named(naming.protocol, item.family, item.protocol)
        yield json_line({"socket": fields})
    for descriptor in recording.descriptors.values():
        yield json_line({"descriptor": _fields(descriptor)})
    text = CallText(recording.meta.get("machine", ""))
    batches: Iterable[Iterable[Event]] = recording.follow() if follow else (recording.events(),)
    for batch in batches:
        for event in batch:
            yield json_line(_event(event, text, recording, segment))
    if timeline is not None:
        lines = Lines(timeline)
        for conversation in timeline.wanted():
            yield json_line({"conversation": _plain(lines.conversation(conversation))})
            for line in lines.of(conversation):
                yield json_line({"line": _plain(line)})
            for way in lines.ways(conversation):
                yield json_line({"way": _plain(way)})


def _event(
    event: Event, text: CallText, recording: Recording, segment: Callable[[Packet], Any] | None
) -> dict[str, Any]:
    fields = _fields(event)
    match event:
        case Call():
            source = recording.sources.get(event.source) if event.source is not None else None
            fields |= {
                "name": text.name(event),
                "text": text.full(event),
                "error": naming.error(event.errno) if event.errno is not None else None,
                "address": _address(event.address),
                "file": source.file if source is not None else None,
                "line": source.line if source is not None else None,
                "known": _KNOWN.get(event.known, "unknown"),
            }
        case State():
            fields |= {
                "moment": _MOMENTS.get(event.moment, str(event.moment)),
                "state": named(naming.tcp_state, event.state) if event.state is not None else None,
                "local": _address(event.local),
                "remote": _address(event.remote),
            }
        case Packet():
            if segment is not None:
                fields["decoded"] = segment(event)
        case Fact():
            try:
                fields["value"] = msgspec.json.decode(event.value)
            except msgspec.DecodeError:
                fields["value"] = event.value
        case Mark() | Counter():
            pass
    return {type(event).__name__.lower(): fields}


def _plain(value: object) -> Any:
    """A struct as objects of JSON; bytes as hexadecimal digits, as everywhere here."""
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """The columns by name; bytes as hexadecimal digits."""
    values = {}
    for name in struct.__struct_fields__:
        value = getattr(struct, name)
        values[name] = value.hex() if isinstance(value, bytes) else value
    return values


def _address(raw: bytes | None) -> str | None:
    return address(raw) if raw is not None else None
