"""Exercises as a page shows them: the list, a task, and what is said of a program for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

import msgspec

from ..lessons import markdown
from ..lessons.exercises import Exercise, all_exercises
from ..lessons.exercises.source import SUFFIXES
from ..lessons.exercises.text import LEVELS
from ..lessons.exercises.verdict import Verdict
from ..trace.text import escape
from .lessons import Block

__all__ = [
    "Cause",
    "Draft",
    "ExerciseCard",
    "ExercisePage",
    "Exercises",
    "Judgement",
    "exercise_list",
    "exercise_page",
    "judgement",
]

#: Languages by the suffix that tells how a file is run.
_LANGUAGES = {
    ".py": "Python", ".js": "JavaScript", ".mjs": "JavaScript module", ".rb": "Ruby", ".pl": "Perl", ".sh": "Shell", ".c": "C",
    ".go": "Go",
}  # fmt: skip


class Draft(msgspec.Struct, frozen=True):
    """A program that is being written: ``suffix`` says in which language; or the path of a ``file``, without text."""

    suffix: str = ".py"
    text: str = ""
    file: str = ""


class ExerciseCard(msgspec.Struct, frozen=True):
    """An exercise in the list; ``verdict``: of the program that was checked last, empty: none was."""

    name: str
    title: str
    protocol: str
    role: str
    verdict: str


class Level(msgspec.Struct, frozen=True):
    """Exercises of one difficulty."""

    number: int
    what: str
    exercises: list[ExerciseCard]


class Exercises(msgspec.Struct, frozen=True):
    """All exercises, the easiest first."""

    levels: list[Level]


class ExercisePage(msgspec.Struct, frozen=True):
    """A task.

    Attributes:
        name, title, level, protocol, role: which it is.
        usage: how a program for it is started.
        task: what the program must do.
        scenarios: what will happen to it.
        languages: suffix -> language, of those that can be run here.
        draft: what was written for it before.
        runs_as: the user that the program runs as. root: that this user may do everything.
        following: name of the next one; empty: none.
    """

    name: str
    title: str
    level: int
    protocol: str
    role: str
    usage: str
    task: list[Block]
    scenarios: list[str]
    languages: dict[str, str]
    draft: Draft
    runs_as: str
    root: bool
    following: str


class Cause(msgspec.Struct, frozen=True):
    """The likely cause of what failed; ``line`` and ``code``: of the program, where they are known."""

    title: str
    certainty: str
    why: str
    hint: str
    line: int | None
    code: str


class Judgement(msgspec.Struct, frozen=True):
    """What is said of a program.

    Attributes:
        exercise: for which it was. verdict: ``right``, ``wrong`` or ``could not run``; words: for people.
        reason: why it could not be run or judged; empty.
        failed, expected, seen, peer: the first scenario that failed, what should have come, what came, and what the other
            end did; empty where none failed.
        cause: of that.
        also_failed, passed, not_played: titles of the other scenarios.
        socket: id of the socket of the conversation that went wrong, in the recording that the page shows now.
        recorded: there is a recording to show.
    """

    exercise: str
    verdict: str
    words: str
    reason: str
    failed: str
    expected: str
    seen: str
    peer: list[str]
    cause: Cause | None
    also_failed: list[str]
    passed: list[str]
    not_played: list[str]
    socket: int | None
    recorded: bool


def exercise_list(verdicts: Mapping[str, str]) -> Exercises:
    """All exercises; ``verdicts`` are those of programs that were checked."""
    levels: dict[int, list[ExerciseCard]] = {}
    for exercise in all_exercises():
        card = ExerciseCard(
            exercise.name, exercise.title, exercise.protocol.upper(), exercise.role, verdicts.get(exercise.name, "")
        )
        levels.setdefault(exercise.level, []).append(card)
    return Exercises([Level(number, LEVELS[number], cards) for number, cards in levels.items()])


def exercise_page(exercise: Exercise, draft: Draft, runs_as: str) -> ExercisePage:
    """A task, with what was written for it before; ``runs_as``: name of the user."""
    names = [one.name for one in all_exercises()]
    place = names.index(exercise.name)
    known = {suffix: _LANGUAGES[suffix] for suffix, tool in SUFFIXES.items() if suffix == ".py" or shutil.which(tool)}
    return ExercisePage(
        exercise.name,
        exercise.title,
        exercise.level,
        exercise.protocol.upper(),
        exercise.role,
        exercise.usage,
        [_block(paragraph) for paragraph in exercise.task.strip().split("\n\n")],
        [scenario.title for scenario in exercise.scenarios],
        known,
        draft,
        escape(runs_as),
        os.geteuid() == 0,
        names[place + 1] if place + 1 < len(names) else "",
    )


def _block(paragraph: str) -> Block:
    if paragraph.startswith("    "):
        return Block(code="\n".join(line.removeprefix("    ") for line in paragraph.splitlines()))
    return Block(parts=[markdown.Paragraph(markdown.spans(" ".join(paragraph.split())))])


def judgement(verdict: Verdict, socket: int | None, *, recorded: bool) -> Judgement:
    """What is said of a program; ``socket``: of the conversation that went wrong."""
    failed = next((one for one in verdict.outcomes if one.scenario == verdict.failed), None)
    others = [one for one in verdict.outcomes if one is not failed]
    words = {
        "right": f"right: all {verdict.scenarios} scenarios passed",
        "wrong": f"wrong: {verdict.passed} of {verdict.scenarios} scenarios passed",
        "could not run": "could not run",
    }[verdict.verdict]
    cause = verdict.cause
    return Judgement(
        verdict.exercise,
        verdict.verdict,
        words,
        escape(verdict.reason or ""),
        escape(failed.title) if failed is not None else "",
        escape(failed.expected or "") if failed is not None else "",
        escape(failed.seen or "") if failed is not None else "",
        [escape(line) for line in failed.peer] if failed is not None else [],
        Cause(
            escape(cause.title),
            cause.certainty,
            escape(cause.why),
            escape(cause.hint),
            cause.line,
            escape(cause.code or ""),
        )
        if cause is not None
        else None,
        [one.title for one in others if one.passed is False],
        [one.title for one in others if one.passed],
        [one.title for one in others if one.passed is None],
        socket,
        recorded,
    )
