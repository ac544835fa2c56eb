"""Orders in which lessons can be taken: for one double period, for a semester's unit."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from ..errors import UsageError

__all__ = ["Course", "Unit", "all_courses", "course_named"]


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
            if alone and made and made[-1].rpartition(" ")[2].isupper():
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
    """Every course."""
    document = tomllib.loads(Path(__file__).with_name("courses.toml").read_text(encoding="utf-8"))
    return msgspec.convert(document["courses"], tuple[Course, ...])


def course_named(name: str) -> Course:
    """The course of that id.

    Raises:
        UsageError: there is none.
    """
    for course in all_courses():
        if course.id == name:
            return course
    raise UsageError(f"no course {name!r}; there are {', '.join(course.id for course in all_courses())}")
