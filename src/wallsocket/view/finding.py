"""One finding: what happened, why, every row that proves it, what usually mends it, and the lines of code."""

from __future__ import annotations

from typing import Final

import msgspec

from ..diagnose import Finding, rule_of
from ..diagnose.text import source_lines
from ..errors import UsageError
from ..trace.text import escape
from .ladder import Locate, LocateAsked, locate
from .overview import FindingCard, finding_card
from .snapshot import NotReady, Snapshot

__all__ = ["Code", "FindingAsked", "FindingPage", "ProofRow", "finding"]

#: Lines of code before and after the one that is shown.
_AROUND: Final = 4
#: Tables whose rows stand in ladders.
_IN_LADDERS: Final = frozenset({"call", "packet", "state"})
#: Rows of a proof that are looked for in the ladders; a proof of more says what one of them says again.
_MOST: Final = 200


class FindingAsked(msgspec.Struct, frozen=True):
    """Which: its number, from 1."""

    number: int


class ProofRow(msgspec.Struct):
    """A row that proves a finding.

    Attributes:
        layer: ``calls``, ``kernel`` or ``wire``. table, row: which row it is. at_ns: when.
        text: what it says.
        conversation: key of the conversation in whose ladder it stands; ``None``: in none.
    """

    layer: str
    table: str
    row: int
    at_ns: int
    text: str
    conversation: str | None


class Code(msgspec.Struct):
    """A line of code among its neighbours.

    Attributes:
        file: its path. line: its number; ``None`` unknown.
        lines: numbers and texts; none where the file cannot be read, or has changed since.
    """

    file: str
    line: int | None
    lines: list[tuple[int, str]]


class FindingPage(msgspec.Struct):
    """All that is said of a finding.

    Attributes:
        card: the finding at a glance. of: how many findings there are.
        why: what happened here, and why. fix: what usually mends it.
        socket: ends of the socket, in words; empty where there is none.
        code: the line that did it; ``None`` unknown.
        proof: every row that it rests on.
        cause: the finding that this one follows from. effects: those that follow from it.
        general: the cause in general words. disproof: what would show that the finding is wrong.
        seen_as: what people see of it. references: where to read on.
    """

    card: FindingCard
    of: int
    why: str
    fix: str
    socket: str
    code: Code | None
    proof: list[ProofRow]
    cause: FindingCard | None
    effects: list[FindingCard]
    general: str
    disproof: str
    seen_as: list[str]
    references: list[str]


def finding(snapshot: Snapshot, asked: FindingAsked) -> FindingPage:
    """All that is said of a finding."""
    if snapshot.diagnosis is None:
        raise NotReady("the rules are still being checked")
    findings = snapshot.findings
    if not 1 <= asked.number <= len(findings):
        raise UsageError(f"no finding {asked.number}; there are {len(findings)}")
    found = findings[asked.number - 1]
    rule = rule_of(found.rule)
    socket = found.socket
    numbered = list(enumerate(findings, 1))
    cause = next(((number, one) for number, one in numbered if one.rule == found.follows_from), None)
    return FindingPage(
        finding_card(snapshot, asked.number, found),
        len(findings),
        escape(found.why),
        escape(found.fix),
        escape(" → ".join(end for end in (socket.local, socket.peer) if end)) if socket is not None else "",
        _code(snapshot, found),
        _proof(snapshot, found),
        finding_card(snapshot, *cause) if cause is not None else None,
        [finding_card(snapshot, number, one) for number, one in numbered if one.follows_from == found.rule],
        rule.sentence if rule is not None else "",
        rule.disproof if rule is not None else "",
        list(rule.symptoms) if rule is not None else [],
        list(rule.references) if rule is not None else [],
    )


def _proof(snapshot: Snapshot, found: Finding) -> list[ProofRow]:
    rows = []
    for number, proof in enumerate(found.proof):
        place = Locate(None, None)
        if proof.table in _IN_LADDERS and number < _MOST and snapshot.has_joins:
            place = locate(snapshot, LocateAsked(proof.table, proof.row))  # type: ignore[arg-type]
        where = place.conversation if place.index is not None else None
        rows.append(ProofRow(proof.layer, proof.table, proof.row, proof.at_ns, escape(proof.text), where))
    return rows


def _code(snapshot: Snapshot, found: Finding) -> Code | None:
    if found.file is None:
        return None
    started = snapshot.recording.meta_int("started_realtime_ns")
    recorded_s = started / 1e9 if started is not None else None
    lines = source_lines(found.file, found.line, around=_AROUND, recorded_s=recorded_s)
    return Code(
        escape(found.file), found.line, [(number, escape(text.expandtabs(4))) for number, text in lines.items()]
    )
