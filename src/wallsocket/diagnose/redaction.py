"""A redacted recording that the rules find the same in: of payload only so much is kept, as shapes, as they need."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from ..trace.recording import Recording
from ..trace.redact import Redacted, redact
from .engine import diagnose
from .finding import Diagnosis, Finding

__all__ = ["Redaction", "redact_keeping_findings"]

#: Each round keeps the shapes of more sockets; the last one those of all.
_ROUNDS = 3


class Redaction(msgspec.Struct, frozen=True):
    """What was taken out, and what the rules say of the rest.

    Attributes:
        redacted: what was taken out.
        diagnosis: of the redacted recording.
        kept: how many findings are the same.
        lost: findings that rest on what was taken out.
        new: findings that the original does not have.
    """

    redacted: Redacted
    diagnosis: Diagnosis
    kept: int
    lost: tuple[Finding, ...]
    new: tuple[Finding, ...]


def redact_keeping_findings(recording: Recording, output: Path, *, replace: bool = False) -> Redaction:
    """Write a redacted copy in which the rules find what they find in the original.

    Payload is taken out. Where a finding is gone then, the shape of what its sockets sent is kept: letters are x, digits 0.

    Raises:
        UsageError: ``output`` is the recording itself, or it still grows.
        RecordingError: the file cannot be made.
    """
    before = {_key(finding): finding for finding in diagnose(recording).findings}
    key = secrets.token_bytes(16)
    shapes: set[int] = set()
    for attempt in range(_ROUNDS):
        redacted = redact(recording, output, replace=replace or attempt > 0, shapes=shapes, key=key)
        with Recording.open(output) as copy:
            judged = diagnose(copy)
        after = {_key(finding): finding for finding in judged.findings}
        lost = [finding for name, finding in before.items() if name not in after]
        new = [finding for name, finding in after.items() if name not in before]
        if not (lost or new) or attempt == _ROUNDS - 1:
            break
        wanted = _sockets(recording, lost + new) if attempt == 0 else set(recording.sockets)
        if wanted <= shapes:
            break
        shapes |= wanted
    return Redaction(redacted, judged, len(before) - len(lost), tuple(lost), tuple(new))


def _key(finding: Finding) -> tuple[object, ...]:
    """What makes two findings the same, whatever people and places are called."""
    file = os.path.basename(finding.file) if finding.file is not None else None
    socket = finding.socket.id if finding.socket is not None else None
    return finding.rule, finding.severity, finding.certainty, file, finding.line, socket


def _sockets(recording: Recording, findings: list[Finding]) -> set[int]:
    """Sockets that findings are about, those that their proof names, and who they talk with."""
    found = {finding.socket.id for finding in findings if finding.socket is not None}
    for finding in findings:
        for proof in finding.proof:
            call = recording.call(proof.row) if proof.table == "call" else None
            if call is not None and call.socket is not None:
                found.add(call.socket)
    for conversation in recording.conversations():
        if conversation.left in found or conversation.right in found:
            found |= {socket for socket in (conversation.left, conversation.right) if socket is not None}
    return found
