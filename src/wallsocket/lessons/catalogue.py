"""Which lessons there are, in the order of the course."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .lesson import DOORS, Claim, Lesson, load

__all__ = ["all_claims", "all_lessons", "named", "suggest"]

_FOLDER: Final = Path(__file__).parent


_loaded: Final = cache(load)


def _paths() -> list[Path]:
    return [path for door in DOORS for path in sorted((_FOLDER / door).glob("*.md"))]


@cache
def all_lessons() -> tuple[Lesson, ...]:
    """Every lesson, door by door; behind a door by ``order``.

    Raises:
        LessonError: a file is not as a lesson must be.
    """
    doors = list(DOORS)
    found = map(_loaded, _paths())
    return tuple(sorted(found, key=lambda lesson: (doors.index(lesson.door), lesson.order, lesson.id)))


def all_claims() -> tuple[Claim, ...]:
    """Every claim, in the order of the lessons."""
    return tuple(claim for lesson in all_lessons() for claim in lesson.claims)


def named(name: str) -> Lesson | Claim:
    """The lesson or the claim of that id; a claim's in any case.

    Raises:
        UsageError: there is none.
    """
    # One file is quickly read, all of them are not: who plays a claim waits for this.
    for path in _paths():
        if path.stem == name.lower():
            return _loaded(path)
    for path in _paths():
        if f"## {name.upper()} " in path.read_text(encoding="utf-8"):
            for claim in _loaded(path).claims:
                if claim.id == name.upper():
                    return claim
    raise UsageError(f"no lesson or claim {name!r}; {suggest(name)}")


def suggest(name: str) -> str:
    """What might have been meant."""
    import difflib

    ids = [lesson.id for lesson in all_lessons()] + [claim.id for claim in all_claims()]
    near = difflib.get_close_matches(name.lower(), ids, 1, 0.6) or difflib.get_close_matches(name.upper(), ids, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "wallsocket lesson lists them"
