"""Which lessons there are, in the order of the course."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .lesson import DOORS, Block, Claim, Lesson, load

__all__ = ["all_claims", "all_lessons", "files_beside", "named", "suggest"]

_FOLDER: Final = Path(__file__).parent
#: More names are no help.
_SUGGESTED: Final = 4


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


def named(name: str, *, also: Sequence[str] = ()) -> Lesson | Claim:
    """The lesson or the claim of that id, in any case; K1 is K01.

    Args:
        name: of a lesson or a claim.
        also: other words that might have been meant.

    Raises:
        UsageError: there is none.
    """
    # One file is quickly read, all of them are not: who plays a claim waits for this.
    for path in _paths():
        if path.stem == name.lower():
            return _loaded(path)
    wanted = re.sub(r"^([A-Z]+)(\d)$", r"\g<1>0\2", name.upper())
    for path in _paths():
        if f"## {wanted} " in path.read_text(encoding="utf-8"):
            for claim in _loaded(path).claims:
                if claim.id == wanted:
                    return claim
    raise UsageError(f"no lesson or claim {name!r}; {suggest(name, also)}")


def files_beside(claim: Claim) -> tuple[Block, ...]:
    """The files of its lesson that the programs of a claim use."""
    lesson = named(claim.lesson)
    assert isinstance(lesson, Lesson)
    text = "\n".join(block.text for block in claim.blocks if block.kind in ("program", "file"))
    files = [block for block in lesson.blocks if block.kind == "file"]
    return tuple(
        block for block in files if re.search(rf"\b(from|import) {Path(block.name).stem}\b|\b{block.name}\b", text)
    )


def suggest(name: str, also: Sequence[str] = ()) -> str:
    """What might have been meant: lessons that begin so, else what is written almost so."""
    import difflib

    words = [*also, *(lesson.id for lesson in all_lessons())]
    begin = [word for word in words if name and word.startswith(name.lower())]
    claims = [claim.id for claim in all_claims()]
    near = difflib.get_close_matches(name.lower(), words, 1) or difflib.get_close_matches(name.upper(), claims, 1)
    found = begin or near
    return f"did you mean {' or '.join(found[:_SUGGESTED])}?" if found else "wallsocket lesson lists them"
