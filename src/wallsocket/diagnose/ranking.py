"""Puts cases into order: what they supersede, what follows from what, what explains most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..events import Call, Source
from ..trace.syscalls import CONNECTS, names
from .address import address_of
from .facts import Facts
from .finding import CERTAINTIES, SEVERITIES, Finding, NotJudged, ProcessName, SocketName, Symptom
from .rule import Evidence, Healthy
from .trackers.set_up import SetUp
from .trackers.sockets import Sockets
from .trackers.symptoms import Symptoms

__all__ = ["Ranking"]

#: Proof rows of one finding that are shown; a repeated fault repeats its rows.
_MAX_PROOF = 12

Judged = Callable[
    [Symptoms, Sequence[Evidence], Iterable[Healthy]], tuple[list[Symptom], list[NotJudged], dict[int, int]]
]


class Ranking:
    """The cases of all rules, and how they belong together."""

    def __init__(self, facts: Facts, cases: Sequence[Evidence], more: Mapping[str, int]) -> None:
        self._facts = facts
        self._cases = cases
        self._more = more

    def standing(self) -> list[Evidence]:
        """The cases that no more specific rule explains."""
        covered: dict[str, set[int]] = {}
        for case in self._cases:
            for rule in case.rule.supersedes:
                covered.setdefault(rule, set()).update(case.subjects)
        standing = [
            case for case in self._cases if case.socket is None or case.socket not in covered.get(case.rule.id, ())
        ]
        return [case for case in standing if not self._by_the_tracer(case)]

    def _by_the_tracer(self, case: Evidence) -> bool:
        """Whether a finding about time is smaller than what tracing itself may have added."""
        return case.lost_ns is not None and case.lost_ns <= 2 * self._facts.added_ns_per_call

    def ranked(
        self, symptoms: Symptoms, healthy: Iterable[Healthy], judged: Judged
    ) -> tuple[list[Symptom], list[NotJudged], list[Finding]]:
        """All findings, causes first and their effects behind them; and what became of the symptoms."""
        groups = self._grouped(self.standing())
        heads = [group[0] for group in groups]
        everything, open_ones, explained = judged(symptoms, heads, healthy)
        causes = self._causes(heads)
        effects: dict[int, list[int]] = {}
        for effect, of in causes.items():
            effects.setdefault(of, []).append(effect)

        def weight(number: int) -> tuple[int, int, int, int]:
            case = heads[number]
            certainty = CERTAINTIES.index(case.certainty)
            # A note never stands before what is likely and worse.
            note = case.severity == "note"
            return (
                2 * max(certainty, CERTAINTIES.index("strong")) + 1 if note else 2 * certainty,
                SEVERITIES.index(case.severity),
                -explained.get(number, 0).bit_length(),
                case.at_ns,
            )

        findings: list[Finding] = []
        placed: set[int] = set()
        stack = sorted((number for number in range(len(heads)) if number not in causes), key=weight, reverse=True)
        while stack:
            number = stack.pop()
            if number in placed:
                continue
            placed.add(number)
            group = groups[number]
            cause = heads[causes[number]] if number in causes else None
            count = sum(case.count for case in group) + self._more.get(group[0].rule.id, 0)
            findings.append(self.finding(group[0], count, cause, len(findings) + 1))
            stack += sorted(effects.get(number, ()), key=weight, reverse=True)
        return everything, open_ones, findings

    def _grouped(self, cases: list[Evidence]) -> list[list[Evidence]]:
        """Cases of one rule at one line are one finding; the first case speaks for them."""
        groups: dict[tuple[object, ...], list[Evidence]] = {}
        for evidence in sorted(cases, key=lambda case: (CERTAINTIES.index(case.certainty), case.at_ns)):
            source = self._source(evidence)
            if source is not None and source.file is not None:
                key: tuple[object, ...] = (evidence.rule.id, source.file, source.line)
            else:
                function = source.function if source is not None else None
                key = (evidence.rule.id, evidence.process, evidence.title, evidence.where, function)
            groups.setdefault(key, []).append(evidence)
        for group in groups.values():
            if len(group) > 1:
                group[0].subjects = frozenset().union(*(case.subjects for case in group))
                group[0].calls = [call for case in group for call in _calls(case)]
        return list(groups.values())

    def _causes(self, heads: Sequence[Evidence]) -> dict[int, int]:
        """Which case follows from which: its rule says so and they share a socket."""
        by_socket: dict[int, list[int]] = {}
        for number, head in enumerate(heads):
            if head.rule.effects:
                for socket in head.subjects:
                    by_socket.setdefault(socket, []).append(number)
        found: dict[int, int] = {}
        for number, head in enumerate(heads):
            candidates = {
                cause
                for socket in head.subjects
                for cause in by_socket.get(socket, ())
                if cause != number and heads[cause].leads_to(head.rule.id)
            }
            if candidates:
                found[number] = min(
                    candidates, key=lambda cause: (CERTAINTIES.index(heads[cause].certainty), heads[cause].at_ns, cause)
                )
        return found

    def _source(self, evidence: Evidence) -> Source | None:
        """The line that a case shows."""
        if evidence.source is not None:
            return self._facts.tables.sources.get(evidence.source)
        return self._facts.source(evidence.call)

    def finding(self, evidence: Evidence, count: int, cause: Evidence | None, rank: int) -> Finding:
        """A case as people and programs get it."""
        facts = self._facts
        rule = evidence.rule
        source = self._source(evidence)
        pid = facts.pid(evidence.process)
        why = evidence.why
        if count > 1:
            why += f" The same at {count - 1} other time{'s' if count > 2 else ''} in this recording."
        return Finding(
            rule.id,
            evidence.covers,
            evidence.severity,
            evidence.certainty,
            evidence.title,
            why,
            evidence.fix,
            cause.rule.id if cause is not None else None,
            ProcessName(pid, facts.command(evidence.process)) if pid is not None else None,
            self._socket_name(evidence.socket, evidence.call),
            source.file if source is not None else None,
            source.line if source is not None else None,
            tuple(evidence.proof[:_MAX_PROOF]),
            rank,
            function=source.name if source is not None and (source.file is None or source.begins) else None,
            begins=source is not None and source.begins,
        )

    def _socket_name(self, number: int | None, call: Call | None) -> SocketName | None:
        if number is None:
            return None
        socket = self._facts[Sockets].get(number)
        row = self._facts.tables.sockets.get(number)
        local = socket.local if socket is not None else None
        remote = socket.remote if socket is not None else None
        if socket is None and row is not None:
            local, remote = address_of(row.local), address_of(row.remote)
        remote = remote if remote is not None and remote.port else None
        if local is not None and local.wildcard:
            # It was never bound, or this is what the kernel leaves of the address when a connect has failed.
            set_up = self._facts[SetUp].of(socket) if socket is not None else None
            connected = set_up is not None and set_up.bind is None and set_up.connect is not None
            if socket is None and remote is None and call is not None and call.socket == number:
                # It was forgotten when it had ended; a datagram that was sent binds, too.
                connected = names(self._facts.tables.meta.get("machine", "")).get(call.number) in CONNECTS
            if not local.port or connected:
                local = None
        return SocketName(number, str(local) if local else None, str(remote) if remote else None)


def _calls(case: Evidence) -> list[int]:
    return [*case.calls, *(proof.row for proof in case.proof if proof.table == "call")]
