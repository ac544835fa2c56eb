"""Which lessons there are, in the order of the course."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .lesson import DOORS, Claim, Lesson, load

__all__ = ["all_claims", "all_lessons", "named", "suggest"]

_FOLDER: Final = Path(__file__).parent


@cache
def all_lessons() -> tuple[Lesson, ...]:
    """Every lesson, door by door; behind a door by ``order``.

    Raises:
        LessonError: a file is not as a lesson must be.
    """
    doors = list(DOORS)
    found = [load(path) for door in doors for path in sorted((_FOLDER / door).glob("*.md"))]
    return tuple(sorted(found, key=lambda lesson: (doors.index(lesson.door), lesson.order, lesson.id)))


def all_claims() -> tuple[Claim, ...]:
    """Every claim, in the order of the lessons."""
    return tuple(claim for lesson in all_lessons() for claim in lesson.claims)


def named(name: str) -> Lesson | Claim:
    """The lesson or the claim of that id; a claim's in any case.

    Raises:
        UsageError: there is none.
    """
    for lesson in all_lessons():
        if lesson.id == name.lower():
            return lesson
    for claim in all_claims():
        if claim.id == name.upper():
            return claim
    raise UsageError(f"no lesson or claim {name!r}; {suggest(name)}")


def suggest(name: str) -> str:
    """What might have been meant."""
    import difflib

    ids = [lesson.id for lesson in all_lessons()] + [claim.id for claim in all_claims()]
    near = difflib.get_close_matches(name.lower(), ids, 1, 0.6) or difflib.get_close_matches(name.upper(), ids, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "wallsocket lesson lists them"
