"""What rules read: the trackers, the tables, and what is said of the whole recording."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..events import Call, Descriptor, Fact, Mark, Network, Process, Socket, Source
from ..kernel.program import label, name_of_command
from ..trace.verdict import duration
from .finding import Proof

if TYPE_CHECKING:
    from .tracker import Tracker

__all__ = ["Facts", "Tables", "json_list", "json_object", "json_text"]

_T = TypeVar("_T", bound="Tracker")


class Tables(Protocol):
    """What is read of a recording; :class:`wallsocket.trace.recording.Recording` has it, in memory or from a file."""

    @property
    def meta(self) -> Mapping[str, str]:
        """What is said of the whole recording."""

    @property
    def processes(self) -> Mapping[int, Process]:
        """By id."""

    @property
    def sockets(self) -> Mapping[int, Socket]:
        """By id."""

    @property
    def networks(self) -> Mapping[int, Network]:
        """Network namespaces by id."""

    @property
    def descriptors(self) -> Mapping[int, Descriptor]:
        """By id."""

    @property
    def sources(self) -> Mapping[int, Source]:
        """By id."""


class Facts:
    """Everything that rules may know: ``facts[Reads].of(socket)`` is what the tracker ``Reads`` knows of a socket."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.now_ns = 0
        self.final = False  #: the recording has ended: what has not happened will not
        self.missed: str | None = None  #: what the rule that is being asked looked for in vain
        self._trackers: dict[type[Tracker], Tracker] = {}
        self._places = 0
        self._gaps: dict[str, str] = {}
        self._wires: dict[int, str] = {}  # of networks other than the tracer's
        self._commands: dict[str, str | None] = {}

    # -- trackers

    def __getitem__(self, kind: type[_T]) -> _T:
        """The tracker of this class; it must stand in ``needs`` of who asks."""
        return self._trackers[kind]  # type: ignore[return-value]

    def new_place(self) -> int:
        """A number for what a tracker keeps of each socket."""
        self._places += 1
        return self._places

    def start(self, kinds: list[type[Tracker]]) -> list[Tracker]:
        """Make the trackers that are needed, each after those that it needs itself."""
        order: dict[type[Tracker], None] = {}

        def add(kind: type[Tracker], path: tuple[type[Tracker], ...]) -> None:
            if kind in path:
                raise TypeError(f"{kind.__name__} needs itself: {' → '.join(one.__name__ for one in path)}")
            for needed in kind.needs:
                add(needed, (*path, kind))
            order.setdefault(kind)

        for kind in kinds:
            add(kind, ())
        for kind in order:
            self._trackers[kind] = kind(self)
        return list(self._trackers.values())

    # -- the whole recording

    def layer(self, name: str) -> str | None:
        """Why a layer is missing; ``None`` when it was recorded."""
        value = self.tables.meta.get(name)
        if name in ("calls", "kernel") and value is None:
            return None
        return None if value == "yes" or (value or "").startswith(_INCOMPLETE) else (value or "not recorded")

    def wire(self, network: int | None) -> str | None:
        """Why frames of a network namespace are missing; ``None`` when they were captured there."""
        value = self._wires.get(network) if network is not None else None
        return self.layer("wire") if value is None else None if value == "yes" else value

    def see_fact(self, fact: Fact) -> None:
        """Take what was asked without a call that failed."""
        if fact.kind == "wire" and fact.network is not None and len(self._wires) < _NETWORKS:
            self._wires[fact.network] = json_text(fact.value) or "not recorded"

    def miss(self, reason: str) -> None:
        """Note that who asks is told nothing, because the kernel was not asked, or not all that it said was kept.

        A rule that then yields nothing about its subject cannot tell (:class:`~.engine.Engine`). For pictures nothing is asked
        but what they show, and their rules are made for that.
        """
        if not self.pictures:
            self.missed = self.missed or reason

    def refusal(self, network: int | None) -> str:
        """Why the kernel could not be asked about a network namespace, as the end of a sentence; empty: it could."""
        row = self.tables.networks.get(network) if network is not None else None
        word, _, reason = (row.access or "" if row is not None else "").partition(": ")
        return f" ({reason})" if word == "refused" else ""

    def gap(self, layer: str) -> str | None:
        """Why a layer was lost half-way, or not recorded wholly; ``None``: it was not."""
        value = self.tables.meta.get(layer) or ""
        return self._gaps.get(layer) or (value if value.startswith(_INCOMPLETE) else None)

    def see_gap(self, mark: Mark) -> None:
        """Take a mark of the kind ``gap``: ``LAYER: reason``."""
        layer, _, reason = mark.text.partition(":")
        if layer.strip() in _LAYERS:
            self._gaps.setdefault(layer.strip(), f"{reason.strip() or 'lost'}, from {duration(mark.at_ns)} on")

    @property
    def pictures(self) -> bool:
        """Whether this is no trace but pictures of a running program: of its calls only those that wait are there."""
        return "pictures" in self.tables.meta

    @property
    def imported(self) -> bool:
        """Whether the wire is that of a capture which was imported: then conversations are judged by it alone, too."""
        return "imported" in self.tables.meta and self.layer("wire") is None

    @property
    def private(self) -> bool:
        """Whether the counters count this program's traffic only."""
        return self.tables.meta.get("lab") == "yes"

    @property
    def added_ns_per_call(self) -> int:
        """By how much tracing slowed each call down; 0 when it is not known."""
        value = self.tables.meta.get("added_ns_per_call", "")
        return int(value) if value.isdecimal() and len(value) < 19 else 0

    def status(self) -> int | None:
        """How the target ended: 0–255, 128 + signal; ``None``: unknown or still running."""
        value = self.tables.meta.get("exit_status", "")
        return int(value) if value.isdecimal() and len(value) < 10 else None

    # -- names

    def process(self, id: int | None) -> Process | None:
        """A process by its id."""
        return self.tables.processes.get(id) if id is not None else None

    def command(self, process: int | None) -> str | None:
        """The name of a process' program, as all views write it."""
        row = self.process(process)
        if row is None:
            return None
        key = f"{row.command}\0{row.executable}"
        if key not in self._commands:
            self._commands[key] = name_of_command(row.command, row.executable) or None
        return self._commands[key]

    def pid(self, process: int | None) -> int | None:
        """The pid of a process."""
        row = self.process(process)
        return row.pid if row is not None else None

    def who(self, process: int | None) -> str:
        """A process in words: ``server.py (pid 7)``."""
        return label(self.command(process) or "", self.pid(process))

    def source(self, call: Call | None) -> Source | None:
        """The source line of a call."""
        return self.tables.sources.get(call.source) if call is not None and call.source is not None else None

    def line(self, call: Call | None) -> str:
        """``name.py:12`` of a call, or nothing when the line is unknown."""
        source = self.source(call)
        if source is None or source.file is None:
            return ""
        place = f"{source.file.rsplit('/', 1)[-1]}:{source.line}"
        return f"{source.name} ({place})" if source.begins else place

    def killed(self, process: Process) -> bool:
        """Whether a process was ended by a signal from outside rather than by itself."""
        return process.signal is not None and process.signal not in _OWN_SIGNALS

    def process_proof(self, process: Process, text: str, at_ns: int) -> Proof:
        """The end of a process as a proof row."""
        return Proof("calls", "process", process.id, process.ended_ns or at_ns, text)


#: How ``meta`` says that a layer has a gap (docs/recording.md).
_INCOMPLETE = "incomplete"
_LAYERS = ("calls", "kernel", "wire")
_NETWORKS = 4096  # that are told apart, as the tracer does
_OWN_SIGNALS = {signal.SIGPIPE, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


def json_list(text: str) -> list[Any]:
    """The list that a text holds, of untrusted JSON; empty for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def json_object(text: str) -> dict[str, Any]:
    """The object that a text holds, of untrusted JSON; empty for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def json_text(text: str) -> str:
    """The text that a text holds, of untrusted JSON; empty for anything else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
