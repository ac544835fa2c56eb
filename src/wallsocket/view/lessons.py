"""Lessons as a page shows them: the list, a lesson, a claim before it is played, and what its run showed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ..lessons import markdown
from ..lessons.catalogue import all_lessons, files_beside, named
from ..lessons.course import all_courses
from ..lessons.lesson import DOORS, Claim, Lesson, Question
from ..lessons.lesson import Block as SourceBlock
from ..lessons.play import Run, missing
from ..lessons.quiz import letters
from ..lessons.text import hosts_text, table_rows, value_text, verdict_words
from ..trace.text import escape

__all__ = [
    "Block", "ClaimPage", "ClaimWord", "CoursePart", "Door", "LessonCard", "LessonPage", "Outcome", "Overview", "Seen", "Step",
    "Unit", "claim_page", "lesson_page", "outcome", "overview",
]  # fmt: skip


class Block(msgspec.Struct, frozen=True):
    """A part of a text: ``parts`` of Markdown, or ``code`` with its language and the name of its file."""

    parts: list[markdown.Part] = []
    code: str = ""
    language: str = ""
    name: str = ""
    numbered: bool = False


class ClaimWord(msgspec.Struct, frozen=True):
    """A claim in one line; ``verdict``: what it was found to be since the page began. ``played``: then, or earlier."""

    id: str
    claim: list[markdown.Span]
    verdict: str
    played: bool


class LessonCard(msgspec.Struct, frozen=True):
    """A lesson in the list."""

    id: str
    title: str
    minutes: int
    after: list[str]
    claims: list[ClaimWord]


class Door(msgspec.Struct, frozen=True):
    """The lessons about one thing."""

    id: str
    what: str
    minutes: int
    lessons: list[LessonCard]


class Step(msgspec.Struct, frozen=True):
    """A step of a course: ``screen`` and ``argument`` are its address on the page; none: it is typed in a terminal."""

    words: str
    screen: str = ""
    argument: str = ""


class Unit(msgspec.Struct, frozen=True):
    """A part of a course."""

    title: str
    minutes: int
    steps: list[Step]


class CoursePart(msgspec.Struct, frozen=True):
    """An order in which lessons can be taken."""

    id: str
    title: str
    how: list[markdown.Span]
    minutes: int
    units: list[Unit]


class Overview(msgspec.Struct, frozen=True):
    """All lessons, and the courses that are made of them; ``following``: the claim to go on with, when one was played."""

    doors: list[Door]
    courses: list[CoursePart]
    following: ClaimWord | None


class LessonPage(msgspec.Struct, frozen=True):
    """A lesson: its text before the first claim, and its claims in order; ``following``: the id of the next one."""

    id: str
    title: str
    door: str
    minutes: int
    after: list[str]
    blocks: list[Block]
    claims: list[ClaimWord]
    following: str


class ClaimPage(msgspec.Struct, frozen=True):
    """A claim before it is played.

    Attributes:
        id, lesson: its own id, and that of its lesson.
        claim: what is claimed. slide: where the lecture says so.
        ask, reason: the question, and how the reason for the answer is asked for; empty without question.
        choices: letter -> answer; empty where an answer is typed.
        blocks: text. programs: what is run, and the files beside it.
        hosts: which hosts of a lab the program finds, in words.
        missing: why it cannot be played here; empty: it can.
        shows: what is drawn of its recording: ``ladder``, ``calls`` or ``states``.
    """

    id: str
    lesson: str
    claim: list[markdown.Span]
    slide: str
    ask: list[markdown.Span]
    reason: list[markdown.Span]
    choices: dict[str, list[markdown.Span]]
    blocks: list[Block]
    programs: list[Block]
    hosts: str
    missing: str
    shows: str


class Seen(msgspec.Struct, frozen=True):
    """A value of the observation: in words what it is, and its text, or the rows of a table, the first with the headings."""

    words: list[markdown.Span]
    value: str
    rows: list[list[str]] | None


class Outcome(msgspec.Struct, frozen=True):
    """What a run of a claim showed.

    Attributes:
        claim: its id.
        verdict: the kind; ``words``: for people. expected: what it is on Linux 6.18, where that differs; else empty.
        seen: the observation. failure: why there is none; empty. printed: the last line that a failed program printed.
        statement: what is right. read: where that is written.
        right_answer: to the question, by this run; empty: none. because: why.
        said: what was answered before; ``right``: whether that was right, ``None``: nobody can tell.
        no_picture: why the run was not recorded, where it was wanted.
        shows: what is drawn of the recording; empty: there is none.
        took_s: seconds.
    """

    claim: str
    verdict: str
    words: str
    expected: str
    seen: list[Seen]
    failure: str
    printed: str
    statement: list[markdown.Span]
    read: list[str]
    right_answer: list[markdown.Span]
    because: list[markdown.Span]
    said: list[markdown.Span]
    right: bool | None
    no_picture: str
    shows: str
    took_s: float


def overview(
    verdicts: Mapping[str, str], played: Collection[str] = (), following: tuple[Lesson, Sequence[Claim]] | None = None
) -> Overview:
    """All lessons.

    Args:
        verdicts: of the claims that were played since the page began.
        played: ids of all that were played. following: what to go on with.
    """
    doors = []
    for door, what in DOORS.items():
        lessons = [lesson for lesson in all_lessons() if lesson.door == door]
        cards = [
            LessonCard(
                lesson.id, lesson.title, lesson.minutes, list(lesson.builds_on), _words(lesson.claims, verdicts, played)
            )
            for lesson in lessons
        ]
        doors.append(Door(door, what, sum(lesson.minutes for lesson in lessons), cards))
    courses = [
        CoursePart(
            course.id,
            course.title,
            markdown.spans(course.how),
            course.minutes,
            [Unit(unit.title, unit.minutes, [_step(step) for step in unit.steps]) for unit in course.units],
        )
        for course in all_courses()
    ]
    go_on = _words(following[1][:1], verdicts, played) if played and following is not None else []
    return Overview(doors, courses, go_on[0] if go_on else None)


def _words(claims: Sequence[Claim], verdicts: Mapping[str, str], played: Collection[str]) -> list[ClaimWord]:
    return [
        ClaimWord(
            claim.id,
            markdown.spans(claim.claim),
            verdicts.get(claim.id, ""),
            claim.id in verdicts or claim.id in played,
        )
        for claim in claims
    ]


def _step(step: str) -> Step:
    word, *rest = step.split()
    if word == "quiz" and not any(part.startswith("-") for part in rest):
        return Step(f"quiz: {', '.join(rest)}", "quiz", " ".join(rest))
    if rest:
        return Step(f"wallsocket lesson {step}") if word != "quiz" else Step("quiz", "quiz")
    found = named(word)
    if isinstance(found, Lesson):
        return Step(found.title, "lessons", found.id)
    return Step(f"{found.id} {found.claim}", "lessons", found.id)


def lesson_page(lesson: Lesson, verdicts: Mapping[str, str], played: Collection[str] = ()) -> LessonPage:
    """A lesson; ``verdicts`` and ``played`` as for :func:`overview`."""
    ids = [one.id for one in all_lessons()]
    place = ids.index(lesson.id)
    return LessonPage(
        lesson.id,
        lesson.title,
        lesson.door,
        lesson.minutes,
        list(lesson.builds_on),
        _blocks(lesson.blocks, "text", "code"),
        _words(lesson.claims, verdicts, played),
        ids[place + 1] if place + 1 < len(ids) else "",
    )


def _blocks(part: Sequence[SourceBlock], *kinds: str) -> list[Block]:
    return [
        Block(parts=list(markdown.parts(block.text)))
        if block.kind == "text"
        else Block(code=block.text, language=block.language, name=block.name, numbered=block.kind != "code")
        for block in part
        if block.kind in kinds
    ]


def claim_page(claim: Claim) -> ClaimPage:
    """A claim before it is played."""
    question = claim.question
    return ClaimPage(
        claim.id,
        claim.lesson,
        markdown.spans(claim.claim),
        claim.slide,
        markdown.spans(question.ask) if question is not None else [],
        markdown.spans(question.reason) if question is not None else [],
        {letter: markdown.spans(text) for letter, text in letters(question).items()} if question is not None else {},
        _blocks(claim.blocks, "text", "code"),
        [*_blocks(claim.blocks, "program", "file"), *_blocks(files_beside(claim), "file")],
        hosts_text(claim) if claim.hosts else "",
        claim.not_shown or missing(claim) or "",
        claim.show,
    )


def outcome(run: Run, said: str | None) -> Outcome:
    """What a run showed; ``said`` is the answer that was given before it."""
    claim = run.claim
    question: Question | None = claim.question
    return Outcome(
        claim.id,
        run.verdict,
        verdict_words(run),
        "" if run.as_expected or run.failure else claim.expected,
        [_seen(words, run.seen[name]) for name, words in claim.seen.items() if name in run.seen],
        escape(run.failure or ""),
        escape(run.printed.strip().rpartition("\n")[2]) if run.failure is not None else "",
        markdown.spans(claim.statement),
        list(claim.read),
        markdown.spans(run.right_answer or ""),
        markdown.spans(question.because) if question is not None else [],
        markdown.spans(escape(said or "")),
        None if said is None else run.agrees(said),
        escape(run.no_picture),
        claim.show if run.recording is not None else "",
        round(run.took_s, 2),
    )


def _seen(words: str, value: object) -> Seen:
    rows = table_rows(value)
    return Seen(markdown.spans(words), "" if rows is not None else value_text(value), rows)
