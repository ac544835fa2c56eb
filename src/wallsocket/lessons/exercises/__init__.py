"""Exercises with checking: tasks, and the judgement of a program that somebody wrote for one.

>>> from wallsocket.lessons import exercises
>>> [exercise.name for exercise in exercises.all_exercises() if exercise.level == 1]
['uppercase-udp', 'uppercase-tcp']
>>> verdict = exercises.check("upper.py", "uppercase-tcp")  # doctest: +SKIP
>>> verdict.right, verdict.mistake  # doctest: +SKIP
(False, 'one-recv-per-message')
"""

from __future__ import annotations

import difflib
import importlib
from functools import cache
from typing import Final

from ...errors import UsageError
from .exercise import Exercise, Scenario

__all__ = ["Exercise", "Scenario", "all_exercises", "exercise_named"]

#: The files in ``tasks``, in the order in which they are learnt.
_TASKS: Final = (
    "uppercase_udp",
    "uppercase_tcp",
    "fixed",
    "lines",
    "length_prefixed",
    "files",
    "chat",
    "ask",
    "ping",
    "one_thread",
)


@cache
def all_exercises() -> tuple[Exercise, ...]:
    """Every exercise, in the order in which they are learnt."""
    return tuple(importlib.import_module(f"{__name__}.tasks.{name}").EXERCISE for name in _TASKS)


def exercise_named(name: str) -> Exercise:
    """The exercise of that name.

    Raises:
        UsageError: there is none.

    """
    for exercise in all_exercises():
        if exercise.name == name:
            return exercise
    names = [exercise.name for exercise in all_exercises()]
    near = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
    raise UsageError(f"no exercise {name!r}; {hint}")
