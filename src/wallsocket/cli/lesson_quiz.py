"""``wallsocket lesson quiz``: questions whose answers the kernel gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..lessons.lesson import DOORS
from . import options, terminal

if TYPE_CHECKING:
    from ..lessons.lesson import Claim
    from ..lessons.quiz import Answered

__all__ = ["command"]


@click.command("quiz")
@click.argument("ids", nargs=-1, metavar="[ID...]")
@click.option("--door", type=click.Choice(list(DOORS)), help="Only what stands behind this door.")
@click.option("--count", type=options.Count(), metavar="N", help="How many questions; 12 if you do not say.")
@click.option("--seed", type=options.Count(0), metavar="N", help="The same seed, the same questions.")
@click.option(
    "--answers",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help='Take the answers from here instead of asking: {"U23": "5", "U24": "B"}; - is stdin.',
)
@options.json
def command(
    ids: tuple[str, ...], door: str | None, count: int | None, seed: int | None, answers: Path | None, as_json: bool
) -> int:
    """Predict what sockets do; each answer comes from playing it on this kernel.

    Without IDs (of lessons or claims) the lecture's question about a backlog of 5 comes first, then others at random. A
    wrong answer shows the experiment that refutes it, and so does none. --json alone lists the questions; with --answers
    it judges.

    Exit status: 0 all answers right, 1 some wrong, 2 could not run.
    """
    from ..lessons import quiz

    if answers is not None:
        given = _read(answers)
        claims = quiz.choose(ids or tuple(given), door=door or "", count=count, seed=seed)
        return _judge(claims, given, as_json=as_json)
    claims = quiz.choose(ids, door=door or "", count=count, seed=seed)
    if as_json:
        for claim in claims:
            _write({"question": _question(claim)})
        return 0
    if not sys.stdin.isatty():
        raise UsageError("the quiz asks on a terminal; elsewhere give --answers FILE, or --json for the questions")
    return _hold(claims)


def _read(path: Path) -> dict[str, str]:
    import msgspec

    raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        given = msgspec.json.decode(raw, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise UsageError(f'{path}: {error}; answers are one JSON object, like {{"U23": "5"}}') from None
    return {name.upper(): text for name, text in given.items()}


def _question(claim: Claim) -> dict[str, Any]:
    from ..lessons.quiz import letters

    question = claim.question
    assert question is not None
    return {"id": claim.id, "ask": question.ask, "reason": question.reason, "choices": letters(question)}


def _judge(claims: list[Claim], given: dict[str, str], *, as_json: bool) -> int:
    from ..lessons import quiz

    missing = [claim.id for claim in claims if claim.id not in given]
    if missing:
        raise UsageError(f"there is no answer for {', '.join(missing)}")
    answered = []
    for claim in claims:
        one = quiz.ask(claim, given[claim.id])
        answered.append(one)
        if as_json:
            _write({"answer": _object(one)})
        else:
            _tell(one)
            click.echo()
    right = _right(answered)
    if as_json:
        _write({"summary": {"asked": len(answered), "right": right}})
    else:
        click.echo(f"{right} of {len(answered)} right")
    return 0 if right == len(answered) else 1


def _object(one: Answered) -> dict[str, Any]:
    from ..lessons.text import plain

    question = one.claim.question
    assert question is not None
    return {
        "id": one.claim.id,
        "answer": one.answer,
        "right": one.right,
        "right_answer": one.run.right_answer,
        "because": question.because,
        "seen": {name: plain(value) for name, value in one.run.seen.items()},
        "failure": one.run.failure,
        "took_s": round(one.run.took_s, 3),
    }


def _hold(claims: list[Claim]) -> int:
    """Ask on the terminal, one question after the other."""
    answered: list[Answered] = []
    try:
        for number, claim in enumerate(claims, 1):
            answered.append(_asked(claim, f"{number} of {len(claims)}"))
            click.echo()
    except (click.Abort, KeyboardInterrupt):
        if answered:
            click.echo(f"{_right(answered)} of {len(answered)} right so far")
        raise
    click.echo(f"{_right(answered)} of {len(answered)} right")
    return 0 if _right(answered) == len(answered) else 1


def _right(answered: list[Answered]) -> int:
    return sum(one.right is True for one in answered)


def _asked(claim: Claim, place: str) -> Answered:
    """One question; what the kernel says to the answer has been told."""
    from ..lessons import quiz
    from ..trace.text import Style, paint, wrap
    from .lesson import predicted

    colour, width = terminal.has_colour(), terminal.width()
    question = claim.question
    assert question is not None
    click.echo(paint(f"{place}  ({claim.id})", Style.DIM, colour=colour))
    for line in wrap(question.ask.split(), width):
        click.echo(paint(line, Style.BOLD, colour=colour))
    for letter, choice in quiz.letters(question).items():
        first, *others = wrap(choice.split(), width - 5)
        click.echo(f"  {letter}  {first}")
        for line in others:
            click.echo(f"     {line}")
    one = quiz.ask(claim, predicted(question, "your answer (Enter: show me)"))
    _tell(one)
    return one


def _tell(one: Answered) -> None:
    """What the kernel says to an answer: the reason when it was right, the whole experiment when it was wrong."""
    from ..lessons import text
    from ..lessons.catalogue import files_beside
    from ..trace.text import Style, paint, wrap

    colour, width = terminal.has_colour(), terminal.width()
    question = one.claim.question
    assert question is not None
    if one.right:
        first, *others = wrap(f"Right: {one.answer}. {question.because}".split(), width)
        click.echo(first.replace("Right:", paint("Right:", Style.GOOD, colour=colour), 1))
        for line in others:
            click.echo(line)
        return
    if one.run.right_answer is None:
        click.echo(paint("The experiment gave no answer here.", Style.WARNING, colour=colour))
    elif one.answer is None:
        click.echo("This is what happens:")
    else:
        click.echo(paint("Not so. This is what happens:", Style.ERROR, colour=colour))
    files = files_beside(one.claim)
    for line in text.claim_lines(one.claim, width=width, colour=colour, question=False, files=files):
        click.echo(line)
    click.echo()
    for line in text.run_lines(one.run, width=width, colour=colour, said=one.answer):
        click.echo(line)


def _write(found: dict[str, Any]) -> None:
    from ..trace.text import json_line

    sys.stdout.buffer.write(json_line(found) + b"\n")
    sys.stdout.buffer.flush()
