"""What works on this machine for this user, what is refused, by which setting, and the line that allows it.

Nothing is concluded from settings alone: each feature is tried, in a child process with a deadline, and only when it
is refused are the settings read that could be the reason (:mod:`wallsocket.doctor.reasons`).

Used as ``wallsocket doctor``; :func:`examine` is the same for programs.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import machine, probes, reasons
from .row import Row, Status

__all__ = ["Row", "Status", "can_trace", "examine"]


def examine(deadline_s: float = 5.0) -> Iterator[Row]:
    """Try every feature, one after the other, and yield a row for each.

    Each probe gets ``deadline_s`` seconds; one that does not end in time is reported as unknown.
    """
    yield from machine.rows()
    for probe in probes.PROBES:
        result = probes.attempt(probe, deadline_s)
        yield reasons.explain(probe, result)
    yield from machine.interpreters()


def can_trace(rows: list[Row]) -> bool:
    """Whether ``wallsocket trace`` and ``explain`` can run here at all."""
    return all(row.status is not Status.REFUSED and row.status is not Status.MISSING for row in rows if row.essential)
