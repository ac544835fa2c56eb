"""What the commands print with ``--json``: a type for each kind of line, and the JSON schemas made of them.

Where a line is a struct of the package, its type is that struct; of what a command puts together itself the types stand
here. The tests run every command and read its lines as these types, so that none is left out and none says too much.
"""

from __future__ import annotations

import inspect as inspecting
import re
import typing
from typing import Any, Final, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from .. import events
from ..diagnose.finding import Finding, Summary
from ..doctor.row import Row
from ..lessons.course import Course
from ..lessons.exercises.verdict import Verdict
from ..trace import inspect
from ..trace.compare import Divergence, Pair
from ..trace.inspect.machine import Sick
from ..trace.lines import ConversationLine, Line, WayLine
from ..trace.totals import CallTotal, SocketTotal
from ..wire.arp import Neighbour
from ..wire.inject import Replayed
from ..wire.ping import Reply
from ..wire.ping import Summary as PingSummary
from ..wire.traceroute import Probe

__all__ = ["OUTPUT", "Output", "schema"]


def _words(name: str) -> str:
    return "".join(word.capitalize() for word in name.replace("-", "_").split("_"))


def _under(command: str, key: str, kind: Any) -> type[Struct]:
    """A line with one key, whose value is of that type."""
    return msgspec.defstruct(f"{_words(command)}{_words(key)}Line", [(key, kind)], module=__name__)


def _record(name: str, base: type[tuple[Any, ...]], *more: tuple[str, Any]) -> type[Struct]:
    """A named tuple as an object, with further keys."""
    fields = [*get_type_hints(base).items(), *more]
    return msgspec.defstruct(name, fields, module=__name__, namespace={"__doc__": base.__doc__})


def _shown(base: type[Struct], **changed: Any) -> type[Struct]:
    """A table's columns as ``show`` gives them: bytes as hexadecimal digits, and these added or replaced."""
    hints = get_type_hints(base)
    kinds = {name: _in_hex(hints[name]) for name in base.__struct_fields__} | changed
    # What may be missing comes last.
    fields: list[Any] = [(name, kind) for name, kind in kinds.items() if not _may_miss(kind)]
    fields += [(name, kind, UNSET) for name, kind in kinds.items() if _may_miss(kind)]
    return msgspec.defstruct(f"Shown{base.__name__}", fields, module=__name__, namespace={"__doc__": base.__doc__})


def _may_miss(kind: Any) -> bool:
    return UnsetType in typing.get_args(kind)


def _in_hex(kind: Any) -> Any:
    parts = typing.get_args(kind)
    if kind is bytes:
        return str
    return str | None if bytes in parts else kind


class InspectCounts(Struct):
    """All sockets that were looked at."""

    sockets: int
    namespaces: int
    took_s: float


class DoctorCounts(Struct):
    """All features."""

    can_trace: bool
    refused: int
    rows: int


class Option(Struct):
    """A socket option; ``default`` has this kernel's value of each kind of socket."""

    name: str
    type: str
    unit: str | None
    applies: list[str]
    readable: bool
    settable: bool
    when: str | None
    since: str | None
    privilege: str | None
    meaning: str
    default: dict[str, str]


class Ethernet(Struct):
    """Link-layer addresses."""

    source: str
    destination: str


class Ip(Struct):
    """Header of IPv4 or IPv6."""

    version: int
    source: str
    destination: str
    protocol: int
    time_to_live: int
    length: int
    fragment_offset: int | UnsetType = UNSET
    more_fragments: bool | UnsetType = UNSET


class Tcp(Struct):
    """Header of TCP; ``flags`` as tcpdump writes them, such as ``S.``."""

    source_port: int
    destination_port: int
    sequence_number: int
    acknowledgement_number: int
    flags: str
    window: int


class Udp(Struct):
    """Header of UDP."""

    source_port: int
    destination_port: int
    length: int


class Icmp(Struct):
    """Header of ICMP; ``version`` 4 or 6."""

    version: int
    type: int
    code: int


class Arp(Struct):
    """An ARP question or answer."""

    operation: int
    sender: str | None
    sender_hardware: str | None
    target: str | None


