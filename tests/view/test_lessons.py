"""What the page shows of lessons: the list, a lesson, a claim, and a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from wallsocket.lessons.catalogue import all_lessons, named
from wallsocket.lessons.course import all_courses
from wallsocket.lessons.lesson import Claim, Lesson
from wallsocket.lessons.play import Run
from wallsocket.view import lessons as views


def claim(name: str) -> Claim:
    found = named(name)
    assert isinstance(found, Claim)
    return found


def words(spans: list[Any]) -> str:
    return "".join(span.text for span in spans)


def test_the_list_has_every_lesson_and_every_step_of_every_course() -> None:
    found = views.overview({"U01": "true"})
    cards = [card for door in found.doors for card in door.lessons]
    assert [card.id for card in cards] == [lesson.id for lesson in all_lessons()]
    played = {word.id: word.verdict for card in cards for word in card.claims if word.verdict}
    assert played == {"U01": "true"}
    for course, original in zip(found.courses, all_courses(), strict=True):
        assert [len(unit.steps) for unit in course.units] == [len(unit.steps) for unit in original.units]
        for step in (step for unit in course.units for step in unit.steps):
            if step.screen == "lessons":
                named(step.argument)
            elif not step.screen:
                assert step.words.startswith("wallsocket lesson exercise ")


def test_every_lesson_leads_to_the_next_one() -> None:
    lessons = all_lessons()
    pages = [views.lesson_page(lesson, {}) for lesson in lessons]
    assert [page.following for page in pages] == [*(lesson.id for lesson in lessons[1:]), ""]
    assert all(page.blocks and page.claims for page in pages)


def test_a_claim_asks_and_has_its_program_with_the_files_beside_it() -> None:
    page = views.claim_page(claim("T07"))
    assert words(page.ask) == "A listener calls shutdown(SHUT_RD). In which state is it?"
    assert list(page.choices) == ["A", "B"]
    assert [block.name for block in page.programs] == ["", "steps.py"]
    assert page.missing == ""
    assert views.claim_page(claim("T34")).choices == {}  # typed


def test_a_claim_that_cannot_be_shown_says_why() -> None:
    page = views.claim_page(claim("S04"))
    assert page.missing
    assert page.programs == []


@pytest.mark.parametrize(
    ("said", "right"), [("CLOSE", True), ("LISTEN: there is nothing to shut down", False), (None, None)]
)
def test_a_run_says_what_was_seen_and_whether_the_prediction_was_right(said: str | None, right: bool | None) -> None:
    seen = {"walk": ["CLOSE"], "shut": "CLOSE", "again": "LISTEN", "dissolved": "CLOSE"}
    found = views.outcome(Run(claim=claim("T07"), verdict="true if", seen=seen), said)
    assert [words(one.words) for one in found.seen][1] == "a listener after shutdown(SHUT_RD)"
    assert found.seen[0].value == "CLOSE"
    assert (found.right, words(found.right_answer), found.words) == (right, "CLOSE", "true if…")
    assert found.expected == ""


def test_what_came_from_outside_is_harmless() -> None:
    run = Run(claim=claim("U01"), verdict="unknown", failure="no\x1b[2J\u202e<b>", printed="a\nlast\x07 line\n")
    found = views.outcome(run, "\x1b]0;")
    assert found.failure == "no\\x1b[2J\\u202e<b>"
    assert found.printed == "last\\x07 line"
    assert words(found.said) == "\\x1b]0;"
    assert found.right is None


def test_a_table_stays_a_table(tmp_path: Path) -> None:
    lesson = next(lesson for lesson in all_lessons() if isinstance(lesson, Lesson))
    one = lesson.claims[0]
    name = next(iter(one.seen))
    found = views.outcome(Run(claim=one, verdict="true", seen={name: [{"a": 1, "b": "x"}, {"a": 2, "b": ""}]}), None)
    assert found.seen[0].rows == [["a", "b"], ["1", "x"], ["2", "''"]]
    assert msgspec.json.encode(found)
