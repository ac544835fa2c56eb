"""What the page does besides showing a recording: lessons, quizzes, exercises, and services to try things with.

One thing at a time: its recording is what the other screens show. Everything ends with the page: when the server ends, and a
service also when no browser has looked for a while.

A program for an exercise comes from the page, and runs as the user who started it: it is what an order with the page's cookie
and from its own origin (:mod:`.guard`) may do at most. It lies in a folder of its own that only this user may enter.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from ..errors import UsageError
from ..lessons import progress, quiz
from ..lessons.catalogue import named
from ..lessons.exercises import exercise_named
from ..lessons.exercises.check import checked
from ..lessons.exercises.source import SUFFIXES
from ..lessons.lesson import DOORS, Claim, Lesson
from ..lessons.play import play
from ..view import Feed, exercises
from ..view import lessons as views
from .stage import SERVICES, Service, Stage, StageState, service_named

__all__ = ["RUNS_PROGRAMS", "Busy", "Workshop"]

#: Orders that run what their sender wrote.
RUNS_PROGRAMS: Final = frozenset({"check"})

#: A service ends when no browser has looked at it for so long: a page that is loaded anew is back earlier.
GRACE_S: Final = 20.0
_LOOK_S: Final = 0.5
#: How long an order waits for the one before.
_PATIENCE_S: Final = 5.0
#: How long the answer to a run waits for its recording to be read: some thousand events at most.
_READ_S: Final = 20.0
#: Questions of a quiz, at most.
_MOST_QUESTIONS: Final = 50


class Busy(UsageError):
    """Something else is being done."""


class _Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _QuizAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``names``: ids of lessons or claims; or those behind a ``door``; the same ``seed``, the same questions."""

    names: str = ""
    door: str = ""
    count: int | None = None
    seed: int | None = None


class Quiz(msgspec.Struct, frozen=True):
    """Questions, the doors to choose from, and the seed that gives them once more."""

    questions: list[views.ClaimPage]
    doors: dict[str, str]
    seed: int