class Frame(Struct):
    """A frame: what was decoded, without payload. A header that it does not have is left out."""

    number: int
    time_ns: int | None
    captured_length: int
    original_length: int
    payload_length: int
    summary: str
    vlans: list[int] | UnsetType = UNSET
    ethernet: Ethernet | UnsetType = UNSET
    ip: Ip | UnsetType = UNSET
    tcp: Tcp | UnsetType = UNSET
    udp: Udp | UnsetType = UNSET
    icmp: Icmp | UnsetType = UNSET
    arp: Arp | UnsetType = UNSET
    application: str | UnsetType = UNSET
    process_id: int | UnsetType = UNSET
    comments: list[str] | UnsetType = UNSET
    problem: str | UnsetType = UNSET


class Side(Struct):
    """One side of a TCP connection in a capture."""

    address: str
    port: int
    bytes: int
    gaps: list[list[int]]
    retransmissions: int
    reset: bool


class Connection(Struct):
    """A TCP connection in a capture (``--list``)."""

    number: int
    frames: int
    started_ns: int | None
    ended_ns: int | None
    round_trip_s: float | None
    closed: bool
    client: Side
    server: Side


class Followed(Struct, rename={"sender": "from"}):
    """What one side sent (``--follow``), as hexadecimal digits."""

    sender: Literal["client", "server"]
    data: str


class ArpCounts(Struct):
    """The whole scan."""

    asked: int
    missing: int


class TracedHop(Struct):
    """One distance, with each probe's fate."""

    time_to_live: int
    mtu: int | None
    probes: list[_record("TracedProbe", Probe)]  # type: ignore[valid-type]


class Route(Struct):
    """The end of the route."""

    destination: str
    reached: bool


class Dry(Struct):
    """A frame that would be sent (``--dry-run``), as hexadecimal digits and in words."""

    frame: str
    summary: str


class Sent(Struct):
    """What was sent."""

    frames: int
    bytes: int
    seconds: float


class Received(Struct, rename={"sender": "from"}):
    """Bytes that came: ``text`` where they are UTF-8, else ``base64``; of datagrams who sent them, and to where."""

    received: int
    text: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    sender: str | UnsetType = UNSET
    peer: str | UnsetType = UNSET
    to: str | UnsetType = UNSET
    interface: str | int | UnsetType | None = UNSET
    ttl: int | UnsetType | None = UNSET


class Event(Struct):
    """Something that happened: ``connected``, ``listening``, ``accepted``, ``ended``, ``dropped``, ``end``."""

    event: str
    peer: str | UnsetType = UNSET
    local: str | UnsetType = UNSET
    backlog: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
    group: str | UnsetType = UNSET
    datagrams: int | UnsetType = UNSET
    pid: int | UnsetType | None = UNSET
    uid: int | UnsetType | None = UNSET
    sent: int | UnsetType = UNSET
    received: int | UnsetType = UNSET
    seconds: float | UnsetType = UNSET


class RunningLab(Struct):
    """A lab that is up."""

    lab: str


class LabStatus(Struct):
    """A lab that is up, with its hosts, and the settings and counters of its links."""

    lab: str
    hosts: list[dict[str, Any]]
    links: list[dict[str, Any]]


class StoredRecording(Struct):
    """A recording in the state folder; of one that cannot be read only ``error`` and what its file says."""

    name: str
    path: str
    size_bytes: int
    error: str | None
    started_ns: int | UnsetType | None = UNSET
    duration_ns: int | UnsetType | None = UNSET
    growing: bool | UnsetType = UNSET
    complete: bool | UnsetType = UNSET
    exit_status: int | UnsetType | None = UNSET
    command: list[str] | str | UnsetType | None = UNSET
    findings: int | UnsetType = UNSET


class Removed(Struct):
    """A recording that was removed (``--prune``)."""

    removed: str
    size_bytes: int


class Decoded(Struct):
    """A frame in words and, of TCP and UDP, its header."""

    summary: str
    protocol: int | UnsetType = UNSET
    source_port: int | UnsetType = UNSET
    destination_port: int | UnsetType = UNSET
    length: int | UnsetType = UNSET
    flags: int | str | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    acknowledgement: int | UnsetType = UNSET
    window: int | UnsetType = UNSET


