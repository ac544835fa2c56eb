"""Exercises and verdicts as text for people; everything that comes from a program is escaped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...kernel.address import end_of
from ...trace.text import Style, column_width, escape, fit, paint, wrap
from .exercise import Exercise
from .verdict import Outcome, Verdict

if TYPE_CHECKING:
    from ...events import Call, Source
    from ...trace.conversations import Conversation
    from ...trace.timeline import Timeline
    from .case import Case

__all__ = ["LEVELS", "ladder_lines", "list_lines", "task_lines", "verdict_lines"]

_LABEL: Final = 12
#: What a screen has room for beside the words.
_LADDER_LINES: Final = 14
#: What our end did: the last of it tells.
_PEER_LINES: Final = 8
#: What the levels of exercises are about.
LEVELS: Final = {1: "first program", 2: "framing", 3: "several peers, lost packets", 4: "one thread for all"}


def list_lines(exercises: Sequence[Exercise], *, width: int) -> Iterator[str]:
    """A line for each exercise."""
    longest = max(len(exercise.name) for exercise in exercises)
    level = 0
    for exercise in exercises:
        if exercise.level != level:
            level = exercise.level
            yield f"level {level}: {LEVELS[level]}"
        yield f"  {exercise.name:<{longest}}  {exercise.title} ({exercise.protocol.upper()} {exercise.role})"


def task_lines(exercise: Exercise, *, width: int, colour: bool) -> Iterator[str]:
    """What a program must do, how it is started, and what will happen to it."""
    yield paint(f"{exercise.name}: {exercise.title}", Style.BOLD, colour=colour) + f"  (level {exercise.level})"
    for paragraph in exercise.task.strip().split("\n\n"):
        yield ""
        if paragraph.startswith("    "):
            yield from paragraph.splitlines()
        else:
            yield from wrap(paragraph.split(), min(width, 100))
    yield ""
    yield f"Lessons before it: {', '.join(exercise.lessons)} (wallsocket lesson {exercise.lessons[0]})"
    yield f"It is started as: {exercise.usage}"
    happens = "What will happen: " + "; ".join(scenario.title for scenario in exercise.scenarios)
    yield from wrap(happens.split(), min(width, 100), "  ")
    yield ""
    yield f"wallsocket lesson check FILE --exercise {exercise.name}"


def verdict_lines(verdict: Verdict, ladder: Sequence[str] = (), *, width: int, colour: bool) -> Iterator[str]:
    """The verdict, on at most a screen: the first failed scenario, what the other end saw, the cause, a hint."""
    name = escape(os.path.basename(verdict.file))
    if verdict.verdict == "could not run" and verdict.cause is None:
        yield f"{name} for {verdict.exercise}: could not run: {escape(verdict.reason or '')}"
        return
    if verdict.verdict == "right":
        head = f"{name} for {verdict.exercise}: right, all {verdict.scenarios} scenarios passed"
        yield paint(head, Style.GOOD, colour=colour)
        return
    if verdict.verdict == "could not run":
        # Its first line says all that happened; there is no conversation to be shown.
        yield paint(f"{name} for {verdict.exercise}: could not run", Style.ERROR, colour=colour)
        yield from _labelled("reason", verdict.reason or "", width)
        yield ""
        yield from _cause_lines(verdict, width, colour)
        return
    told = f"{name} for {verdict.exercise}: wrong, {verdict.passed} of {verdict.scenarios} scenarios passed"
    for line in wrap(told.split(" "), width, "  "):
        yield paint(line, Style.ERROR, colour=colour)
    failed = next(outcome for outcome in verdict.outcomes if outcome.scenario == verdict.failed)
    yield ""
    yield paint(f"FAILED  {failed.title}", Style.BOLD, colour=colour)
    yield from _labelled("expected", failed.expected or "", width)
    yield from _labelled("seen", failed.seen or "", width)
    peer = list(failed.peer)
    left_out = len(peer) - _PEER_LINES
    if left_out > 0:
        peer = [f"({left_out} earlier lines)", *peer[left_out:]]
    label = "the peer"
    for line in peer:
        yield from _labelled(label, line, width)
        label = ""
    if ladder:
        yield ""
        yield from ladder
    yield ""
    yield from _cause_lines(verdict, width, colour)
    yield ""
    yield from _others(verdict.outcomes, verdict.failed, width)


def _cause_lines(verdict: Verdict, width: int, colour: bool) -> Iterator[str]:
    cause = verdict.cause
    assert cause is not None
    head = f"LIKELY CAUSE  {escape(cause.title)}"
    right = f"{cause.id} ({cause.certainty})"
    space = width - column_width(head) - column_width(right)
    if space >= 2:
        yield paint(head, Style.ERROR, colour=colour) + " " * space + right
    else:
        for line in wrap(head.split(" "), width, "  "):
            yield paint(line, Style.ERROR, colour=colour)
        yield f"  {right}"
    if cause.line is not None and cause.file is not None:
        where = f"{escape(os.path.basename(cause.file))}:{cause.line}"
        code = fit(f"      {escape(cause.code)}", max(20, width - column_width(where) - 2)) if cause.code else ""
        yield f"  {paint(where, Style.BOLD, colour=colour)}{code}"
    # What the other end saw stands above.
    if cause.why not in (verdict.reason or "") and not cause.why.startswith("expected "):
        yield from _labelled("why", cause.why, width)
    yield from _labelled("hint", cause.hint, width)


def _others(outcomes: Sequence[Outcome], first: str | None, width: int) -> Iterator[str]:
    failed = [outcome.title for outcome in outcomes if outcome.passed is False and outcome.scenario != first]
    open_ones = sum(outcome.passed is None for outcome in outcomes)
    passed = [outcome.title for outcome in outcomes if outcome.passed]
    parts = [f"{word}: {'; '.join(titles)}" for word, titles in (("Also failed", failed), ("Passed", passed)) if titles]
    if open_ones:
        parts.append(f"{open_ones} not played")
    for part in parts:
        yield from wrap(part.split(), width, "  ")


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    lines = wrap(escape(text).split(" "), max(20, width - _LABEL - 2)) or [""]
    yield f"  {label:<{_LABEL - 1}} {lines[0]}"
    for line in lines[1:]:
        yield f"  {'':<{_LABEL}}{line}"


def _about(case: Case, timeline: Timeline) -> list[Conversation]:
    """The conversation that went wrong: a socket for datagrams has one with each peer."""
    wanted = timeline.wanted()
    for conversation in wanted:
        for socket in (conversation.left, conversation.right):
            end = end_of(timeline.tracks[socket].socket.local) if socket is not None else None
            if end is not None and end.port == case.played.port:
                return [conversation]
    pairs = [conversation for conversation in wanted if conversation.right is not None]
    return (pairs or wanted)[-1:]


def ladder_lines(case: Case, *, width: int, colour: bool) -> list[str]:
    """The conversation that went wrong until then, its end if it is long; nothing where no connection is known."""
    from ...errors import RecordingError
    from ...trace.ladder import Ladder
    from ...trace.timeline import Timeline
    from ...trace.wire import segment

    speaker = case.speaker or case.other_end
    if speaker is None:
        return []
    ours = str(Path(__file__).parent) + os.sep

    class _Theirs(Timeline):
        """Lines of the student's program; those of our end say nothing."""

        def source_of(self, call: Call) -> Source | None:
            source = super().source_of(call)
            return None if source is None or (source.file or "").startswith(ours) else source

    decode = segment if case.recording.meta.get("wire") == "yes" else None
    try:
        timeline = _Theirs(case.recording, decode=decode, socket=speaker.id, until_ns=case.failed_ns)
    except RecordingError:
        return []
    ladder = Ladder(timeline, width=width, colour=colour)
    lines = [line for conversation in _about(case, timeline) for line in ladder.draw(conversation)]
    if len(lines) <= _LADDER_LINES + 3:
        return lines
    # Title and rails stay; of the rows the last ones, where it went wrong.
    return [*lines[:2], f"{'':9}  … {len(lines) - _LADDER_LINES - 2} lines before", *lines[-_LADDER_LINES:]]
