"""What is said of a program: by people, and by ``--json``, whose fields are those of :class:`Verdict`."""

from __future__ import annotations

from typing import Literal

import msgspec

from ...trace.text import json_line

__all__ = ["Cause", "Outcome", "Verdict"]


class Cause(msgspec.Struct, frozen=True):
    """The likely cause of a failed scenario.

    Attributes:
        id: id of the rule of ``wallsocket rule``, or the name of a mistake of docs/exercises.md.
        kind: which of the two; ``wallsocket rule ID`` prints the page of a rule.
        certainty: ``certain``, ``strong`` or ``hint``.
        title: in a few words.
        why: what happened, in a sentence.
        hint: what to think about; not the solution.
        file: where it is; ``None`` where no line is at fault, or known.
        line: in that file.
        code: the text of the line.

    """

    id: str
    kind: Literal["rule", "mistake"]
    certainty: Literal["certain", "strong", "hint"]
    title: str
    why: str
    hint: str
    file: str | None = None
    line: int | None = None
    code: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """How a scenario went.

    Attributes:
        scenario: its name.
        title: what happens in it.
        passed: whether the program did what the task says; ``None``: it was not played.
        kind: what went wrong, as :data:`wallsocket.lessons.exercises.stage.Kind`.
        expected: what should have come.
        seen: what came.
        peer: what the other end did and saw, a line each.

    """

    scenario: str
    title: str
    passed: bool | None
    kind: str | None = None
    expected: str | None = None
    seen: str | None = None
    peer: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True):
    """The judgement of a program.

    Attributes:
        verdict: ``right``, ``wrong``, or ``could not run``.
        exercise: its name.
        file: the program.
        passed: how many scenarios it passed.
        scenarios: how many there are.
        failed: the first scenario that failed, by name.
        cause: the likely cause of that; ``None`` of a right program.
        reason: of a program that could not be run or judged: why, in a line.
        outcomes: every scenario, in the order of play.
        recording: the file with calls, states and packets of all scenarios; ``None`` when it was not kept.

    """

    verdict: Literal["right", "wrong", "could not run"]
    exercise: str
    file: str
    passed: int
    scenarios: int
    failed: str | None = None
    cause: Cause | None = None
    reason: str | None = None
    outcomes: tuple[Outcome, ...] = ()
    recording: str | None = None

    @property
    def exit_status(self) -> int:
        """0 right, 1 wrong, 2 could not be run."""
        return {"right": 0, "wrong": 1, "could not run": 2}[self.verdict]

    def json_line(self) -> bytes:
        """The object of ``--json``, without line end."""
        return json_line(self)
