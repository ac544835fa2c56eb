"""Runs the rules over a recording: one ordered pass, then judgement.

:func:`diagnose` does it for a whole recording. :class:`Engine` can also be fed as the events come, so that a trace
prints a certain finding when it happens. Calls are handled where they returned, a little later than that: the sample
taken when a call returned is stamped after it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from ..events import Call, Counter, Fact, Mark, Moment, Packet, State
from ..trace.syscalls import names
from ..trace.verdict import duration
from .facts import CallFacts, Facts, Tables
from .finding import CERTAINTIES, SEVERITIES, CannotTell, Diagnosis, Finding, ProcessName, SocketName
from .rule import Evidence, Rule
from .rules import all_rules

if TYPE_CHECKING:
    from .facts import SocketFacts

__all__ = ["Engine", "Source", "diagnose"]

Event: TypeAlias = Call | State | Packet | Counter | Fact | Mark

#: A sample is taken while its thread stands still at the call's return: within this time of it.
_SAMPLE_LAG_NS = 20_000_000
#: Sockets that may be remembered at once; beyond this the closed ones are judged and forgotten.
_MAX_SOCKETS = 20_000
#: Proof rows of one finding that are shown; a repeated fault repeats its rows.
_MAX_PROOF = 12
#: Cases of one rule that are kept; later ones are only counted.
_MAX_CASES = 10_000


class Source(Tables, Protocol):
    """A whole recording."""

    def events(self) -> Iterable[Event]:
        """Everything that has a time, in the order of time."""


def diagnose(recording: Source, rules: Sequence[Rule] | None = None) -> Diagnosis:
    """Judge a recording that has ended, or the part of it that exists.

    Raises:
        RecordingError: the recording is damaged.

    """
    engine = Engine(recording, rules)
    engine.feed(recording.events())
    return engine.conclude()


class Engine:
    """Takes events in order of time and says what the rules find."""

    def __init__(self, tables: Tables, rules: Sequence[Rule] | None = None) -> None:
        self.facts = Facts(tables)
        unfit = "no" if self.facts.pictures else "only"
        self.rules: Sequence[Rule] = [rule for rule in (rules or all_rules()) if rule.pictures != unfit]
        self._names = names(tables.meta.get("machine", ""))
        self._open: dict[int, CallFacts] = {}
        self._early: dict[int, list[State]] = {}  # samples whose call has not come yet
        self._queue: list[tuple[int, int, int, CallFacts | State | Counter | Fact | Mark | Packet]] = []
        self._number = 0
        self._cases: dict[int, list[Evidence]] = {}  # by the socket that was judged
        self._cases_left = _MAX_CASES
        self._more: dict[str, int] = {}
        self._open_questions: dict[str, CannotTell] = {}
        self._told: set[tuple[str, int | None, int | None]] = set()

    # -- events

    def feed(self, events: Iterable[Event]) -> None:
        """Take the next events, in order of time (calls by entry or by return; a call may come again when it ends)."""
        for event in events:
            if isinstance(event, Call):
                self._call(event)
                self._settle(event.entry_ns)
            else:
                if isinstance(event, State) and event.call is not None:
                    self._attach(event)
                self._push(event.at_ns, 1, event)
                self._settle(event.at_ns)
            if len(self.facts.sockets) > _MAX_SOCKETS:
                self._retire()

    def flush(self) -> None:
        """Handle what waits for later samples: no more will come, or the moment has to be judged now."""
        self._settle(None)

    def _push(self, at_ns: int, rank: int, item: CallFacts | State | Counter | Fact | Mark | Packet) -> None:
        self._number += 1
        heapq.heappush(self._queue, (at_ns, rank, self._number, item))

    def _call(self, call: Call) -> None:
        known = self._open.get(call.id)
        if known is None:
            known = self._open[call.id] = CallFacts(call, self._names.get(call.number, f"syscall {call.number}"))
            if self._early:
                for state in self._early.pop(call.id, ()):
                    self._attach(state)
            if call.took_ns is None or call.took_ns > _SAMPLE_LAG_NS:
                # While others happen it waits; of a short call the end says all.
                known.begun = True
                self._push(call.entry_ns, 0, known)
        elif known.call.took_ns is not None:
            return
        known.call = call
        if call.took_ns is not None:
            self._push(call.entry_ns + call.took_ns, 2, known)

    def _attach(self, state: State) -> None:
        assert state.call is not None
        known = self._open.get(state.call)
        if known is None:
            if len(self._early) < 10_000:
                self._early.setdefault(state.call, []).append(state)
        elif state.moment == Moment.ENTRY:
            known.entry = state
        elif state.moment == Moment.EXIT:
            known.exit = state

    def _settle(self, now_ns: int | None) -> None:
        queue, facts = self._queue, self.facts
        while queue and (now_ns is None or queue[0][0] + _SAMPLE_LAG_NS <= now_ns):
            _, rank, _, item = heapq.heappop(queue)
            if isinstance(item, CallFacts):
                if rank == 0 or not item.begun:
                    facts.begin(item)
                if rank == 2:
                    facts.end(item)
                    self._open.pop(item.call.id, None)
            elif isinstance(item, State):
                facts.see_state(item)
            elif isinstance(item, Counter):
                facts.see_counter(item)
            elif isinstance(item, Fact):
                facts.see_fact(item)
            elif isinstance(item, Mark):
                facts.see_mark(item)
            else:
                facts.see_packet(item)
        if now_ns is None:
            self._early.clear()

    def _retire(self) -> None:
        """Judge and forget the sockets that were closed first, so that memory does not grow with the recording."""
        facts = self.facts
        closed = [
            number
            for number, socket in facts.sockets.items()
            if facts.ended_ns(socket) is not None
            and (facts.ended_ns(socket) or 0) + 1_000_000_000 < facts.now_ns
            and not socket.waiting
        ]
        self._judge(facts.touched)
        facts.retire(closed[: max(_MAX_SOCKETS // 2, 1)])

    # -- judgement

    def news(self) -> list[Finding]:
        """Certain findings that were not told before; cheap when nothing happened."""
        touched = set(self.facts.touched)
        self.facts.relearn(touched)
        self._judge(touched)
        fresh = []
        for evidence in self._standing():
            key = (evidence.rule.id, evidence.socket, evidence.call.id if evidence.call is not None else None)
            if evidence.certainty == "certain" and key not in self._told:
                self._told.add(key)
                fresh.append(self._finding(evidence, 1, None, len(self._told)))
        return fresh

    def conclude(self) -> Diagnosis:
        """Everything that can be said of what was fed; the recording has ended."""
        self.flush()
        facts = self.facts
        facts.final = True
        facts.relearn(facts.sockets)
        ended = facts.tables.meta.get("ended_ns", "")
        if ended.isdecimal():
            # Sockets may have been looked at later, when calls were no longer followed: no call waited until then.
            facts.now_ns = int(ended)
        missing = self._missing()
        able = [rule for rule in self.rules if rule.id not in missing]
        self._judge(set(facts.sockets), able)
        findings = self._ranked(self._standing())
        found = {finding.rule for finding in findings}
        questions = {**self._open_questions, **missing}
        # A question that another case answered is not open, and a superseded rule has been checked.
        cannot_tell = [questions[rule.id] for rule in self.rules if rule.id in questions and rule.id not in found]
        silent = {question.rule for question in cannot_tell}
        lost = facts.tables.meta.get("lost", "0")
        return Diagnosis(
            tuple(findings),
            tuple(rule.id for rule in self.rules if rule.id not in silent),
            tuple(cannot_tell),
            int(lost) if lost.isdecimal() else 0,
            facts.status(),
            "ended_ns" in facts.tables.meta,
            self._failure(),
        )

    def _failure(self) -> str | None:
        """Why the recorder could not write to the end, and the last moment that stands in the recording."""
        reason = self.facts.tables.meta.get("failure")
        return None if reason is None else f"cut off at {duration(self.facts.now_ns)}: {reason}"

    def _missing(self) -> dict[str, CannotTell]:
        found = {}
        for rule in self.rules:
            for layer in rule.layers:
                reason = self.facts.layer(layer)
                if reason is not None and not (layer == "calls" and self.facts.pictures):
                    found[rule.id] = CannotTell(rule.id, layer, reason)
        return found

    def _judge(self, numbers: Iterable[int], rules: Sequence[Rule] | None = None) -> None:
        """Ask every rule about some sockets; what was said of them before is forgotten."""
        facts = self.facts
        for number in sorted(numbers):
            socket = facts.sockets.get(number)
            if socket is None:
                continue
            self._cases_left += len(self._cases.pop(number, ()))
            cases = []
            for rule in self.rules if rules is None else rules:
                for result in rule.evaluate(facts, socket):
                    if isinstance(result, CannotTell):
                        self._open_questions.setdefault(result.rule, result)
                    elif self._cases_left > 0:
                        self._cases_left -= 1
                        cases.append(result)
                    else:
                        self._more[rule.id] = self._more.get(rule.id, 0) + 1
            if cases:
                self._cases[number] = cases
        facts.touched.clear()

    def _standing(self) -> list[Evidence]:
        """The cases that no more specific rule explains."""
        cases = [case for found in self._cases.values() for case in found]
        covered: dict[str, set[int]] = {}
        for case in cases:
            for rule in case.rule.supersedes:
                covered.setdefault(rule, set()).update(case.subjects)
        return [case for case in cases if case.socket is None or case.socket not in covered.get(case.rule.id, ())]

    def _ranked(self, cases: list[Evidence]) -> list[Finding]:
        groups = self._grouped(cases)
        cause_of = {id(group[0]): _cause(group[0], [other[0] for other in groups]) for group in groups}
        ordered: list[tuple[list[Evidence], Evidence | None]] = []
        roots = [group for group in groups if cause_of[id(group[0])] is None]
        placed: set[int] = set()

        def place(group: list[Evidence]) -> None:
            if id(group) in placed:
                return
            placed.add(id(group))
            ordered.append((group, cause_of[id(group[0])]))
            effects = [other for other in groups if cause_of[id(other[0])] is group[0]]
            for effect in sorted(effects, key=_weight):
                place(effect)

        for root in sorted(roots, key=_weight):
            place(root)
        return [
            self._finding(group[0], len(group) + (self._more.get(group[0].rule.id, 0)), cause, rank)
            for rank, (group, cause) in enumerate(ordered, 1)
        ]

    def _grouped(self, cases: list[Evidence]) -> list[list[Evidence]]:
        """Cases of one rule at one line are one finding; the first case speaks for them."""
        groups: dict[tuple[object, ...], list[Evidence]] = {}
        for evidence in sorted(cases, key=lambda case: (CERTAINTIES.index(case.certainty), case.at_ns)):
            source = self.facts.source(evidence.call)
            if source is not None and source.file is not None:
                key: tuple[object, ...] = (evidence.rule.id, source.file, source.line)
            else:
                key = (evidence.rule.id, evidence.process, evidence.title)
            groups.setdefault(key, []).append(evidence)
        for group in groups.values():
            for other in group[1:]:
                group[0].subjects |= other.subjects
        return list(groups.values())

    def _finding(self, evidence: Evidence, count: int, cause: Evidence | None, rank: int) -> Finding:
        facts = self.facts
        rule = evidence.rule
        source = facts.source(evidence.call)
        pid = facts.pid(evidence.process)
        socket = facts.sockets.get(evidence.socket) if evidence.socket is not None else None
        why = evidence.why
        if count > 1:
            why += f" The same at {count - 1} other time{'s' if count > 2 else ''} in this recording."
        return Finding(
            rule.id,
            rule.covers,
            evidence.severity,
            evidence.certainty,
            evidence.title,
            why,
            evidence.fix,
            cause.rule.id if cause is not None else None,
            ProcessName(pid, facts.command(evidence.process)) if pid is not None else None,
            _socket_name(evidence.socket, socket),
            source.file if source is not None else None,
            source.line if source is not None else None,
            tuple(evidence.proof[:_MAX_PROOF]),
            rank,
        )


def _socket_name(number: int | None, socket: SocketFacts | None) -> SocketName | None:
    if number is None:
        return None
    if socket is None:
        return SocketName(number, None, None)
    remote = socket.remote if socket.remote is not None and socket.remote.port else None
    return SocketName(number, str(socket.local) if socket.local else None, str(remote) if remote else None)


def _cause(effect: Evidence, cases: Iterable[Evidence]) -> Evidence | None:
    """The case that this one follows from: its rule says so and they share a connection."""
    causes: Iterator[Evidence] = (
        case
        for case in cases
        if case is not effect and effect.rule.id in case.rule.effects and case.subjects & effect.subjects
    )
    return min(causes, key=lambda case: (CERTAINTIES.index(case.certainty), case.at_ns), default=None)


def _weight(group: list[Evidence]) -> tuple[int, int, int]:
    case = group[0]
    return (CERTAINTIES.index(case.certainty), SEVERITIES.index(case.severity), case.at_ns)
