"""A failed scenario with what the recording holds of it: what the mistakes of :mod:`.mistakes` are looked for in."""

from __future__ import annotations

import re
import socket as _socket
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ...events import Known
from ...kernel.address import end_of
from ...trace.syscalls import Role, names, role
from .exercise import Exercise, Scenario
from .peer import Played, Run

if TYPE_CHECKING:
    from ...events import Call, Socket
    from ...trace.recording import Recording

__all__ = ["Case", "Crash", "Place"]

#: The last frame of a traceback that stands in the student's own file, and its last line; those of a group stand behind bars.
_FRAME: Final = re.compile(r'^(?:[ +|-]*\| )?  File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_ERROR: Final = re.compile(
    r"^(?:[ +|-]*\| )?(?P<name>(?:[A-Za-z_][\w.]*)?(?:Error|Exception|Exit|Interrupt|timeout|error|Iteration)\b.*)$",
    re.M,
)
_NODE: Final = re.compile(r"^(?P<file>/[^\n:]+):(?P<line>\d+)$", re.MULTILINE)


class Place(NamedTuple):
    """A line of the student's program, as far as it is known."""

    file: str | None
    line: int | None


class Crash(NamedTuple):
    """How a program ended by an error of its own."""

    error: str  #: the last line of a traceback, or what the program printed last
    place: Place


