"""The first look at a recording: what is wrong, which programs took part, and how each socket is."""

from __future__ import annotations

import os
import signal
from typing import Final

import msgspec

from ..diagnose import Finding
from ..diagnose.text import closing_line
from ..kernel import names as naming
from ..kernel import program
from ..kernel.tcp_state import TcpState
from ..trace.labels import conversation_title, process_label, process_title
from ..trace.text import escape
from ..trace.tracks import Track
from ..trace.verdict import duration, verdict
from .snapshot import Snapshot, key_of

__all__ = ["FindingCard", "Overview", "OverviewAsked", "ProcessCard", "SocketCard", "finding_card", "overview"]

#: Wide enough for the closing words to stay in one line each: the screen breaks them.
_WIDE: Final = 1 << 20


class OverviewAsked(msgspec.Struct, frozen=True):
    """Which of the sockets: from the ``first`` one on, those whose words hold ``search``."""

    first: int = 0
    count: int = 60
    search: str = ""


class FindingCard(msgspec.Struct):
    """A finding at a glance.

    Attributes:
        number: position among the findings, from 1: its address.
        rule: id of the rule. severity, certainty: as of the finding.
        title: what happened, in words.
        where: line of code, or ``line unknown``.
        who: the program, in words; empty where there is none.
        follows_from: rule of the finding that is its cause.
        socket: id of the socket it is about.
        conversation: key of that socket's conversation.
    """

    number: int
    rule: str
    severity: str
    certainty: str
    title: str
    where: str
    who: str
    follows_from: str | None
    socket: int | None
    conversation: str | None


class ProcessCard(msgspec.Struct):
    """A program that took part.

    Attributes:
        id: process.id. pid: of the system.
        title: name and pid, in words. command: as it was started.
        language: ``python``, ``native``, …; ``None`` unknown.
        sockets: how many it had; ``None`` while that is being read.
        end: how it ended, in words; empty while it runs, or where that is unknown.
        failed: it ended by a signal, or with a status that is not 0.
    """

    id: int
    pid: int
    title: str
    command: str
    language: str | None
    sockets: int | None
    end: str
    failed: bool


class SocketCard(msgspec.Struct):
    """A socket at a glance.

    Attributes:
        id: socket.id. process: process.id.
        title: what it talks with, in words. who: name and pid of its program.
        kind: ``tcp``, ``udp``, ``unix``, ``listener`` or ``socket``.
        state: the last state of a TCP socket; ``None``: unknown, or it has none. inferred: nobody reported it.
        receive_queue, send_queue: bytes at the end (of a listener: connections, and the backlog); ``None`` unknown.
        drops: datagrams that the kernel dropped; ``None`` unknown.
        verdict: how it went, in words.
        conversation: key of its conversation.
        findings: numbers of the findings about it.
    """

    id: int
    process: int
    title: str
    who: str
    kind: str
    state: str | None
    inferred: bool
    receive_queue: int | None
    send_queue: int | None
    drops: int | None
    verdict: str
    conversation: str
    findings: list[int]


class Overview(msgspec.Struct):
    """The first look.

    Attributes:
        command: what was run, in words, after the files that it was read from, if so; empty for attached programs.
        recorded_ns: how long. calls, sockets: how many.
        started_realtime_ns: when it began (Unix time); ``None`` unknown.
        missing: layers that were not recorded, each with its reason.
        warnings: what is incomplete, in words.
        judged: whether the findings are made. findings: most probable cause first.
        closing: how much was checked and what was not judged, in words.
        processes: those with sockets first.
        cards: the sockets that were asked for, those with findings first. matching: how many fit the search.
    """

    command: str
    recorded_ns: int
    calls: int
    sockets: int
    started_realtime_ns: int | None
    missing: list[tuple[str, str]]
    warnings: list[str]
    judged: bool
    findings: list[FindingCard]
    closing: list[str]
    processes: list[ProcessCard]
    cards: list[SocketCard]
    matching: int


def overview(snapshot: Snapshot, asked: OverviewAsked) -> Overview:
    """The first look; while the joins are being made, without sockets."""
    recording = snapshot.recording
    meta = recording.meta
    cards = snapshot.remember("cards", lambda: _cards(snapshot)) if snapshot.has_joins else []
    words = asked.search.lower().split()
    fitting = [card for card in cards if all(word in _words_of(card) for word in words)]
    diagnosis = snapshot.diagnosis
    imported = " and ".join(program.command_words(meta.get("imported")))
    return Overview(
        escape(": ".join(filter(None, (imported, " ".join(program.command_words(meta.get("command"))))))),
        recording.ended_ns,
        snapshot.calls,
        recording.count("socket"),
        recording.meta_int("started_realtime_ns"),
        [(layer, escape(reason)) for layer, reason in recording.missing.items()],
        _warnings(snapshot),
        diagnosis is not None,
        [finding_card(snapshot, number, finding) for number, finding in enumerate(snapshot.findings, 1)],
        closing_line(diagnosis, width=_WIDE) if diagnosis is not None else [],
        _processes(snapshot),
        fitting[asked.first : asked.first + min(asked.count, 500)],
        len(fitting),
    )


