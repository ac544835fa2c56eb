"""The sockets whose conversations are told: all of a recording, or of very many those that lived while some did."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from ..errors import RecordingError
from ..events import Socket
from .joins import SLACK_NS
from .recording import Recording

__all__ = ["NEAREST", "Contemporaries", "tables"]

#: For the conversations of some sockets only those that lived at their time are held where there are more than these.
_FEW_SOCKETS: Final = 1_000
#: Of many conversations between the same two ends those that began nearest to a time are looked at, on either side.
NEAREST: Final = 8


class Contemporaries:
    """The tables of a recording, of the sockets those that lived while one of some did, or had its addresses at another time."""

    def __init__(self, recording: Recording, wanted: Collection[int], most: int) -> None:
        self.meta = recording.meta
        self.processes = recording.processes
        lives = [recording.sockets[socket] for socket in wanted]
        self.sockets: dict[int, Socket] = {}
        before: list[deque[Socket]] = [deque(maxlen=NEAREST) for _ in lives]
        after: list[list[Socket]] = [[] for _ in lives]
        for row in recording.sockets.values():
            if any(_lived_together(row, one) for one in lives):
                if len(self.sockets) == most:
                    which = ", ".join(map(str, wanted))
                    what = f"{most} sockets lived while socket {which} did"
                    raise _too_many(recording, what, "look at --calls --socket N")
                self.sockets[row.id] = row
                continue
            for place, one in enumerate(lives):
                if _same_ends(row, one):
                    if row.created_ns < one.created_ns:
                        before[place].append(row)
                    elif len(after[place]) < NEAREST:
                        after[place].append(row)
        self.sockets |= {row.id: row for rows in (*before, *after) for row in rows}


def _lived_together(one: Socket, other: Socket) -> bool:
    before = one.ended_ns is not None and one.ended_ns < other.created_ns - SLACK_NS
    after = other.ended_ns is not None and one.created_ns > other.ended_ns + SLACK_NS
    return not (before or after)


def _same_ends(one: Socket, other: Socket) -> bool:
    """Whether the segments of the one could be taken for those of the other, at another time."""
    return None not in (one.local, one.remote) and {one.local, one.remote} == {other.local, other.remote}


def tables(recording: Recording, wanted: Collection[int] | None, most: int) -> Recording | Contemporaries:
    """What the joins read: all of it, or so much that the conversations of some sockets can be told.

    Args:
        recording: whose tables.
        wanted: ids of the sockets whose conversations are asked for; ``None``: all.
        most: sockets that may be held at once.

    Raises:
        RecordingError: there are more of them.
    """
    if len(recording.sockets) <= (most if wanted is None else min(most, _FEW_SOCKETS)):
        return recording
    if wanted is None:
        raise _too_many(
            recording,
            f"{most} sockets are recorded",
            "look at one of them with --socket N, or at all calls with --calls",
        )
    return Contemporaries(recording, wanted, most)


def _too_many(recording: Recording, what: str, instead: str) -> RecordingError:
    return RecordingError(f"{recording.name}: more than {what}, too many to draw at once; {instead}")
