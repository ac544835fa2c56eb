"""What one recording says must be said alike by all who read it: which sockets talk, and what things are called."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from wallsocket.diagnose import all_rules, diagnose, rule_of
from wallsocket.diagnose.engine import Engine
from wallsocket.diagnose.facts import Facts
from wallsocket.diagnose.finding import Diagnosis, SocketName
from wallsocket.diagnose.formats import sarif
from wallsocket.diagnose.otlp import otlp
from wallsocket.diagnose.rule import Judgement, Rule
from wallsocket.diagnose.subjects import SocketFacts
from wallsocket.diagnose.text import report
from wallsocket.diagnose.trackers.peers import Peers
from wallsocket.events import Descriptor
from wallsocket.kernel import names as naming
from wallsocket.trace.choice import Choice
from wallsocket.trace.export import export
from wallsocket.trace.joins import Basis
from wallsocket.trace.labels import conversation_title, process_label
from wallsocket.trace.ladder import Ladder, header
from wallsocket.trace.recording import Recording
from wallsocket.trace.timeline import Timeline
from wallsocket.trace.totals import Totals
from wallsocket.trace.views import json_lines, state_lines
from wallsocket.view.overview import OverviewAsked, overview
from wallsocket.view.snapshot import Snapshot

__all__ = ["assert_inspected_alike", "assert_views_agree"]

#: Tried at the beginning of a word only: a line of JSON may be one word of a megabyte.
_PROCESS = re.compile(r"(?<![^\s\"])([^\s\"]+) \(pid (\d+)\)")
#: States of TCP as anybody might spell them.
_STATE = re.compile(
    r"\b(?:(?:TCP_)?(?:(?:FIN|TIME|CLOSE)[-_ ]?WAIT(?:[-_ ]?[12])?|LAST[-_ ]?ACK|SYN[-_ ]?(?:SENT|RECV|RECEIVED))"
    r"|ESTABLISHED|ESTAB)\b"
)
_STATES = {naming.tcp_state(number) for number in range(1, 13)}


class _Asked(Rule):
    """A rule that writes down which peer rules are told of."""

    id = "asked"
    layers = ()
    subject = "socket"
    needs = (Peers,)
    pictures = "also"

    def __init__(self) -> None:
        self.peers: dict[int, tuple[int, Basis] | None] = {}

    def judge(self, facts: Facts, subject: SocketFacts) -> Iterator[Judgement]:
        peer = facts[Peers].joins.peer(subject.id)
        self.peers[subject.id] = (peer.socket, peer.basis) if peer is not None else None
        return iter(())


def assert_views_agree(path: Path, *, everywhere: bool = True) -> None:
    """Compare what the views of a recording say.

    - The peers that rules are told of are those of the ladder's conversations.
    - A process has one name in the ladder, the list of states, ``show --json``, ``explain`` and ``explain --json``; with
      ``everywhere`` also in the sums of calls, the page's overview and each export.
    - A socket has the same addresses in them.
    - A TCP state is written as the kernel's tools write it.
    - A cause is named as its rule is.
    """
    with Recording.open(path) as recording:
        timeline = Timeline(recording)
        _assert_one_join(recording, timeline)
        judged = diagnose(recording)
        ladder = Ladder(timeline, width=200, colour=False)
        shown = "\n".join(
            [
                *header(timeline, colour=False),
                *(line for one in timeline.wanted() for line in ladder.draw(one)),
                *ladder.summary(timeline.wanted()),
                *ladder.failed_alone(),
                *state_lines(timeline, colour=False),
            ]
        )
        data = b"\n".join(json_lines(recording, timeline=timeline)).decode()
        explained = "\n".join(report(judged, width=100_000))
        explained_data = b"\n".join(judged.json_lines()).decode()
        elsewhere = _elsewhere(path, recording, timeline, judged) if everywhere else {}
        texts = {"show": shown, "show --json": data, "explain": explained, **elsewhere}
        _assert_one_name(recording, texts, explained_data)
        _assert_one_address(timeline, judged)
        for said in (shown, explained, explained_data, *elsewhere.values()):
            assert set(_STATE.findall(said)) <= _STATES, set(_STATE.findall(said)) - _STATES
        for finding in judged.findings:
            rule = rule_of(finding.rule)
            assert rule is not None
            assert set(finding.covers) >= set(rule.covers)
            assert finding.rule in explained or finding.follows_from is not None
            assert finding.title in explained


def _elsewhere(path: Path, recording: Recording, timeline: Timeline, judged: Diagnosis) -> dict[str, str]:
    """What the other views say, as text. Bytes of programs stay out: they may spell whatever they like."""
    found = {"totals": "\n".join(Totals(timeline, Choice(recording)).lines(colour=False))}
    with Snapshot(path) as snapshot:
        found["overview"] = msgspec.json.encode(overview(snapshot, OverviewAsked())).decode()
    found["sarif"] = json.dumps(sarif(judged.findings, all_rules(), version="0", root=Path("/")))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("mermaid", "ndjson", "qlog", "pcapng"):
            target = Path(folder) / name
            told = export(recording, target, to=name, findings=judged.findings).discretion
            found[name] = target.read_bytes().decode(errors="replace")
    found["otlp"] = json.dumps(otlp(recording, judged.findings, version="0", told=told.text))
    found["mermaid"] = re.sub(r"#(\d+);", lambda code: chr(int(code[1])), found["mermaid"])
    # Comments stand among binary fields, with their lengths before them.
    found["pcapng"] = "\n".join(
        re.findall(r"(?:implied, not captured|[\w.+-]+ \(pid \d+\))[\x20-\x7e]*", found["pcapng"])
    )
    first = recording.processes.get(1)
    if first is not None:
        title = json.loads(found["qlog"].partition("\n")[0].lstrip("\x1e"))["trace"]["title"]
        assert title == told.text(process_label(first))
    for line in map(json.loads, found["ndjson"].splitlines()):
        _assert_told_alike(recording, judged, line)
    return found


def _assert_told_alike(recording: Recording, judged: Diagnosis, line: dict[str, Any]) -> None:
    """Sockets and causes of a line of NDJSON are called as they are by the recording and by its rules."""
    row = line.get("socket") if len(line) == 1 else None
    if row is not None and recording.sockets[row["id"]].family != socket.AF_UNIX:
        for side in ("local", "remote"):
            raw = getattr(recording.sockets[row["id"]], side)
            assert row[side] == (naming.address(raw) if raw is not None else None), (row, side)
    if "rule" in line:
        assert line["rule"] in {finding.rule for finding in judged.findings}


def _assert_one_join(recording: Recording, timeline: Timeline) -> None:
    asked = _Asked()
    engine = Engine(recording, [asked])
    engine.feed(recording.events())
    engine.conclude()
    drawn: dict[int, set[tuple[int, Basis | None]]] = {}
    talks: Counter[int] = Counter()
    for conversation in timeline.conversations:
        left, right = conversation.left, conversation.right
        if right is not None:
            drawn.setdefault(left, set()).add((right, conversation.basis))
            drawn.setdefault(right, set()).add((left, conversation.basis))
            talks.update((left, right))
    datagrams = {row.id for row in recording.sockets.values() if row.type == socket.SOCK_DGRAM}
    places = Counter(recording.sockets[number].local for number in datagrams)
    sharing = {number for number in datagrams if places[recording.sockets[number].local] > 1}
    told = {frozenset((one, peer[0])) for one, peer in asked.peers.items() if peer is not None}
    for number, peer in asked.peers.items():
        others = drawn.get(number, set())
        if timeline.tracks[number].listening:
            continue
        if number not in datagrams:
            assert others == ({peer} if peer is not None else set()), (number, peer, others)
            continue
        if {number, *(other for other, _ in others)} & sharing:
            # Which of the sockets on one port hears is not in the addresses: each view says what it infers.
            continue
        # It may talk with many, each of which has a conversation; and who only listens is known by who sends to it.
        assert peer is None or peer[0] in {other for other, _ in others}, (number, peer, others)
        for other, _ in others:
            # By several addresses, as of groups, it is several conversations, and of no address the only peer.
            only = len(others) == 1 == len(drawn[other]) and talks[number] == 1 == talks[other]
            assert not only or frozenset((number, other)) in told, (number, other)


def _assert_one_name(recording: Recording, texts: dict[str, str], explained_data: str) -> None:
    names: dict[int, set[str]] = {}
    for view, text in texts.items():
        for name, pid in _PROCESS.findall(text.replace("unknown program", "unknown-program")):
            names.setdefault(int(pid), set()).add(f"{view}: {name.lstrip('([')}")
    for line in texts["show --json"].splitlines():
        process = json.loads(line).get("process") if line.startswith('{"process"') else None
        if process is not None:
            names.setdefault(process["pid"], set()).add(f"show --json: {process['name'].replace(' ', '-')}")
    for line in explained_data.splitlines():
        process = json.loads(line).get("process")
        if process is not None:
            name = (process["command"] or "unknown program").replace(" ", "-")
            names.setdefault(process["pid"], set()).add(f"explain --json: {name}")
    pids = [process.pid for process in recording.processes.values()]
    for pid, said in names.items():
        # After exec the process is another one with the same pid, and has the name of its new program.
        assert len({one.partition(": ")[2] for one in said}) <= max(1, pids.count(pid)), (pid, said)


def _assert_one_address(timeline: Timeline, judged: Diagnosis) -> None:
    for finding in judged.findings:
        said: SocketName | None = finding.socket
        if said is None:
            continue
        titles = " ".join(
            conversation_title(timeline, one) for one in timeline.conversations if said.id in (one.left, one.right)
        ).split()
        for end in (said.local, said.peer):
            assert end is None or end in titles or end.removeprefix("unix:") in titles, (finding.rule, said, titles)


def assert_inspected_alike(path: Path, data: str, shown: str) -> None:
    """Compare what ``inspect --json`` and ``inspect`` said of running programs with the recording that was made meanwhile.

    - A process has the name that the recording's views give it.
    - A socket, known by its inode, has the same addresses, and belongs to the same processes.
    - A TCP state is written as the kernel's tools write it.
    """
    with Recording.open(path) as recording:
        names = {process.pid: process_label(process) for process in recording.processes.values()}
        recorded = {row.inode: row for row in recording.sockets.values() if row.inode}
        holders: dict[int, set[int]] = {}
        for descriptor in recording.rows(Descriptor):
            row = recording.sockets[descriptor.socket]
            holders.setdefault(row.inode or 0, set()).add(recording.processes[descriptor.process].pid)
    called = {pid: name for name, pid in _PROCESS.findall(shown) if int(pid) in names}
    assert called, shown
    for pid, name in called.items():
        assert name == names[int(pid)].replace(" ", "-"), (pid, name, names[int(pid)])
    met = 0
    for line in map(json.loads, data.splitlines()):
        thread, sock = line.get("thread"), line.get("socket")
        if "rule" in line:
            named = rule_of(line["rule"])
            process = line["process"]
            assert named is not None, line
            assert set(line["covers"]) >= set(named.covers), line
            assert process is None or process["command"] == names.get(process["pid"], process["command"]), line
        if isinstance(thread, dict) and thread["pid"] in names:
            assert thread["command"] == names[thread["pid"]], thread
        if "rule" in line or not isinstance(sock, dict):
            continue
        if sock["protocol"].startswith("tcp"):
            assert sock["state"] in _STATES, sock
        row = recorded.get(sock["inode"])
        if row is None or row.family == socket.AF_UNIX:
            continue
        met += 1
        assert sock["local"] == (naming.address(row.local) if row.local is not None else None), (sock, row)
        if row.remote is not None:
            assert sock["peer"] == naming.address(row.remote), (sock, row)
        assert set(sock["pids"]) & set(names) <= holders[sock["inode"]], (sock, holders[sock["inode"]])
    assert met, data