class _Play(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Play a claim.

    Attributes:
        answer: what was said to its question before; ``None``: nothing.
        quiz: it was asked in a quiz: where its lesson goes on stays as it was.
    """

    claim: str
    answer: str | None = None
    quiz: bool = False


class _Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Check a program for an exercise: a ``text`` in the language that ``suffix`` tells, or a ``file`` of the user's."""

    exercise: str
    suffix: str = ".py"
    text: str = ""
    file: str = ""


class _Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Start a service in two hosts of these names."""

    service: str
    client: str = "client"
    server: str = "server"
    settings: dict[str, int] = {}


class _Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Turn knobs; ``cut``: whether the link loses everything."""

    settings: dict[str, int] = {}
    cut: bool | None = None


class Bench(msgspec.Struct, frozen=True):
    """The services that can be tried, and the one that was started last."""

    services: list[Service]
    state: StageState | None


class Workshop:
    """Lessons, quizzes and services, for the page that shows ``feed``.

    Attributes:
        verdicts: of the claims that were played, by id.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._ended = threading.Event()
        self._busy = threading.Lock()
        self._stage: Stage | None = None
        self._watching = 0
        self._unwatched_s = 0.0
        self._recordings = 0
        self.verdicts: dict[str, str] = {}
        self._marks: dict[str, str] = {}  #: of exercises
        self._drafts: dict[str, exercises.Draft] = {}
        self._guard = threading.Thread(target=self._look_after, name="workshop", daemon=True)
        self._answers: dict[str, tuple[type[msgspec.Struct], Callable[[Any], msgspec.Struct]]] = {
            "lessons": (_Nothing, lambda _: views.overview(self.verdicts, progress.played(), progress.following())),
            "lesson": (_Named, self._lesson),
            "claim": (_Named, lambda asked: views.claim_page(_claim(asked.name))),
            "quiz": (_QuizAsked, self._quiz),
            "exercises": (_Nothing, lambda _: exercises.exercise_list(self._marks)),
            "exercise": (_Named, self._exercise),
            "stage": (_Nothing, lambda _: self._bench()),
        }
        self._deeds: dict[str, tuple[type[msgspec.Struct], Callable[[Any], msgspec.Struct]]] = {
            "play": (_Play, self._play),
            "check": (_Check, self._check),
            "start": (_Start, self._start),
            "set": (_Set, self._set),
            "stop": (_Nothing, lambda _: self._stop()),
        }

    def __enter__(self) -> Self:
        self._place = tempfile.TemporaryDirectory(prefix="wallsocket-page.")
        self._guard.start()
        return self

    def end(self) -> None:
        """End what is being played or checked; when this returns, who waits for it is about to be answered."""
        self._ended.set()
        with self._busy:
            pass

    def __exit__(self, *exception: object) -> None:
        self.end()
        self._guard.join()
        # What is being played is ended, and has cleaned up, when this can be had.
        with self._busy:
            self._end_stage()
            self._place.cleanup()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """While entered, a browser looks on."""
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1

    def ask(self, name: str, arguments: Mapping[str, str]) -> msgspec.Struct:
        """Something to read.

        Raises:
            UsageError: there is no such thing.
        """
        return self._answer(self._answers, name, dict(arguments), strict=False)

    def do(self, name: str, order: Any) -> msgspec.Struct:
        """Do something; returns when it is done.

        Raises:
            UsageError: it is not possible as it was ordered. Busy: something else is being done.
            NotPermitted, NotAvailable: it is refused here.
        """
        # Knobs that are turned quickly wait for each other; nobody waits for a lesson.
        if not self._busy.acquire(timeout=_PATIENCE_S):
            raise Busy("something else is still running; wait until it has ended")
        try:
            if self._ended.is_set():
                raise UsageError("the page has ended")
            return self._answer(self._deeds, name, order, strict=True)
        finally:
            self._busy.release()

    def _answer(
        self,
        table: dict[str, tuple[type[msgspec.Struct], Callable[[Any], msgspec.Struct]]],
        name: str,
        asked: Any,
        *,
        strict: bool,
    ) -> msgspec.Struct:
        if name not in table:
            raise UsageError(f"no {name!r}; there are {', '.join(table)}")
        kind, answer = table[name]
        try:
            return answer(msgspec.convert(asked, kind, strict=strict))
        except msgspec.ValidationError as error:
            raise UsageError(f"{name}: {error}") from None

    # -- lessons

    def _lesson(self, asked: _Named) -> views.LessonPage:
        found = named(asked.name)
        lesson = found if isinstance(found, Lesson) else named(found.lesson)
        assert isinstance(lesson, Lesson)
        return views.lesson_page(lesson, self.verdicts, progress.played())

    def _quiz(self, asked: _QuizAsked) -> Quiz:
        if asked.door and asked.door not in DOORS:
            raise UsageError(f"no door {asked.door!r}; there are {', '.join(DOORS)}")
        seed = random.randrange(1 << 30) if asked.seed is None else asked.seed  # noqa: S311  # which questions come, no secret
        count = None if asked.count is None else max(1, min(asked.count, _MOST_QUESTIONS))
        claims = quiz.choose(asked.names.split(), door=asked.door, count=count, seed=seed)
        return Quiz([views.claim_page(claim) for claim in claims], dict(DOORS), seed)

    def _play(self, asked: _Play) -> views.Outcome:
        claim = _claim(asked.claim)
        said = asked.answer
        if said is not None:
            if claim.question is None:
                raise UsageError(f"{claim.id} has no question")
            said = quiz.understand(claim.question, said)
            if said is None:
                raise UsageError("that is no answer to this question")
        # A service that runs beside it would be seen in the machine's load, and its recording would go.
        self._end_stage()
        run = play(claim, recording=self._new_recording(), ended=self._ended)
        if run.failure is None:
            self.verdicts[claim.id] = run.verdict
            if not asked.quiz:
                progress.note(claim)
        if run.recording is not None:
            self._feed.begin(run.recording)
            self._feed.wait(_READ_S)
        return views.outcome(run, said)

    # -- exercises

    def _exercise(self, asked: _Named) -> exercises.ExercisePage:
        draft = self._drafts.get(asked.name, exercises.Draft())
        return exercises.exercise_page(exercise_named(asked.name), draft, _user())

    def _check(self, asked: _Check) -> exercises.Judgement:
        exercise = exercise_named(asked.exercise)
        if asked.suffix not in SUFFIXES:
            raise UsageError(f"no language for {asked.suffix!r}; there are {', '.join(SUFFIXES)}")
        if asked.file:
            path = Path(asked.file).expanduser()
        else:
            if not asked.text.strip():
                raise UsageError("there is no program yet; write one")
            path = self._write(exercise.name, asked.suffix, asked.text)
        self._drafts[exercise.name] = exercises.Draft(asked.suffix, asked.text, asked.file)
        self._end_stage()
        recording = self._new_recording()
        with checked(path, exercise.name, recording=recording, ended=self._ended) as found:
            verdict, case = found.verdict, found.case
            speaker = (case.speaker or case.other_end) if case is not None else None
            socket = speaker.id if speaker is not None else None
        self._marks[exercise.name] = verdict.verdict
        recorded = recording.exists()
        if recorded:
            self._feed.begin(recording)
            self._feed.wait(_READ_S)
        return exercises.judgement(verdict, socket, recorded=recorded)

    def _write(self, name: str, suffix: str, text: str) -> Path:
        """The program as a file that only its user may read."""
        folder = Path(self._place.name, "programs")
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{name}{suffix}"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return path

    # -- services

    def _bench(self) -> Bench:
        return Bench(list(SERVICES), self._stage.state() if self._stage is not None else None)

    def _start(self, asked: _Start) -> Bench:
        service = service_named(asked.service)
        self._end_stage()
        names = (asked.client.strip(), asked.server.strip())
        self._stage = Stage(service, names, asked.settings, self._new_recording(), self._feed.begin)
        return self._bench()

    def _set(self, asked: _Set) -> Bench:
        if self._stage is None or not self._stage.running:
            raise UsageError("nothing runs; start it first")
        if asked.settings:
            self._stage.set(asked.settings)
        if asked.cut is not None:
            self._stage.cut(asked.cut)
        return self._bench()

    def _stop(self) -> Bench:
        if self._stage is not None:
            self._stage.stop("It was stopped.")
        return self._bench()

    def _end_stage(self) -> None:
        if self._stage is not None:
            self._stage.stop()
            self._stage = None

    def _look_after(self) -> None:
        """End a service at which nobody looks any more, or whose time is over."""
        while not self._ended.wait(_LOOK_S):
            self._unwatched_s = 0.0 if self._watching else self._unwatched_s + _LOOK_S
            stage = self._stage
            if stage is None or not stage.running:
                continue
            if self._unwatched_s >= GRACE_S or not stage.left_s:
                with self._busy:
                    stage.stop(
                        "It ended by itself after three minutes." if not stage.left_s else "The page was closed."
                    )

    def _new_recording(self) -> Path:
        """Where the next recording goes; of those before only the latest is still shown."""
        self._recordings += 1
        for old in Path(self._place.name).glob("*.wsrec*"):
            if not old.name.startswith(f"{self._recordings - 1}."):
                old.unlink(missing_ok=True)
        return Path(self._place.name, f"{self._recordings}.wsrec")


def _claim(name: str) -> Claim:
    found = named(name)
    if isinstance(found, Lesson):
        raise UsageError(f"{found.id} is a lesson of several claims; name one of them")
    return found


def _user() -> str:
    """The name of the user as whom programs run."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
