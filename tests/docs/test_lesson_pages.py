"""The pages of the lessons say what the lesson files say, and what was seen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from wallsocket.lessons.catalogue import all_lessons, named
from wallsocket.lessons.course import all_courses
from wallsocket.lessons.exercises import all_exercises
from wallsocket.lessons.lesson import Lesson

#: With its own programs, a table of rows, links to rules, and claims that were not measured.
LESSONS = ("udp-binding", "puzzles-streams")


def section_of(page: str, anchor: str) -> str:
    """What stands under an anchor, up to the next one."""
    return re.split(r"^\([\w-]+\)=$", page.partition(f"\n({anchor})=\n")[2], flags=re.MULTILINE)[0]


def write(folder: Path) -> dict[str, str]:
    words = [
        sys.executable,
        str(ROOT / "scripts/lesson-pages"),
        "--to",
        str(folder / "lesson"),
        "--runs",
        str(folder / "runs"),
    ]
    subprocess.run([*words, *LESSONS], check=True, timeout=110)
    return {path.stem: path.read_text() for path in (folder / "lesson").iterdir()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def written(folder: Path) -> dict[str, str]:
    return write(folder)


@pytest.mark.parametrize("name", LESSONS)
def test_a_page_has_all_that_the_lesson_says(name: str, written: dict[str, str]) -> None:
    lesson = named(name)
    assert isinstance(lesson, Lesson)
    page = written[name]
    for claim in lesson.claims:
        section = section_of(page, claim.id.lower())
        assert section.startswith(f"\n## {claim.id} ")
        assert claim.program.strip() in section
        assert all(text.rstrip("\n") in page for text in claim.files.values())
        assert f"`wallsocket lesson {claim.id}`" in section
        assert bool(re.search(r"[Ss]een on Linux [0-9]", section)) == bool(claim.seen)
        verdict = re.search(r"^\*\*(True if…|[A-Z][a-z ]+\.)(?: \(.*\))?\*\* ", section, re.MULTILINE)
        assert verdict is not None, section
        if claim.question is not None:
            answer = re.search(r"^\*\*Answer:\*\* (.+)$", section, re.MULTILINE)
            assert answer is not None, section
            if claim.question.choices:
                said = re.sub(r"\W", "", answer[1])
                assert any(said.startswith(re.sub(r"\W", "", choice)) for choice in claim.question.choices), answer[0]


def test_what_was_seen_is_played_once(folder: Path, written: dict[str, str]) -> None:
    runs = {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()}
    assert len(runs) == sum(len(lesson.claims) for lesson in all_lessons() if lesson.id in LESSONS)
    # Ports that the kernel chose would differ.
    assert write(folder) == written
    assert {path: path.stat().st_mtime_ns for path in (folder / "runs").iterdir()} == runs


def test_what_a_claim_shows_is_on_its_page(written: dict[str, str]) -> None:
    assert "| second bind() | `EINVAL` |" in written["udp-binding"]
    assert "../rule/one-recv-per-message.md" in written["puzzles-streams"]
    assert "[causes of EADDRINUSE](../rule/errors.md#eaddrinuse)" in written["puzzles-streams"]


def test_every_claim_and_lesson_is_in_the_index(written: dict[str, str]) -> None:
    for lesson in all_lessons():
        assert f"]({lesson.id}.md)" in written["index"]
        assert f"\n{lesson.id}\n" in written["index"]
        for claim in lesson.claims:
            assert f"[{claim.id}]({lesson.id}.md#{claim.id.lower()})" in written["index"]


def test_every_step_of_a_course_leads_to_its_page(written: dict[str, str]) -> None:
    steps = [step for course in all_courses() for unit in course.units for step in unit.steps]
    lines = re.findall(r"^- .*$", written["courses"], re.MULTILINE)
    assert len(lines) == len(steps)
    for step, line in zip(steps, lines, strict=True):
        assert "](" in line or line == f"- `wallsocket lesson {step}`", line


def test_every_task_is_there(written: dict[str, str]) -> None:
    for exercise in all_exercises():
        section = section_of(written["tasks"], exercise.name)
        assert len(re.findall(r"^- ", section, re.MULTILINE)) >= len(exercise.scenarios)
        words = re.sub(r"\W+", " ", section.replace("\\", ""))
        for paragraph in exercise.task.strip().split("\n\n"):
            assert re.sub(r"\W+", " ", paragraph).strip() in words
