"""Which claims were played for a reader, so that the next ones can be told.

One file in the state folder, for this user alone, with the id of a claim on each line, in the order in which they were
played: nothing of what was answered. Without it everything works, from the beginning.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

from ..errors import WallsocketError
from ..trace import places
from .catalogue import all_claims, all_lessons
from .lesson import Claim, Lesson

__all__ = ["FILE", "following", "note", "played"]

FILE: Final = "lessons-played"
#: Every claim several times over; a longer file is not ours.
_LONGEST: Final = 100_000


def played() -> tuple[str, ...]:
    """Ids of the claims that were played, in that order; a claim that was played again stands there again."""
    known = {claim.id for claim in all_claims()}
    return tuple(word for word in _lines() if word in known)


def _lines() -> list[str]:
    try:
        with (places.folder_path() / FILE).open("rb") as file:
            return file.read(_LONGEST).decode("ascii", "replace").split()
    except (OSError, RuntimeError):  # there is no home folder
        return []


def note(claim: Claim) -> None:
    """Remember that a claim was played."""
    # No reason to disturb who learns: a home folder may be read-only, or full.
    with contextlib.suppress(OSError, RuntimeError, WallsocketError):
        if _lines()[-1:] == [claim.id]:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        # One write at the end of the file: two lessons at the same time lose nothing of each other.
        file = os.open(places.folder() / FILE, flags, 0o600)
        try:
            os.write(file, f"{claim.id}\n".encode())
        finally:
            os.close(file)


def following() -> tuple[Lesson, tuple[Claim, ...]] | None:
    """The lesson to go on with, and its claims that were not played; ``None``: everything was played.

    It is the one of the claim that was played last, else the first one after it that is not done, else the first of all.
    """
    done = played()
    lessons = all_lessons()
    place = next((number for number, lesson in enumerate(lessons) if done and _has(lesson, done[-1])), 0)
    for lesson in (*lessons[place:], *lessons[:place]):
        left = tuple(claim for claim in lesson.claims if claim.id not in done)
        if left:
            return lesson, left
    return None


def _has(lesson: Lesson, name: str) -> bool:
    return any(claim.id == name for claim in lesson.claims)
