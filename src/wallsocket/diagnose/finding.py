"""What a rule found, as people and programs get it.

The fields of :class:`Finding` and their order are a stable interface: ``explain --json`` prints one per line.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from .. import markup
from ..trace.text import json_line

__all__ = [
    "CERTAINTIES",
    "SEVERITIES",
    "CannotTell",
    "Certainty",
    "Diagnosis",
    "Finding",
    "Layer",
    "NotJudged",
    "Proof",
    "Severity",
    "Symptom",
    "SymptomKind",
]

Severity = Literal["error", "warning", "note"]
Certainty = Literal["certain", "strong", "hint"]
Layer = Literal["calls", "kernel", "wire"]

#: From the gravest to the mildest; ``--fail-on`` compares positions.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
#: From the surest to the least sure.
CERTAINTIES: tuple[Certainty, ...] = ("certain", "strong", "hint")


class Proof(msgspec.Struct, frozen=True):
    """One row of the recording that a finding rests on."""

    layer: Layer
    table: str
    row: int  #: the row's id; of ``counter``, which has none, its position counted from 1
    at_ns: int  #: nanoseconds since the start of the recording
    text: str


class ProcessName(msgspec.Struct, frozen=True):
    """The process that a finding is about."""

    pid: int
    command: str | None


class SocketName(msgspec.Struct, frozen=True):
    """The socket that a finding is about; addresses as text, ``None`` where unknown."""

    id: int
    local: str | None
    peer: str | None


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A rule that fired, with every row that proves it."""

    rule: str
    covers: tuple[int, ...]  #: numbers of docs/causes.md
    severity: Severity
    certainty: Certainty
    title: str
    why: str
    fix: str
    follows_from: str | None  #: the rule whose finding is the cause of this one
    process: ProcessName | None
    socket: SocketName | None
    file: str | None
    line: int | None
    proof: tuple[Proof, ...]
    rank: int  #: 1 is the most probable cause
    ladder: tuple[str, ...] = ()  #: lines of the ladder around the proof, with ``explain --json -v`` alone
    function: str | None = (
        None  #: of the line; without debug information ``server`handle+0x1d``, where no line is known
    )
    begins: bool = False  #: ``line`` is where ``function`` begins; of the call itself no line is known

    def _repr_html_(self) -> str:
        """For notebooks."""
        line = f"{self.file}:{self.line}" if self.file is not None else self.function or ""
        who = f"{self.process.command} (pid {self.process.pid})" if self.process is not None else ""
        proof = " · ".join(one.text for one in self.proof)
        facts = [("line", line), ("in", who), ("why", self.why), ("proof", proof), ("usual fix", self.fix)]
        facts.append(("follows from", self.follows_from or ""))
        return markup.card(f"{self.title}  ({self.severity}, {self.certainty})", facts, severity=self.severity)


class CannotTell(msgspec.Struct, frozen=True):
    """A rule whose question stays open, and what was missing."""

    rule: str
    missing: str  #: 'calls', 'kernel', 'wire', 'lines', 'peer' (the other end was not traced), 'facts' (not looked up), 'threads'
    reason: str


SymptomKind = Literal["failed call", "wait", "unread bytes", "drops", "growth"]


class Symptom(msgspec.Struct, frozen=True):
    """What a person would notice, and what became of it."""

    kind: SymptomKind
    call: str | None  #: name of the call that failed or waited
    errno: str | None  #: name of the error of a failed call
    count: int  #: calls at one line of one process; bytes, datagrams and connections, or sockets made at one line
    first: int | None  #: row of the first call in the table of calls
    explained_by: str | None  #: rule of the finding that explains it
    healthy: str | None  #: why it is no fault
    text: str = ""  #: of all but failed calls: what happened, in words


class NotJudged(msgspec.Struct, frozen=True):
    """A symptom that no finding explains and no rule declares healthy; failed calls by call and error."""

    call: str | None
    errno: str | None
    count: int
    first: int | None  #: row of the first call in the table of calls
    rows: tuple[int, ...]  #: numbers of docs/causes.md that may be behind it
    kind: SymptomKind = "failed call"
    text: str = ""  #: of all but failed calls: what happened, in words


