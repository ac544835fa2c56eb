"""Lessons, runs and lists as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from ..trace.text import Style, column_width, escape, pad, paint, wrap
from .lesson import DOORS, Block, Claim, Lesson
from .play import FOLDER_PREFIX, Run
from .quiz import letters

__all__ = [
    "VERDICT_STYLES",
    "claim_lines",
    "hosts_text",
    "lesson_lines",
    "list_lines",
    "picture_lines",
    "plain",
    "run_lines",
    "table_rows",
    "value_text",
    "verdict_words",
]

VERDICT_STYLES: Final = {
    "true": Style.GOOD,
    "true if": Style.GOOD,
    "outdated": Style.WARNING,
    "wrong": Style.ERROR,
    "code bug": Style.ERROR,
    "not measured": Style.DIM,
    "unknown": Style.WARNING,
}

_LABEL: Final = 11
#: A longer description of a value stands on a line of its own.
_LONGEST_WORDS: Final = 60
#: A longer value is cut: it is to be seen at a glance.
_LONGEST_VALUE: Final = 400


def list_lines(lessons: Sequence[Lesson], *, width: int, colour: bool, played: Collection[str] = ()) -> Iterator[str]:
    """Lessons by door, with the time that each takes and what it builds on; ``played``: ids of claims that were."""
    longest = max((len(lesson.id) for lesson in lessons), default=0)
    for door, what in DOORS.items():
        behind = [lesson for lesson in lessons if lesson.door == door]
        if not behind:
            continue
        minutes = sum(lesson.minutes for lesson in behind)
        yield paint(f"{door}: {what}", Style.BOLD, colour=colour) + f"  {minutes} min"
        for lesson in behind:
            claims = ", ".join(_ranges([claim.id for claim in lesson.claims]))
            after = f"; after {', '.join(lesson.builds_on)}" if lesson.builds_on else ""
            count = sum(claim.id in played for claim in lesson.claims)
            done = "" if not count else "; played" if count == len(lesson.claims) else f"; {count} played"
            words = f"{lesson.title}  ({claims}{after}{done})".split(" ")
            head = f"  {lesson.id:<{longest}}  {lesson.minutes:>2} min  "
            first, *others = wrap(words, max(30, width - len(head)))
            yield head + first
            yield from (" " * len(head) + line for line in others)
        yield ""


def _ranges(ids: Sequence[str]) -> Iterator[str]:
    """``U01 U02 U03 U07`` as ``U01-U03``, ``U07``."""
    position = 0
    while position < len(ids):
        end = position
        while end + 1 < len(ids) and _follows(ids[end], ids[end + 1]):
            end += 1
        yield ids[position] if end == position else f"{ids[position]}-{ids[end]}"
        position = end + 1


def _follows(one: str, other: str) -> bool:
    before, after = (re.fullmatch(r"([A-Z]+)(\d+)", name) for name in (one, other))
    return bool(before and after and before[1] == after[1] and int(before[2]) + 1 == int(after[2]))


def lesson_lines(lesson: Lesson, *, width: int, colour: bool) -> Iterator[str]:
    """The head of a lesson."""
    yield paint(lesson.title, Style.BOLD, colour=colour)
    after = f" · after {', '.join(lesson.builds_on)}" if lesson.builds_on else ""
    yield paint(f"{lesson.id} · {lesson.minutes} minutes{after}", Style.DIM, colour=colour)
    for block in lesson.blocks:
        yield ""
        if block.kind == "file":
            yield from _code_lines(block, colour=colour)
        else:
            yield from _block_lines(block, width)


def claim_lines(
    claim: Claim, *, width: int, colour: bool, question: bool = True, files: Sequence[Block] = ()
) -> Iterator[str]:
    """A claim before it is played: what is claimed, the program, the question; it comes last, where it is answered.

    Args:
        claim: which. width, colour: of the terminal.
        question: whether it is shown, too.
        files: of its lesson, which stand beside the program, where the lesson was not shown.
    """
    slide = paint(f"  slide: {claim.slide}", Style.DIM, colour=colour) if claim.slide else ""
    yield paint(f"{claim.id}  {claim.claim}", Style.BOLD, colour=colour) + slide
    text = [block for block in claim.blocks if block.kind in ("text", "code")]
    for block in text:
        yield ""
        yield from _block_lines(block, width)
    for block in (*files, *claim.blocks):
        if block.kind in ("program", "file"):
            yield ""
            if claim.hosts and block.kind == "program":
                yield paint(f"    # {hosts_text(claim)}", Style.DIM, colour=colour)
            yield from _code_lines(block, colour=colour)
    if question and claim.question is not None:
        yield ""
        yield from _labelled("predict", claim.question.ask, width)
        for letter, choice in letters(claim.question).items():
            yield from _labelled("", f"{letter}  {choice}", width, indent="   ")
        yield from _labelled("", claim.question.reason, width)


def _code_lines(block: Block, *, colour: bool) -> Iterator[str]:
    if block.name:
        yield paint(f"    {block.name}", Style.DIM, colour=colour)
    for number, line in enumerate(block.text.splitlines(), 1):
        yield f"{number:>4}  {line}".rstrip()


def hosts_text(claim: Claim) -> str:
    """The hosts that a program finds, in words."""
    if len(claim.hosts) == 1:
        return f"{claim.hosts[0]}: a host of a lab"
    link = ", ".join(f"{name} {value}" for name, value in claim.link.items())
    return f"{', '.join(claim.hosts)}: hosts of a lab, linked" + (f" ({link})" if link else "")


def _block_lines(block: Block, width: int) -> Iterator[str]:
    if block.kind == "code":
        yield from (f"    {line}" for line in block.text.splitlines())
        return
    for count, paragraph in enumerate(re.split(r"\n\s*\n", block.text)):
        if count:
            yield ""
        lines = paragraph.splitlines()
        if all(line.startswith("|") for line in lines):
            yield from lines
            continue
        items = re.split(r"\n(?=[-*] |\d+\. )", paragraph)
        for item in items:
            yield from wrap(item.split(), min(width, 100), "  " if item.startswith(("- ", "* ")) else "")


def run_lines(run: Run, *, width: int, colour: bool, said: str | None = None) -> Iterator[str]:
    """What a run showed: the observation, the verdict, what is right; ``said`` is what was predicted."""
    claim = run.claim
    if claim.not_shown:
        yield from _labelled("not shown", claim.not_shown, width)
    if run.no_picture:
        yield from _labelled("no picture", escape(run.no_picture), width)
    if run.printed.strip() and run.failure is not None:
        yield from _labelled("printed", escape(run.printed.strip().splitlines()[-1]), width)
    lengths = (len(words) for words in claim.seen.values())
    longest = max((length for length in lengths if length <= _LONGEST_WORDS), default=0)
    label = "seen"
    for name, words in claim.seen.items():
        if name in run.seen:
            yield from _value_lines(label, f"{words:<{longest}}", run.seen[name], width)
            label = ""
    if run.failure is not None:
        yield from _labelled("failed", escape(run.failure), width)
    style = VERDICT_STYLES[run.verdict]
    changed = "".join(f", {name} = {value}" for name, value in run.sysctl.items())
    differs = "" if run.as_expected or run.failure else f"   (Linux 6.18 as it comes: {claim.expected})"
    label = paint("verdict".ljust(_LABEL), Style.DIM, colour=colour)
    yield label + paint(f"{verdict_words(run)}{changed}", style, colour=colour) + differs
    yield from _labelled("right is", claim.statement, width)
    if claim.question is not None and run.right_answer is not None:
        if said is not None:
            verdict = "right" if run.agrees(said) else "not so"
            yield from _labelled("you said", f"{said}: {verdict}", width)
        yield from _labelled("answer", run.right_answer, width)
        yield from _labelled("because", claim.question.because, width)
    if claim.read:
        yield from _labelled("read", ", ".join(claim.read), width)


def verdict_words(run: Run) -> str:
    """The verdict for people: what stands behind ``true if`` is in the statement."""
    return "true if…" if run.verdict == "true if" else run.verdict


def _labelled(label: str, text: str, width: int, indent: str = "") -> Iterator[str]:
    first, *others = wrap(text.split(), min(width, 110) - _LABEL, indent) or [""]
    yield f"{label:<{_LABEL}}{first}"
    yield from (" " * _LABEL + line for line in others)


def value_text(value: Any) -> str:
    """A value of an observation, in one line."""
    if isinstance(value, str):
        text = escape(value) if value else "''"
    elif isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, dict) and value:
        text = ", ".join(f"{escape(str(key))} {value_text(part)}" for key, part in value.items())
    elif isinstance(value, list) and value:
        text = ", ".join(value_text(part) for part in value)
    elif value is None:
        text = "nothing"
    else:
        text = escape(repr(value))
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def plain(value: Any) -> Any:
    r"""A value of an observation as JSON has it; bytes are text as Python writes them, ``b'\x00'``."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return repr(value) if isinstance(value, bytes) else value