class FirstDivergence(Struct):
    """Where a layer parts first."""

    layer: Literal["calls", "kernel", "wire"]
    divergence: Divergence


class FirstLine(Struct):
    """Where a layer parts first."""

    first: FirstDivergence


class ComparedFinding(Struct):
    """A finding, and which of the runs has it."""

    finding: Finding
    where: Literal["only_bad", "only_good", "both"]


class DiffCounts(Struct):
    """The whole comparison; ``not_compared`` says why of a layer that one of the recordings lacks."""

    same: bool
    not_compared: dict[str, str]
    pairs: int


class RedactedFile(Struct):
    """What was taken out, and the rules whose findings are in the new recording still, no more, or for the first time."""

    path: str
    payload_bytes: int
    shaped_sockets: int
    addresses: int
    names: int
    findings_kept: int
    findings_lost: list[str]
    findings_new: list[str]


class Page(Struct):
    """Where the page is."""

    url: str


class Lesson(Struct):
    """A lesson in the list; ``claims`` and ``builds_on`` are ids."""

    id: str
    door: str
    title: str
    minutes: int
    builds_on: list[str]
    claims: list[str]


class Claim(Struct):
    """A claim and what its experiment showed on this kernel."""

    id: str
    lesson: str
    slide: Any
    claim: str
    verdict: str
    expected: str
    seen: dict[str, Any]
    statement: str
    took_s: float
    failure: str | UnsetType = UNSET
    not_shown: str | UnsetType = UNSET


class Scenario(Struct):
    """One of the situations in which a program is tried."""

    scenario: str
    title: str


class Exercise(Struct):
    """What a program must do; ``lessons``: ids of those to play before."""

    exercise: str
    title: str
    level: Any
    protocol: str
    role: str
    usage: Any
    task: str
    lessons: list[str]
    scenarios: list[Scenario]


class Question(Struct):
    """A question of the quiz; ``choices``: letter -> answer, none where it is typed."""

    id: str
    ask: str
    reason: str
    choices: dict[str, str]


class Answer(Struct):
    """An answer of the quiz, judged by playing the question."""

    id: str
    answer: str
    right: bool | None
    right_answer: str | None
    because: str
    seen: dict[str, Any]
    failure: str | None
    took_s: float


class QuizCounts(Struct):
    """The whole quiz."""

    asked: int
    right: int


class Output(NamedTuple):
    """The kinds of lines of one command, and how many objects there are."""

    lines: tuple[type[Struct], ...]
    says: str  #: what comes in which order


_FINDINGS: Final = (Finding, Summary)
_TALK: Final = (Event, Received)
_ADDRESS: Final = str | None
_DECODED: Final = Decoded | UnsetType

_SHOW: Final = (
    _under("show", "recording", dict[str, Any]),
    _under("show", "process", _shown(events.Process, name=str)),
    _under("show", "source", events.Source),
    _under(
        "show",
        "socket",
        _shown(events.Socket, local=_ADDRESS, remote=_ADDRESS, family=str, type=str, protocol=str),
    ),
    _under("show", "descriptor", events.Descriptor),
    _under(
        "show",
        "call",
        _shown(
            events.Call,
            name=str,
            text=str,
            error=str | None,
            address=_ADDRESS,
            file=str | None,
            line=int | None,
            known=Literal["unknown", "direct", "creator", "awaiting", "library"],
        ),
    ),
    _under(
        "show",
        "state",
        _shown(
            events.State,
            moment=Literal["entry", "exit", "sample", "destroyed"],
            state=str | None,
            local=_ADDRESS,
            remote=_ADDRESS,
        ),
    ),
    _under("show", "packet", _shown(events.Packet, decoded=_DECODED)),
    _under("show", "counter", events.Counter),
    _under("show", "fact", _shown(events.Fact, value=Any)),
    _under("show", "mark", events.Mark),
    _under("show", "conversation", ConversationLine),
    _under("show", "line", Line),
    _under("show", "way", WayLine),
)