class Counts(msgspec.Struct, frozen=True):
    """How many findings of each severity, how the target ended, and what was noticed."""

    error: int
    warning: int
    note: int
    target_status: int | None  #: 0–255, 128 + signal; ``None``: unknown or still running
    complete: bool  #: the recording has a regular end
    failure: str | None = None  #: why the recorder could not write on, and when
    symptoms: tuple[Symptom, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()


class Summary(msgspec.Struct, frozen=True):
    """The last line of ``explain --json``."""

    summary: Counts
    checked: tuple[str, ...]
    cannot_tell: tuple[CannotTell, ...]
    lost: int


#: Of findings as a table.
_COLUMNS: Final[tuple[tuple[str, Literal["int", "str"]], ...]] = (
    ("rank", "int"),
    ("rule", "str"),
    ("severity", "str"),
    ("certainty", "str"),
    ("title", "str"),
    ("why", "str"),
    ("fix", "str"),
    ("follows_from", "str"),
    ("pid", "int"),
    ("command", "str"),
    ("socket", "int"),
    ("local", "str"),
    ("peer", "str"),
    ("file", "str"),
    ("line", "int"),
    ("covers", "str"),
    ("proof", "str"),
)


class Diagnosis(msgspec.Struct, frozen=True):
    """The findings of one recording in order of rank, and what was and was not checked."""

    findings: tuple[Finding, ...]
    checked: tuple[str, ...]
    cannot_tell: tuple[CannotTell, ...]
    lost: int
    target_status: int | None
    complete: bool = True
    failure: str | None = None
    symptoms: tuple[Symptom, ...] = ()
    not_judged: tuple[NotJudged, ...] = ()

    def _repr_html_(self) -> str:
        """For notebooks: the findings, and what was checked."""
        counts = (
            f"{len(self.checked)} rules checked, {len(self.cannot_tell)} could not be checked, {self.lost} events lost"
        )
        found = "".join(finding._repr_html_() for finding in self.findings) or "<p>No finding.</p>"
        return f"{found}<p>{markup.escape(counts)}</p>"

    def summary(self) -> Summary:
        """The summary object that ends ``--json``."""
        counts = dict.fromkeys(SEVERITIES, 0)
        for finding in self.findings:
            counts[finding.severity] += 1
        return Summary(
            Counts(
                counts["error"],
                counts["warning"],
                counts["note"],
                self.target_status,
                self.complete,
                self.failure,
                self.symptoms,
                self.not_judged,
            ),
            self.checked,
            self.cannot_tell,
            self.lost,
        )

    def json_lines(self) -> list[bytes]:
        """One JSON object per finding, then the summary, without line ends."""
        return [json_line(item) for item in (*self.findings, self.summary())]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The findings as an Arrow stream; ``covers`` and ``proof`` are JSON."""
        from ..trace.query import Columns

        rows = [
            (
                finding.rank,
                finding.rule,
                finding.severity,
                finding.certainty,
                finding.title,
                finding.why,
                finding.fix,
                finding.follows_from,
                finding.process.pid if finding.process is not None else None,
                finding.process.command if finding.process is not None else None,
                finding.socket.id if finding.socket is not None else None,
                finding.socket.local if finding.socket is not None else None,
                finding.socket.peer if finding.socket is not None else None,
                finding.file,
                finding.line,
                json_line(finding.covers).decode(),
                json_line(finding.proof).decode(),
            )
            for finding in self.findings
        ]
        return Columns(_COLUMNS, lambda: rows).__arrow_c_stream__(requested_schema)

    def reaches(self, fail_on: str) -> bool:
        """Whether a finding is at least as grave as ``fail_on`` ('error', 'warning', 'note'; 'never': no)."""
        if fail_on not in SEVERITIES:
            return False
        limit = SEVERITIES.index(fail_on)
        return any(SEVERITIES.index(finding.severity) <= limit for finding in self.findings)
