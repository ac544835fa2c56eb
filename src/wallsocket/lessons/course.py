"""Orders in which lessons can be taken: for one double period, for a semester's unit, slide by slide of the lecture."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from ..errors import UsageError
from .catalogue import all_lessons

__all__ = ["Course", "Unit", "all_courses", "course_named"]

#: So many claims stand in one command: more make a line that is longer than a terminal.
_IN_A_COMMAND: Final = 12


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a course.

    Attributes:
        title: what it is about. minutes: how long it takes.
        steps: in order: a lesson or a claim, or a command of ``wallsocket lesson`` with its words.
    """

    title: str
    minutes: int
    steps: tuple[str, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """What to type for it; lessons and claims that follow each other are one command."""
        made: list[str] = []
        for step in self.steps:
            alone = " " not in step and "-" not in step
            room = made and made[-1].rpartition(" ")[2].isupper() and len(made[-1].split()) < 2 + _IN_A_COMMAND
            if alone and room:
                made[-1] += f" {step}"
            else:
                made.append(f"wallsocket lesson {step}")
        return tuple(made)


class Course(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order of lessons.

    Attributes:
        id: what it is called by. title: what it is.
        how: how it is meant to be used.
        units: in order.
    """

    id: str
    title: str
    how: str
    units: tuple[Unit, ...]

    @property
    def minutes(self) -> int:
        """All units together."""
        return sum(unit.minutes for unit in self.units)


@cache
def all_courses() -> tuple[Course, ...]:
    """Every course: those that are written down, and the lecture's own order."""
    document = tomllib.loads(Path(__file__).with_name("courses.toml").read_text(encoding="utf-8"))
    return (*msgspec.convert(document["courses"], tuple[Course, ...]), _lecture())


def _lecture() -> Course:
    """What each slide of the lecture claims, in the order of the slides; a claim takes its part of its lesson's time."""
    slides: dict[tuple[int, str], dict[str, float]] = {}
    for lesson in all_lessons():
        for claim in lesson.claims:
            number, _, title = claim.slide.partition(" ")
            if number:
                slides.setdefault((int(number), title), {})[claim.id] = lesson.minutes / len(lesson.claims)
    units = [
        Unit(title, max(1, round(sum(claims.values()))), tuple(claims))
        for (_, title), claims in sorted(slides.items(), key=lambda slide: slide[0])
    ]
    return Course(
        "lecture",
        "Slide by slide: the lecture of 2018, with each of its claims tried",
        "For a class that has the deck: under the title of each slide stand the claims that it makes.",
        tuple(units),
    )


def course_named(name: str) -> Course:
    """The course of that id.

    Raises:
        UsageError: there is none.
    """
    for course in all_courses():
        if course.id == name:
            return course
    raise UsageError(f"no course {name!r}; there are {', '.join(course.id for course in all_courses())}")