def finding_card(snapshot: Snapshot, number: int, finding: Finding) -> FindingCard:
    """A finding at a glance."""
    where = f"{escape(finding.function)}, line unknown" if finding.function else "line unknown"
    if finding.file is not None:
        name = escape(os.path.basename(finding.file))
        where = f"{name}:{finding.line}" if finding.line is not None else name
        if finding.begins:
            where = f"{escape(finding.function or '')} ({where})"
    socket = finding.socket.id if finding.socket is not None else None
    conversations = snapshot.of_socket.get(socket, ()) if socket is not None and snapshot.has_joins else ()
    process = finding.process
    return FindingCard(
        number,
        finding.rule,
        finding.severity,
        finding.certainty,
        escape(finding.title),
        where,
        escape(program.label(process.command or "", process.pid)) if process is not None else "",
        finding.follows_from,
        socket,
        key_of(conversations[0]) if conversations else None,
    )


def _warnings(snapshot: Snapshot) -> list[str]:
    recording = snapshot.recording
    found = []
    if snapshot.only_first is not None:
        found.append(
            f"This is the beginning: {snapshot.only_first} of {snapshot.events} events; the rest is being read."
        )
    if recording.cut_off_ns is not None and not snapshot.growing:
        failure = f": {escape(recording.failure)}" if recording.failure is not None else ""
        found.append(f"The recording is cut off at {duration(recording.cut_off_ns)}{failure}.")
    lost = recording.meta.get("lost", "0")
    if lost != "0":
        found.append(f"{escape(lost)} events could not be recorded.")
    return found


def _processes(snapshot: Snapshot) -> list[ProcessCard]:
    counts: dict[int, int] | None = None
    if snapshot.has_joins:
        counts = {}
        for track in snapshot.timeline.tracks.values():
            counts[track.socket.process] = counts.get(track.socket.process, 0) + 1
    cards = []
    for process in snapshot.recording.processes.values():
        end, failed = "", False
        if process.signal is not None:
            end, failed = f"ended by {_signal(process.signal)}", True
        elif process.exit_code is not None:
            end, failed = f"ended with status {process.exit_code}", process.exit_code != 0
        elif process.ended_ns is not None:
            end = "ended"
        cards.append(
            ProcessCard(
                process.id,
                process.pid,
                process_title(process, snapshot.recording.networks),
                escape(" ".join(program.command_words(process.command))) or process_label(process),
                process.language,
                counts.get(process.id, 0) if counts is not None else None,
                end,
                failed,
            )
        )
    cards.sort(key=lambda card: (not card.sockets, card.id))
    return cards[:500]


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cards(snapshot: Snapshot) -> list[SocketCard]:
    timeline = snapshot.timeline
    about: dict[int, list[int]] = {}
    for number, finding in enumerate(snapshot.findings, 1):
        if finding.socket is not None:
            about.setdefault(finding.socket.id, []).append(number)
    cards = []
    said: dict[int, bool] = {}
    for number, track in timeline.tracks.items():
        conversation = snapshot.of_socket[number][0]
        if conversation.number not in said:
            said[conversation.number] = timeline.says_much(conversation)
        item = track.socket
        cards.append(
            SocketCard(
                number,
                item.process,
                conversation_title(timeline, conversation),
                process_title(timeline.processes.get(item.process), timeline.recording.networks),
                conversation.kind,
                naming.tcp_state(track.state) if track.state is not None else None,
                _is_inferred(track),
                # The kernel counts a FIN as a byte; what was unread at the end is known without it.
                track.unread if track.closed and track.unread is not None else track.receive_queue,
                # What a connection that never was wanted to send is its SYN.
                track.send_queue if track.state is not TcpState.CLOSE else None,
                track.drops,
                verdict(timeline, track),
                key_of(conversation),
                about.get(number, []),
            )
        )

    def order(card: SocketCard) -> tuple[int, bool, int]:
        return min(card.findings, default=1 << 30), not said[snapshot.of_socket[card.id][0].number], card.id

    cards.sort(key=order)
    return cards


def _is_inferred(track: Track) -> bool:
    return bool(track.path) and track.is_inferred(len(track.path) - 1)


def _words_of(card: SocketCard) -> str:
    return f"socket {card.id} {card.title} {card.who} {card.kind} {card.state or ''} {card.verdict}".lower()
