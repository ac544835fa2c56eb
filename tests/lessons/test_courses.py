"""Courses name what exists, keep their time, and come in an order in which everything builds on what was there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from wallsocket.errors import UsageError
from wallsocket.lessons.catalogue import all_claims, all_lessons, named
from wallsocket.lessons.course import Course, all_courses, course_named
from wallsocket.lessons.exercises import all_exercises, exercise_named
from wallsocket.lessons.lesson import Lesson


@pytest.mark.parametrize("course", all_courses(), ids=lambda course: course.id)
def test_every_step_exists(course: Course) -> None:
    for unit in course.units:
        for step in unit.steps:
            word, *rest = step.split()
            if word == "exercise":
                assert exercise_named(*rest)
            elif word == "quiz":
                assert all(named(name) for name in rest if name.isupper())
            else:
                assert named(step)


def test_a_double_period_has_90_minutes() -> None:
    assert course_named("90-minutes").minutes == 90


def test_the_semester_has_every_lesson_and_exercise_once_in_their_order() -> None:
    course = course_named("semester")
    steps = [step for unit in course.units for step in unit.steps]
    lessons = [found for step in steps if " " not in step and isinstance(found := named(step), Lesson)]
    assert sorted(lesson.id for lesson in lessons) == sorted(lesson.id for lesson in all_lessons())
    exercises = [step.split()[1] for step in steps if step.startswith("exercise ")]
    assert sorted(exercises) == sorted(exercise.name for exercise in all_exercises())
    before: set[str] = set()
    for lesson in lessons:
        assert set(lesson.builds_on) <= before, lesson.id
        before.add(lesson.id)
    for unit in course.units:
        wanted = [named(step) for step in unit.steps if " " not in step]
        assert sum(lesson.minutes for lesson in wanted if isinstance(lesson, Lesson)) <= unit.minutes, unit.title


def test_the_lecture_has_a_unit_for_each_slide_and_every_claim_that_it_makes() -> None:
    units = course_named("lecture").units
    slides = {int(claim.slide.split()[0]): claim.slide.partition(" ")[2] for claim in all_claims() if claim.slide}
    assert [unit.title for unit in units] == [slides[number] for number in range(2, 34)]
    steps = [step for unit in units for step in unit.steps]
    assert sorted(steps) == sorted(claim.id for claim in all_claims() if claim.slide)
    assert all(len(command) <= 70 for unit in units for command in unit.commands)


def test_a_course_is_printed_as_commands() -> None:
    words = [sys.executable, "-m", "wallsocket", "lesson", "course"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert all(course.id in listed for course in all_courses())
    printed = subprocess.run([*words, "90-minutes"], capture_output=True, text=True, check=True).stdout
    assert "   12 min  Hosts, ports, sockets\n           wallsocket lesson R02 R03 S01\n" in printed
    assert "           wallsocket lesson quiz T34 T31 T35 T32\n" in printed
    told = subprocess.run([*words, "semester", "--json"], capture_output=True, text=True, check=True).stdout
    assert len(json.loads(told)["units"]) == 10
    wrong = subprocess.run([*words, "year"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "wallsocket: no course 'year'; there are 90-minutes, semester, lecture\n"
    with pytest.raises(UsageError):
        course_named("year")
