"""The quiz: questions of the claims, whose right answers come from playing them.

No answer is written down anywhere: the experiment of the claim runs, and what it shows decides.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from ..errors import UsageError
from .catalogue import all_claims
from .lesson import Claim, Question
from .play import Run, play

__all__ = ["LECTURE", "Answered", "ask", "choose", "letters", "understand"]

#: The lecture's own question (a backlog of 5), as the questions that it is made of: half-open ones, complete ones, room.
LECTURE: Final = ("T34", "T31", "T35", "T32")
#: Further questions, unless another number is asked for.
FURTHER: Final = 8


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was answered, and what the kernel says.

    Attributes:
        claim: the claim asked about.
        answer: what was said: the text of a choice, or what was typed; ``None`` of who would not guess.
        right: whether the experiment agrees; ``None`` when it gave no answer, or nothing was said.
        run: the experiment.
    """

    claim: Claim
    answer: str | None
    right: bool | None
    run: Run


def choose(
    names: Sequence[str] = (), *, door: str = "", count: int | None = None, seed: int | None = None
) -> list[Claim]:
    """Claims to ask about: those named, or the lecture's question and others by chance.

    Args:
        names: ids of lessons or claims.
        door: only of lessons behind this door.
        count: how many; all that were named, or a dozen.
        seed: the same seed, the same questions.

    Raises:
        UsageError: a name is unknown, or nothing is left to ask.
    """
    from .catalogue import all_lessons, named
    from .lesson import Lesson

    doors = {lesson.id: lesson.door for lesson in all_lessons()}
    if names:
        found = [named(name) for name in names]
        chosen = [claim for one in found for claim in (one.claims if isinstance(one, Lesson) else (one,))]
        chosen = [claim for claim in chosen if claim.question is not None][:count]
    else:
        by_id = {claim.id: claim for claim in all_claims() if claim.question is not None}
        first = [by_id.pop(name) for name in LECTURE if name in by_id]
        others = list(by_id.values())
        random.Random(seed).shuffle(others)  # noqa: S311  # which questions come, no secret
        chosen = first + others
        if door:
            chosen = [claim for claim in chosen if doors[claim.lesson] == door]
        chosen = chosen[: len(LECTURE) + FURTHER if count is None else count]
    if not chosen:
        raise UsageError("there is nothing to ask about that; wallsocket lesson lists the lessons")
    return chosen


def letters(question: Question) -> dict[str, str]:
    """``A`` -> the first choice, and so on; empty where the answer is typed."""
    return {chr(ord("A") + number): choice for number, choice in enumerate(question.choices)}


def understand(question: Question, said: str) -> str | None:
    """What was said as an answer: a letter or the text of a choice becomes its text; ``None``: it is no answer."""
    said = " ".join(said.split())
    if not question.choices:
        return said or None
    of_letter = letters(question).get(said.upper())
    return (
        of_letter if of_letter is not None else next((c for c in question.choices if c.lower() == said.lower()), None)
    )


def ask(claim: Claim, said: str | None) -> Answered:
    """Play the claim and judge what was said; ``None``: nothing.

    Raises:
        UsageError: it is no answer to that question.
    """
    question = claim.question
    assert question is not None, "only claims with a question are asked about"
    answer = None if said is None else understand(question, said)
    if said is not None and answer is None:
        wanted = f"a letter from A to {max(letters(question))}" if question.choices else "a value"
        raise UsageError(f"{claim.id}: {said!r} is no answer; type {wanted}")
    run = play(claim)
    return Answered(claim=claim, answer=answer, right=None if answer is None else run.agrees(answer), run=run)