class Case:
    """A failed scenario.

    Args:
        exercise: of which.
        scenario: which one.
        played: what was seen.
        recording: calls, states and packets.
        path: the student's file.

    """

    def __init__(
        self, exercise: Exercise, scenario: Scenario, played: Played, recording: Recording, path: Path
    ) -> None:
        self.exercise = exercise
        self.scenario = scenario
        self.played = played
        self.recording = recording
        self.path = path
        self._names = names(recording.meta.get("machine", ""))

    # -- the program

    @cached_property
    def processes(self) -> frozenset[int]:
        """Ids of the processes of the program in this scenario: what was started, and its descendants."""
        pids = {run.pid for run in self.played.runs}
        found: set[int] = set()
        for process in self.recording.processes.values():
            if process.pid in pids or process.parent in found:
                found.add(process.id)
        return frozenset(found)

    @cached_property
    def calls(self) -> list[Call]:
        """Its calls, in the order of entry."""
        every: list[Call] = []
        for process in self.processes:
            every += self.recording.calls(process=process)
        return sorted(every, key=lambda call: call.id)

    def name(self, call: Call) -> str:
        """The name of a call."""
        return self._names.get(call.number, "")

    def role(self, call: Call) -> Role:
        """What a call does to a conversation."""
        return role(self.name(call), sends=call.c == 1)

    def of_network(self, call: Call) -> bool:
        """Whether a call is about a socket of IP: looking up a name uses others."""
        socket = self.recording.sockets.get(call.socket) if call.socket is not None else None
        return socket is not None and socket.family in (_socket.AF_INET, _socket.AF_INET6)

    def named(self, *wanted: str) -> Iterator[Call]:
        """Its calls of these names."""
        return (call for call in self.calls if self.name(call) in wanted)

    def place(self, call: Call | None) -> Place:
        """The line of a call, where it is one of the student's own."""
        source = self.recording.sources.get(call.source) if call is not None and call.source is not None else None
        if source is None or source.file is None or source.line is None or call is None or call.known in _ELSEWHERE:
            return Place(None, None)
        # A descriptor may also be closed by the interpreter, in a line of its own.
        return Place(source.file, source.line) if Path(source.file) == self.path.resolve() else Place(None, None)

    @property
    def run(self) -> Run | None:
        """The run of the program that ran last."""
        return self.played.runs[-1] if self.played.runs else None

    @cached_property
    def crash(self) -> Crash | None:
        """The error that the program ended with by itself, or printed."""
        run = next((run for run in self.played.runs if run.status not in (None, 0)), self.run)
        text = run.error.strip() if run is not None else ""
        if not text:
            return None
        errors = list(_ERROR.finditer(text))
        frames = [frame for frame in _FRAME.finditer(text) if Path(frame["file"]).name == self.path.name]
        frames = frames or [frame for frame in _NODE.finditer(text) if Path(frame["file"]).name == self.path.name]
        if not errors and run is not None and run.status in (None, 0):
            return None
        error = errors[-1]["name"] if errors else text.splitlines()[-1]
        place = Place(str(self.path.resolve()), int(frames[-1]["line"])) if frames else Place(None, None)
        return Crash(error.strip(), place)

    # -- the conversation that went wrong

    @cached_property
    def sockets(self) -> list[Socket]:
        """Its sockets."""
        return [socket for socket in self.recording.sockets.values() if socket.process in self.processes]

    @cached_property
    def socket(self) -> Socket | None:
        """The program's socket of the conversation that went wrong."""
        port = self.played.port
        if port is None:
            return None
        for socket in self.sockets:
            remote = end_of(socket.remote)
            if remote is not None and remote.port == port:
                return socket
        return None

    @cached_property
    def speaker(self) -> Socket | None:
        """That socket; of datagrams, which need no socket for each peer, the program's last one that it used."""
        if self.socket is not None or self.exercise.protocol == "tcp":
            return self.socket
        talks = (Role.SEND, Role.RECEIVE)
        used = {call.socket for call in self.calls if self.role(call) in talks and self.of_network(call)}
        return next((socket for socket in reversed(self.sockets) if socket.id in used), None)

    @property
    def other_end(self) -> Socket | None:
        """Our socket of that conversation, for one that the program never accepted."""
        port = self.played.port
        for socket in self.recording.sockets.values() if port is not None else ():
            end = end_of(socket.local)
            if end is not None and end.port == port and socket.process not in self.processes:
                return socket
        return None

    @cached_property
    def on_socket(self) -> list[Call]:
        """The calls on that socket."""
        return [call for call in self.calls if self.speaker is not None and call.socket == self.speaker.id]

    def reads(self) -> list[Call]:
        """Reads of that conversation."""
        return [call for call in self.on_socket if self.role(call) is Role.RECEIVE]

    def writes(self) -> list[Call]:
        """Writes of that conversation."""
        return [call for call in self.on_socket if self.role(call) is Role.SEND]

    def accepts(self) -> list[Call]:
        """Its accepted connections."""
        return [call for call in self.named("accept", "accept4") if call.result is not None and call.result >= 0]

    def connections(self) -> list[Socket]:
        """Its sockets that were accepted."""
        return [socket for socket in self.sockets if socket.origin == "accept"]

    def waiting(self) -> list[Call]:
        """The calls that the program's threads stood in when the scenario failed."""
        failed_ns = self.failed_ns
        return [
            call
            for call in self.calls
            if call.entry_ns <= failed_ns and (call.exit_ns is None or call.exit_ns > failed_ns)
        ]

    def waits(self) -> Call | None:
        """The call that the program stood in when the scenario failed, on that conversation where there is one."""
        waiting = self.waiting()
        on_it = [call for call in waiting if self.socket is not None and call.socket == self.socket.id]
        found = on_it or waiting
        return found[-1] if found else None

    @cached_property
    def failed_ns(self) -> int:
        """When it failed, in the time of the recording."""
        started = self.recording.meta_int("started_monotonic_ns") or 0
        return self.played.failed_ns - started

    def busiest(self) -> Call | None:
        """A call of the line that called most often in the second before it failed."""
        since = self.failed_ns - 1_000_000_000
        recent = [call for call in self.calls if since <= call.entry_ns <= self.failed_ns]
        if not recent:
            return None
        source, _ = Counter(call.source for call in recent).most_common(1)[0]
        return next(call for call in recent if call.source == source)


#: Lines that do not make the call: of a library, and where an event loop that makes it was given its socket.
_ELSEWHERE: Final = (Known.LIBRARY, Known.CREATOR)
