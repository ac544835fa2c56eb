"""Perfetto: processes, threads and their calls with lines of code, sockets with their states and queues, bytes as arrows.

The format is Perfetto's own protobuf (TrackEvent); times are the recording's, on the clock that it was made with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, Final

from ...errors import NotAvailable
from ...events import Call, State
from ...kernel import names as naming
from ...kernel.tcp_info import TcpInfo
from ..labels import conversation_title
from .material import Material

__all__ = ["write"]

#: Numbers of tracks: one range for each kind of thing.
_PROCESSES, _THREADS, _SOCKETS, _COUNTERS, _FINDINGS = (kind << 40 for kind in range(1, 6))
#: One sequence of packets: everything is written by one writer.
_SEQUENCE: Final = 1
#: builtin_clock.proto: CLOCK_MONOTONIC.
_MONOTONIC: Final = 3
#: source_location.proto has 32 bits for it; a damaged recording may say anything.
_LINE_MAX: Final = 2**32 - 1
_GAUGES: Final = ("receive queue", "send queue", "congestion window", "round trip time")
_UNITS: Final = {
    "receive queue": "bytes",
    "send queue": "bytes",
    "congestion window": "segments",
    "round trip time": "µs",
}


def write(material: Material, file: IO[bytes]) -> None:
    """Write the recording."""
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos
        from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder
    except ImportError:
        raise NotAvailable("perfetto needs wallsocket[perfetto]: pip install 'wallsocket[perfetto]'") from None
    builder = StreamingTraceProtoBuilder(file)
    for fill in _Writer(material, protos).packets():
        packet = builder.create_packet()
        packet.trusted_packet_sequence_id = _SEQUENCE
        packet.timestamp_clock_id = _MONOTONIC
        fill(packet)
        builder.write_packet(packet)


class _Writer:
    def __init__(self, material: Material, protos: Any) -> None:
        self._material = material
        self._recording = material.recording
        self._told = material.discretion
        self._event = protos.TrackEvent
        self._origin_ns = max(0, self._recording.meta_int("started_monotonic_ns") or 0)
        self._threads: dict[tuple[int, int], int] = {}
        self._gauges: dict[tuple[int, str], int] = {}
        self._flows = self._arrows()

    def packets(self) -> Iterator[Any]:
        yield self._clock
        yield from self._processes()
        yield from self._sockets()
        for call in self._recording.calls():
            yield from self._call(call)
        yield from self._states()
        for state in self._recording.states():
            yield from self._queues(state)
        yield from self._findings()

    def _clock(self, packet: Any) -> None:
        """Where the recording's clock stood at the time of day."""
        for clock, at_ns in ((_MONOTONIC, self._origin_ns), (1, self._material.started_ns)):  # 1: CLOCK_REALTIME
            entry = packet.clock_snapshot.clocks.add()
            entry.clock_id, entry.timestamp = clock, at_ns
        packet.clock_snapshot.primary_trace_clock = _MONOTONIC

    # -- what there is

    def _processes(self) -> Iterator[Any]:
        for process in self._recording.processes.values():

            def fill(packet: Any, process: Any = process) -> None:
                track = packet.track_descriptor
                track.uuid = _PROCESSES + process.id
                track.process.pid = process.pid & 0x7FFFFFFF
                track.process.process_name = self._told.process(process)

            yield fill

    def _thread(self, call: Call) -> Iterator[Any]:
        key = (call.process, call.tid)
        if key in self._threads:
            return
        number = self._threads[key] = _THREADS + len(self._threads) + 1
        process = self._recording.processes.get(call.process)

        def fill(packet: Any) -> None:
            track = packet.track_descriptor
            track.uuid = number
            track.parent_uuid = _PROCESSES + call.process
            track.thread.pid = (process.pid if process is not None else call.tid) & 0x7FFFFFFF
            track.thread.tid = call.tid & 0x7FFFFFFF

        yield fill

    def _sockets(self) -> Iterator[Any]:
        timeline = self._material.timeline
        for conversation in timeline.wanted():
            title = self._told.text(conversation_title(timeline, conversation))
            for socket in (conversation.left, conversation.right):
                if socket is None:
                    continue
                process = self._recording.sockets[socket].process

                def fill(packet: Any, socket: int = socket, process: int = process, title: str = title) -> None:
                    track = packet.track_descriptor
                    track.uuid = _SOCKETS + socket
                    track.parent_uuid = _PROCESSES + process
                    track.name = f"socket {socket}: {title}"

                yield fill

    # -- what happened

    def _arrows(self) -> dict[int, list[int]]:
        """Calls that the same bytes went through, each pair under a number of its own."""
        flows: dict[int, list[int]] = {}
        number = 0
        joins = self._material.timeline.joins
        for item in self._recording.sockets:
            for way in joins.ways(item):
                if way.sent is not None and way.received is not None:
                    number += 1
                    flows.setdefault(way.sent.call, []).append(number)
                    flows.setdefault(way.received.call, []).append(number)
        return flows

    def _call(self, call: Call) -> Iterator[Any]:
        yield from self._thread(call)
        track = self._threads[call.process, call.tid]
        source = self._material.source(call)
        end_ns = call.exit_ns
        if end_ns is None:
            process = self._recording.processes.get(call.process)
            ended_ns = process.ended_ns if process is not None else None
            end_ns = max(call.entry_ns, self._recording.ended_ns if ended_ns is None else ended_ns)

        def begin(packet: Any) -> None:
            event = self._start(packet, call.entry_ns, track, self._event.TYPE_SLICE_BEGIN)
            event.name = self._told.name(call)
            event.categories.append("call")
            if source is not None and self._material.at_the_call(call):
                event.source_location.file_name = source.file or ""
                if source.line is not None and 0 < source.line <= _LINE_MAX:
                    event.source_location.line_number = source.line
                if source.function:
                    event.source_location.function_name = source.function
            if source is not None:
                self._note(event, "line", self._material.where(call).removeprefix("at "))
            self._note(event, "call", self._told.call(call))
            self._note(event, "id", call.id)
            if call.socket is not None:
                self._note(event, "socket", call.socket)
            if call.errno is not None:
                self._note(event, "error", naming.error(call.errno))
            for flow in self._flows.get(call.id, ()):
                event.flow_ids.append(flow)
            for finding in self._material.found.get(("call", call.id), ()):
                self._note(event, f"finding {finding.rank}", f"{self._told.text(finding.title)} [{finding.rule}]")

        yield begin
        yield lambda packet: self._start(packet, end_ns, track, self._event.TYPE_SLICE_END)

    def _states(self) -> Iterator[Any]:
        for track in self._material.timeline.tracks.values():
            for index, step in enumerate(track.path):
                name = naming.tcp_state(step.state)
                shown = f"[{name}]" if track.is_inferred(index) else name
                number, at_ns = _SOCKETS + track.socket.id, step.at_ns
                if index:
                    yield lambda packet, n=number, t=at_ns: self._start(packet, t, n, self._event.TYPE_SLICE_END)

                def begin(packet: Any, number: int = number, at_ns: int = at_ns, shown: str = shown) -> None:
                    event = self._start(packet, at_ns, number, self._event.TYPE_SLICE_BEGIN)
                    event.name = shown
                    event.categories.append("state")

                yield begin
            if track.path:
                ended_ns = track.socket.ended_ns if track.socket.ended_ns is not None else self._recording.ended_ns
                end_ns, number = max(ended_ns, track.path[-1].at_ns), _SOCKETS + track.socket.id
                yield lambda packet, n=number, t=end_ns: self._start(packet, t, n, self._event.TYPE_SLICE_END)

    def _queues(self, state: State) -> Iterator[Any]:
        info = TcpInfo.parse(state.tcp_info) if state.tcp_info else None
        values = (
            state.receive_queue,
            state.send_queue,
            info.congestion_window if info is not None else None,
            info.rtt_us if info is not None else None,
        )
        for name, value in zip(_GAUGES, values, strict=True):
            if value is None:
                continue
            key = (state.socket, name)
            if key not in self._gauges:
                number = self._gauges[key] = _COUNTERS + len(self._gauges) + 1

                def fill(packet: Any, number: int = number, name: str = name) -> None:
                    track = packet.track_descriptor
                    track.uuid = number
                    track.parent_uuid = _SOCKETS + state.socket
                    track.name = f"{name} ({_UNITS[name]})"
                    track.counter.unit_name = _UNITS[name]

                yield fill

            def count(packet: Any, number: int = self._gauges[key], value: int = value) -> None:
                event = self._start(packet, state.at_ns, number, self._event.TYPE_COUNTER)
                event.counter_value = value

            yield count

    def _findings(self) -> Iterator[Any]:
        if not self._material.findings:
            return

        def track(packet: Any) -> None:
            packet.track_descriptor.uuid = _FINDINGS
            packet.track_descriptor.name = "findings"

        yield track
        for finding in self._material.findings:

            def fill(packet: Any, finding: Any = finding) -> None:
                at_ns = self._material.found_at(finding)
                event = self._start(packet, at_ns, _FINDINGS, self._event.TYPE_INSTANT)
                event.name = self._told.text(finding.title)
                event.categories.append("finding")
                for name in ("rule", "severity", "certainty", "why", "fix"):
                    self._note(event, name, self._told.text(getattr(finding, name)))
                if finding.file is not None and finding.line is not None:
                    self._note(event, "line", f"{finding.file}:{finding.line}")

            yield fill

    def _start(self, packet: Any, at_ns: int, track: int, kind: int) -> Any:
        packet.timestamp = max(0, self._origin_ns + at_ns)
        packet.track_event.type = kind
        packet.track_event.track_uuid = track
        return packet.track_event

    @staticmethod
    def _note(event: Any, name: str, value: int | str) -> None:
        note = event.debug_annotations.add()
        note.name = name
        if isinstance(value, int):
            note.int_value = value
        else:
            note.string_value = value