#: What each command prints, by its words.
OUTPUT: Final[dict[str, Output]] = {
    "explain": Output(_FINDINGS, "findings by rank, then the summary"),
    "inspect": Output(
        (
            _under("inspect", "thread", inspect.Thread),
            _under("inspect", "task", inspect.Task),
            _under("inspect", "socket", inspect.Socket),
            *_FINDINGS,
        ),
        "threads, tasks, sockets, findings by rank, then the summary",
    ),
    "inspect --all": Output(
        (_under("inspect_all", "sick", Sick), _under("inspect_all", "summary", InspectCounts)),
        "what is sick, worst first, then the summary",
    ),
    "show": Output(_SHOW, "what there is, what happened in the order of time, then conversations"),
    "show --summary": Output(
        (_under("show_summary", "call", CallTotal), _under("show_summary", "socket", SocketTotal)),
        "calls by name, then sockets",
    ),
    "diff": Output(
        (_under("diff", "pair", Pair), FirstLine, ComparedFinding, _under("diff", "summary", DiffCounts)),
        "pairs of sockets, where each layer parts first, findings, then the summary",
    ),
    "redact": Output((RedactedFile,), "one object"),
    "doctor": Output((Row, _under("doctor", "summary", DoctorCounts)), "features, then the summary"),
    "options": Output((Option,), "one for each option"),
    "recordings": Output((StoredRecording, Removed), "the newest first"),
    "tcp": Output(_TALK, "what happened and what came"),
    "udp": Output(_TALK, "what happened and what came"),
    "unix": Output(_TALK, "what happened and what came"),
    "capture": Output((Frame, Connection, Followed), "frames; with --list connections, with --follow what they sent"),
    "inject": Output((Dry, Sent), "with --dry-run the frames; at the end what was sent"),
    "replay": Output((_record("Replay", Replayed, ("dry_run", bool)),), "one object"),
    "ping": Output(
        (
            _under("ping", "reply", _record("PingReply", Reply)),
            _under("ping", "summary", _record("PingCounts", PingSummary, ("loss", float))),
        ),
        "what became of each request, then the summary",
    ),
    "traceroute": Output(
        (_under("traceroute", "hop", TracedHop), _under("traceroute", "summary", Route)),
        "distances, then the summary",
    ),
    "arp": Output(
        (_under("arp", "neighbour", _record("ArpNeighbour", Neighbour)), _under("arp", "summary", ArpCounts)),
        "who answered, then the summary",
    ),
    "lab status": Output((LabStatus,), "one object"),
    "lab list": Output((RunningLab,), "one for each lab"),
    "web": Output((Page,), "one object, when the page is up"),
    "lesson": Output((Claim, Lesson), "one for each claim; without a name one for each lesson"),
    "lesson course": Output((Course,), "one for each course"),
    "lesson check": Output((Verdict,), "one object"),
    "lesson exercise": Output((Exercise,), "one for each exercise"),
    "lesson quiz": Output(
        (
            _under("quiz", "question", Question),
            _under("quiz", "answer", Answer),
            _under("quiz", "summary", QuizCounts),
        ),
        "questions; with --answers the answers and the summary",
    ),
}


def schema(command: str) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a line that a command prints with ``--json``."""
    output = OUTPUT[command]
    lines, parts = msgspec.json.schema_components(output.lines, ref_template="#/$defs/{name}")
    for part in parts.values():
        _describe(part)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of wallsocket {command} --json",
        "description": f"One object per line: {output.says}. Keys may be added.",
        "anyOf": list(lines),
        "$defs": parts,
    }


def _describe(part: dict[str, Any]) -> None:
    """Give each property what the docstring's section ``Attributes`` says of it."""
    text, _, attributes = inspecting.cleandoc(part.get("description", "")).partition("Attributes:\n")
    if text:
        part["description"] = " ".join(text.split())
    names = ""
    for line in attributes.splitlines():
        if found := re.match(r"    ([a-z_]+(?:, [a-z_]+)*): (.*)", line):
            names, said = found[1], found[2]
        else:
            said = line.strip()
        for name in names.split(", ") if said else ():
            entry = part.get("properties", {}).get(name)
            if entry is not None:
                before = entry.get("description", "")
                entry["description"] = f"{before} {said.replace('``None``', 'null').replace('``', '`')}".strip()
