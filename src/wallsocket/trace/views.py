"""The other views of a recording: a line per call, a line per packet, the states of each socket, and JSON."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from ..errors import UsageError
from ..events import Call, Counter, Fact, Known, Mark, Packet, State
from ..kernel import names as naming
from ..kernel.tcp_state import TcpState
from .calls import CallText, address, named
from .choice import Choice
from .clock import Clock
from .labels import conversation_title, process_label, socket_label, source_text
from .lines import Lines
from .recording import Event, Recording
from .text import Style, escape, json_line, paint
from .timeline import Timeline
from .verdict import duration, verdict

__all__ = ["call_lines", "followed_lines", "json_lines", "packet_lines", "state_cause", "state_lines"]

_KNOWN: Final = {known.value: known.name.lower() for known in Known}
#: Calls that are looked at before the first is written, to see whether threads must be told apart.
_LOOK_AHEAD: Final = 256
#: Columns for a time: a day in milliseconds.
_TIME_COLUMNS: Final = 11
#: Frames of a native stack that are written.
_FRAMES: Final = 64
#: Columns for process and thread; both have up to seven digits (proc(5), pid_max).
_WHO_COLUMNS: Final = 15
#: Signals that say nothing about sockets; a mark's text is the signal's name.
_DULL_SIGNALS: Final = frozenset({"SIGCHLD", "SIGWINCH", "SIGCONT"})
_MOMENTS: Final = {0: "entry", 1: "exit", 2: "sample", 3: "destroyed"}


def call_lines(
    recording: Recording,
    *,
    colour: bool,
    payload_bytes: int = 32,
    choice: Choice | None = None,
    clock: Clock | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    every_mark: bool = False,
    stacks: bool = False,
) -> Iterator[str]:
    """A line per call in the order of entry: time, process, call and result, time it took, line of code.

    What else happened (exec, signals) stands between, of processes that have sockets; ``every_mark`` shows it of all,
    and child-has-ended signals too. With ``stacks`` the native stack of each call without another line stands below it.
    """
    choice = choice if choice is not None else Choice(recording)
    clock = clock if clock is not None else Clock(recording)
    text = CallText(recording.meta.get("machine", ""), payload_bytes=payload_bytes)
    users = {item.process for item in recording.sockets.values()}
    calls = filter(choice.matches, recording.calls(socket=choice.socket, since_ns=since_ns, until_ns=until_ns))
    first = list(itertools.islice(calls, _LOOK_AHEAD))
    threads = any(_is_thread(recording, call) for call in first)
    who_width = _WHO_COLUMNS if len(users) > 1 or threads or every_mark else 0
    marks = (
        mark
        for mark in recording.marks()
        if every_mark or (choice.has_process(mark.process) and mark.process in users and mark.text not in _DULL_SIGNALS)
    )
    mark = next(marks, None)

    def marks_until(at_ns: int) -> Iterator[str]:
        nonlocal mark
        while mark is not None and mark.at_ns <= at_ns:
            if (since_ns or 0) <= mark.at_ns <= (until_ns if until_ns is not None else mark.at_ns):
                note = f"--- {escape(mark.kind)}: {escape(mark.text)} ---"
                who = _who(recording, mark.process, mark.tid, who_width)
                yield f"{clock.text(mark.at_ns, width=_TIME_COLUMNS)}  {who}" + paint(note, Style.DIM, colour=colour)
            mark = next(marks, None)

    for call in itertools.chain(first, calls):
        yield from marks_until(call.entry_ns)
        yield _call_line(recording, text, call, clock, who_width=who_width, colour=colour)
        if stacks:
            yield from _stack_lines(recording, call, colour=colour)
    yield from marks_until(1 << 62)


def followed_lines(
    recording: Recording, choose: Callable[[Recording], Choice], *, colour: bool, wall: bool, payload_bytes: int = 32
) -> Iterator[str]:
    """A line per call as :func:`call_lines` has it, as it returns, while the recording grows; what never returned last.

    ``choose`` says what is wanted of what there is so far; what is not there yet cannot be named.
    """
    assert recording.path is not None
    unfinished: dict[int, Call] = {}
    now = recording
    for batch in recording.follow():
        calls = [event for event in batch if isinstance(event, Call)]
        if not calls:
            continue
        # What the calls refer to was written with them.
        now = Recording.open(recording.path)
        try:
            choice = choose(now)
        except UsageError:
            continue
        clock, text = Clock(now, wall=wall), CallText(now.meta.get("machine", ""), payload_bytes=payload_bytes)
        for call in calls:
            if call.took_ns is None:
                unfinished[call.id] = call
            else:
                unfinished.pop(call.id, None)
                if choice.matches(call):
                    yield _call_line(now, text, call, clock, who_width=_WHO_COLUMNS, colour=colour)
    try:
        choice = choose(now)
    except UsageError:
        if not unfinished:
            raise
        return
    clock, text = Clock(now, wall=wall), CallText(now.meta.get("machine", ""), payload_bytes=payload_bytes)
    for call in filter(choice.matches, unfinished.values()):
        yield _call_line(now, text, call, clock, who_width=_WHO_COLUMNS, colour=colour)


def _stack_lines(recording: Recording, call: Call, *, colour: bool) -> Iterator[str]:
    """The native stack of a call, innermost first: file and the offset in it, as ``addr2line -e FILE OFFSET`` takes them."""
    stack = recording.stacks.get(call.stack) if call.stack is not None else None
    if stack is None:
        if call.source is not None and call.known != Known.UNKNOWN:
            return  # it has a line of an interpreter's code: nobody looked further
        yield paint(f"{'':{_TIME_COLUMNS}}    native stack not recorded", Style.DIM, colour=colour)
        return
    for number, offset in itertools.islice(stack, _FRAMES):
        binary = recording.binaries.get(number)
        place = escape(binary.path) if binary is not None and binary.path is not None else "memory without a file"
        yield paint(f"{'':{_TIME_COLUMNS}}    {place} +{offset:#x}", Style.DIM, colour=colour)


def _call_line(recording: Recording, text: CallText, call: Call, clock: Clock, *, who_width: int, colour: bool) -> str:
    failed = call.errno is not None
    shown = paint(text.full(call), Style.ERROR if failed else Style.PLAIN, colour=colour)
    took = f"  <{duration(call.took_ns)}>" if call.took_ns is not None else ""
    where = ""
    source = recording.sources.get(call.source) if call.source is not None else None
    if source is not None and (source.file is not None or source.function is not None):
        place = f"{source.file}:{source.line}" if source.line is not None else source.file or ""
        function = f" {source.function}" if source.function and place else source.function or ""
        known = "" if call.known == Known.DIRECT else f" ({_KNOWN.get(call.known, 'unknown')})"
        where = f"  {escape(place)}{escape(function)}{known}"
    who = _who(recording, call.process, call.tid, who_width)
    return (
        f"{clock.text(call.entry_ns, width=_TIME_COLUMNS)}  {who}{shown}{paint(took + where, Style.DIM, colour=colour)}"
    )


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
    clock: Clock | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
    wanted: Callable[[Packet], bool] = lambda packet: True,
) -> Iterator[str]:
    """A line per packet: time, interface, and what the decoder says of it."""
    clock = clock if clock is not None else Clock(recording)
    for packet in recording.packets():
        if (since_ns or 0) <= packet.at_ns <= (until_ns if until_ns is not None else packet.at_ns) and wanted(packet):
            interface = f"{escape(packet.interface)}  " if packet.interface else ""
            yield f"{clock.text(packet.at_ns, width=_TIME_COLUMNS)}  {interface}{escape(summary(packet))}"


def state_lines(
    timeline: Timeline, *, colour: bool, choice: Choice | None = None, clock: Clock | None = None
) -> Iterator[str]:
    """Per socket the path that it took through the states, with the time in each and how it is known."""
    clock = clock if clock is not None else Clock(timeline.recording)
    for conversation in timeline.wanted():
        if choice is not None and not choice.draws(conversation):
            continue
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
                how = state_cause(timeline, transition.how, transition.call, inferred=inferred)
                at = clock.text(transition.at_ns, width=_TIME_COLUMNS)
                # TIME_WAIT outlives the socket that was closed; for how long is not recorded.
                lasts = index + 1 == len(track.path) and transition.state == TcpState.TIME_WAIT
                stay = 0 if lasts else following - transition.at_ns
                line = f"{at}  {state:<13}  {duration(stay) if stay else '':>8}  {how}"
                yield line.rstrip()
            yield f"             {verdict(timeline, track)}"


def state_cause(timeline: Timeline, how: str, call_id: int | None, *, inferred: bool) -> str:
    """How it is known that a socket entered a state, in words: the call or segment that it follows from."""
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
    choice: Choice | None = None,
) -> Iterator[bytes]:
    """One JSON object per line, documented in ``docs/show.md``: what there is, what happened, and the ladders of a timeline."""
    yield json_line({"recording": {"schema": 1, **recording.meta}})
    told: dict[str, bytes] = {}
    yield from _things(recording, told if follow else None)
    text = CallText(recording.meta.get("machine", ""))
    batches: Iterable[Iterable[Event]] = recording.follow() if follow else (recording.events(),)
    for batch in batches:
        if follow and batch and recording.path is not None:
            # What the events refer to was written with them.
            recording = Recording.open(recording.path)
            yield from _things(recording, told)
        for event in batch:
            yield json_line(_event(event, text, recording, segment))
    if timeline is not None:
        lines = Lines(timeline)
        for conversation in timeline.wanted():
            if choice is not None and not choice.draws(conversation):
                continue
            yield json_line({"conversation": _plain(lines.conversation(conversation))})
            for line in lines.of(conversation):
                yield json_line({"line": _plain(line)})
            for way in lines.ways(conversation):
                yield json_line({"way": _plain(way)})


def _things(recording: Recording, told: dict[str, bytes] | None) -> Iterator[bytes]:
    """What there is; of what was ``told`` before only what is new or has changed."""
    for key, value in _named_things(recording):
        line = json_line(value)
        if told is None:
            yield line
        elif told.get(key) != line:
            told[key] = line
            yield line


def _named_things(recording: Recording) -> Iterator[tuple[str, dict[str, Any]]]:
    for process in recording.processes.values():
        yield f"process {process.id}", {"process": {**_fields(process), "name": process_label(process)}}
    for source in recording.sources.values():
        yield f"source {source.id}", {"source": _fields(source)}
    for item in recording.sockets.values():
        fields = _fields(item)
        fields["local"] = _address(item.local)
        fields["remote"] = _address(item.remote)
        fields["family"] = named(naming.family, item.family)
        fields["type"] = named(naming.socket_type, item.type)
        fields["protocol"] = named(naming.protocol, item.family, item.protocol)
        yield f"socket {item.id}", {"socket": fields}
    for descriptor in recording.descriptors.values():
        yield f"descriptor {descriptor.id}", {"descriptor": _fields(descriptor)}


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