def table_rows(value: Any) -> list[list[str]] | None:
    """A value as the rows of a table, the first with the headings, when it is a list of dictionaries with the same keys."""
    if not isinstance(value, list) or not value or not all(isinstance(row, dict) for row in value):
        return None
    heads = list(value[0])
    if any(list(row) != heads for row in value):
        return None
    return [[str(head) for head in heads], *([value_text(row[head]) for head in heads] for row in value)]


def _value_lines(label: str, words: str, value: Any, width: int) -> Iterator[str]:
    rows = table_rows(value)
    if rows is None:
        if len(words) > _LONGEST_WORDS:
            yield from _labelled(label, words, width)
            label, words = "", " "
        first, *others = wrap(value_text(value).split(" "), max(30, min(width, 120) - _LABEL - len(words) - 2))
        yield f"{label:<{_LABEL}}{words}  {first}"
        yield from (" " * (_LABEL + len(words) + 2) + line for line in others)
        return
    yield f"{label:<{_LABEL}}{words.strip()}"
    widths = [max(column_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = "  ".join(pad(cell, columns) for cell, columns in zip(row, widths, strict=True))
        yield (" " * _LABEL + "  " + cells).rstrip()


def picture_lines(recording: Path, show: str, *, width: int, colour: bool) -> Iterator[str]:
    """A recording as the claim wants it drawn: ``ladder``, ``calls`` or ``states``.

    Raises:
        RecordingError: it cannot be read.
    """
    from ..trace import views
    from ..trace.ladder import Ladder
    from ..trace.recording import Recording
    from ..trace.timeline import Timeline
    from ..trace.wire import segment

    with Recording.open(recording) as opened:
        if show == "calls":
            # Where the program was put for this run tells nobody anything.
            for line in views.call_lines(opened, colour=colour, payload_bytes=32):
                yield re.sub(rf"(?<=\s)/\S*/{FOLDER_PREFIX}[^/\s]+/", "", line)
            return
        timeline = Timeline(opened, decode=segment, limit=30)
        if show == "states":
            told = True
            for line in views.state_lines(timeline, colour=colour):
                # How an experiment looks is not what it shows: packet sockets, questions to the kernel.
                told = "AF_PACKET" not in line and "AF_NETLINK" not in line if line.startswith("socket ") else told
                if told:
                    yield line
            return
        ladder = Ladder(timeline, width=width, colour=colour)
        drawn = [conversation for conversation in timeline.wanted() if conversation.kind != "socket"]
        for count, conversation in enumerate(drawn):
            if count:
                yield ""
            yield from ladder.draw(conversation)
