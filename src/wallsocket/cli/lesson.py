"""``wallsocket lesson``: statements about sockets, each shown by an experiment on this kernel."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import UsageError
from . import options, terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from click.shell_completion import CompletionItem

    from ..lessons.lesson import Block, Claim, Lesson, Question
    from ..lessons.play import Run

__all__ = ["chosen", "command", "played", "predicted"]

#: Subcommands and the modules that have them, imported when they are used.
_PARTS: Final = {
    "course": "lesson_course",
    "quiz": "lesson_quiz",
    "report": "lesson_report",
    "check": "lesson_check",
    "exercise": "lesson_exercise",
}
#: Words that stand for lessons.
_NEXT: Final = "next"
_ALL: Final = "all"


class _Lessons(click.Group):
    """``lesson`` alone is the list, ``lesson ID`` plays; the other words are commands."""

    def list_commands(self, context: click.Context) -> list[str]:
        folder = Path(__file__).parent
        return [name for name, module in _PARTS.items() if (folder / f"{module}.py").exists()]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(context):
            return None
        part = importlib.import_module(f"{__package__}.{_PARTS[name]}").command
        assert isinstance(part, click.Command)
        return part

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if arguments and arguments[0] not in self.list_commands(context):
            # An empty name: its help says `wallsocket lesson [OPTIONS] ID...`.
            return "", show, arguments if arguments[0] else arguments[1:]
        return super().resolve_command(context, arguments)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        # Options of `lesson ID` may stand in front of it.
        if args and args[0].startswith("-") and args[0] not in ("-h", "--help"):
            args = ["", *args]
        return super().parse_args(context, args)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        return super().shell_complete(context, incomplete) + _ids(context, None, incomplete)


class _Nameless(click.Context):
    @property
    def command_path(self) -> str:
        return super().command_path.rstrip()


class _Show(click.Command):
    """``wallsocket lesson ID``: a command without a name."""

    context_class = _Nameless


def _ids(context: click.Context, parameter: click.Parameter | None, incomplete: str) -> list[CompletionItem]:
    """Lessons that begin so, and claims once it cannot be a lesson any more."""
    from click.shell_completion import CompletionItem

    from ..lessons.catalogue import all_claims, all_lessons

    lessons = [(lesson.id, lesson.title) for lesson in all_lessons() if lesson.id.startswith(incomplete)]
    claims = [(claim.id, claim.claim) for claim in all_claims() if claim.id.startswith(incomplete.upper())]
    return [CompletionItem(name, help=words) for name, words in (lessons + claims if incomplete else lessons)]


@click.group(
    "lesson",
    cls=_Lessons,
    invoke_without_command=True,
    subcommand_metavar="[ID... | next | all | quiz | course | report | exercise | check]",
)
@click.pass_context
def command(context: click.Context) -> None:
    """Experiments that show how sockets behave, and what the verdict on a claim is here.

    \b
    wallsocket lesson                 the lessons, by what they teach
    wallsocket lesson next            where you left off
    wallsocket lesson udp-life        one of them
    wallsocket lesson U24 T13         single claims
    wallsocket lesson quiz            questions, which the kernel answers
    wallsocket lesson all --json      every claim with its verdict on this kernel
    wallsocket lesson --web           in the browser, with quizzes and services to try
    wallsocket lesson exercise        tasks for programs of your own
    wallsocket lesson check FILE -e NAME
    """
    if context.invoked_subcommand is None:
        _list()


def _list() -> None:
    from ..lessons import progress, text
    from ..lessons.catalogue import all_lessons

    done = progress.played()
    width, colour = terminal.width(), terminal.has_colour()
    _echo(text.list_lines(all_lessons(), played=done, width=width, colour=colour))
    found = progress.following()
    if found is not None:
        lesson, left = found
        words = f"goes on with {left[0].id}, in {lesson.id}" if done else f"begins with {lesson.id}"
        click.echo(f"wallsocket lesson next {words}; lesson ID plays one")
    else:
        click.echo("everything was played; wallsocket lesson ID plays one again")
    click.echo("lesson quiz asks you; lesson course has orders for 90 minutes and for a semester")


@click.command("lesson", cls=_Show)
@click.argument("ids", nargs=-1, metavar="ID...", shell_complete=_ids)
@options.json
@click.option(
    "--sysctl", "settings", multiple=True, metavar="NAME=VALUE", help="Set this in the experiment's private network."
)
@click.option("--no-ask", is_flag=True, help="Do not ask for a prediction first.")
@click.option("--no-picture", is_flag=True, help="Do not record the run and draw it.")
@click.option("--web", is_flag=True, help="In the browser: lessons, quizzes, and services to try; begin with ID.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="With --web: listen at this port.")
@click.option("--open", "open_browser", is_flag=True, help="With --web: open the page in the browser.")
@options.quiet
def show(
    ids: tuple[str, ...],
    as_json: bool,
    settings: tuple[str, ...],
    no_ask: bool,
    no_picture: bool,
    web: bool,
    port: int,
    open_browser: bool,
    quiet: bool,
) -> int:
    """Play lessons or single claims; with all, every one; with next, those after what you played last on a terminal.

    Exit status: 0 every experiment gave a verdict, 1 some did not (its program failed, or the kernel did what no rule
    of the lesson knows), 2 could not run. --json without ID lists the lessons.
    """
    if web:
        return _on_the_page(ids, settings, port=port, open_browser=open_browser, as_json=as_json, quiet=quiet)
    if not ids:
        if not as_json:
            raise click.UsageError("which lesson or claim? wallsocket lesson lists them")
        _list_json()
        return 0
    from ..lessons.play import FOLDER_PREFIX
    from ..lessons.scratch import scratch

    wanted = chosen(ids)
    sysctl = dict(_setting(text) for text in settings)
    if as_json:
        return _write_json([claim for _, claims in wanted for claim in claims], sysctl)
    if quiet:
        return _complain([claim for _, claims in wanted for claim in claims], sysctl)
    with scratch(FOLDER_PREFIX) as folder:
        reading = _Reading(
            sysctl=sysctl,
            ask=not no_ask and sys.stdin.isatty() and sys.stdout.isatty(),
            recording=None if no_picture else folder / "run.wsrec",
        )
        try:
            for count, (lesson, claims) in enumerate(wanted):
                if count:
                    click.echo()
                reading.lesson(lesson, claims)
        except (click.Abort, KeyboardInterrupt):
            _whats_next(wanted)
            raise
    _whats_next(wanted)
    return 1 if reading.failed else 0


def _on_the_page(
    ids: tuple[str, ...], settings: tuple[str, ...], *, port: int, open_browser: bool, as_json: bool, quiet: bool
) -> int:
    from urllib.parse import quote

    from ..lessons.catalogue import named
    from .web import learn

    if len(ids) > 1 or settings:
        raise UsageError("--web begins with one lesson or claim; all others are on the page")
    # What begins is looked up now: an error is to be told here.
    first = f"lessons/{quote(named(ids[0]).id)}" if ids else "lessons"
    return learn(first, port=port, open_browser=open_browser, as_json=as_json, quiet=quiet)


def _list_json() -> None:
    """An object per lesson, in the order of the course."""
    from ..lessons.catalogue import all_lessons
    from ..trace.text import json_line

    for lesson in all_lessons():
        found = {
            "id": lesson.id,
            "door": lesson.door,
            "title": lesson.title,
            "minutes": lesson.minutes,
            "builds_on": lesson.builds_on,
            "claims": [claim.id for claim in lesson.claims],
        }
        sys.stdout.buffer.write(json_line(found) + b"\n")


def chosen(ids: Sequence[str]) -> list[tuple[Lesson | None, Sequence[Claim]]]:
    """The lessons named, with their claims; a claim named alone has no lesson around it.

    Raises:
        UsageError: there is no such lesson; nothing is left to be played next.
    """
    from ..lessons import progress
    from ..lessons.catalogue import all_lessons, named
    from ..lessons.lesson import Lesson

    found: list[tuple[Lesson | None, Sequence[Claim]]] = []
    for name in ids:
        if name.lower() == _ALL:
            found += [(lesson, lesson.claims) for lesson in all_lessons()]
        elif name.lower() == _NEXT:
            following = progress.following()
            if following is None:
                raise UsageError("everything was played; wallsocket lesson lists the lessons, lesson quiz asks you")
            found.append(following)
        else:
            one = named(name, also=(_ALL, _NEXT, *_PARTS))
            found.append((one, one.claims) if isinstance(one, Lesson) else (None, (one,)))
    return found


def _whats_next(wanted: Sequence[tuple[Lesson | None, Sequence[Claim]]]) -> None:
    """Say how to go on, to somebody who plays lessons; who wants a few claims, for a class, has his own order."""
    from ..lessons import progress

    if not sys.stdout.isatty() or all(lesson is None for lesson, _ in wanted):
        return
    found = progress.following()
    click.echo()
    if found is None:
        click.echo("That was the last one. wallsocket lesson quiz asks you.")
        return
    lesson, left = found
    begun = "" if len(left) == len(lesson.claims) else f", from {left[0].id}"
    click.echo(f"wallsocket lesson next: {lesson.title}{begun} ({lesson.minutes} min)")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise UsageError(f"--sysctl {text}: write NAME=VALUE, such as net.ipv4.tcp_syncookies=0")
    return name.strip(), value.strip()


class _Reading:
    """Claims played one after the other, for a reader.

    Attributes:
        failed: how many gave no verdict.
    """

    def __init__(self, *, sysctl: dict[str, str], ask: bool, recording: Path | None) -> None:
        self._sysctl = sysctl
        self._ask = ask
        self._recording = recording
        self._style: dict[str, Any] = {"width": terminal.width(), "colour": terminal.has_colour()}
        self._begun = False
        self.failed = 0

    def lesson(self, lesson: Lesson | None, claims: Sequence[Claim]) -> None:
        """A lesson, or a claim without it."""
        from ..lessons import text
        from ..lessons.catalogue import files_beside

        if lesson is not None:
            _echo(text.lesson_lines(lesson, **self._style))
            click.echo()
        for count, claim in enumerate(claims):
            if count:
                click.echo()
            if self._ask and self._begun:
                # What was seen stays on the screen until it has been read.
                _typed(f"(Enter: {claim.id}, {count + 1} of {len(claims)})")
            self._begun = True
            self._claim(claim, () if lesson is not None else files_beside(claim))

    def _claim(self, claim: Claim, files: Sequence[Block]) -> None:
        from ..lessons import progress, text
        from ..lessons.play import play

        _echo(text.claim_lines(claim, files=files, **self._style))
        click.echo()
        said = None
        if self._ask and claim.question is not None:
            said = predicted(claim.question, "your prediction (Enter: just show me)")
        run = play(claim, sysctl=self._sysctl, recording=self._recording)
        if run.recording is not None:
            _echo(text.picture_lines(run.recording, claim.show, **self._style))
            run.recording.unlink()
            click.echo()
        _echo(text.run_lines(run, said=said, **self._style))
        self.failed += run.verdict == "unknown"
        if sys.stdout.isatty():
            progress.note(claim)


def predicted(question: Question, prompt: str) -> str | None:
    """Ask for an answer and its reason; the answer, or ``None`` of who wants to see it first."""
    from ..lessons.quiz import letters, understand

    while True:
        said = _typed(prompt)
        if not said.strip():
            click.echo()
            return None
        answer = understand(question, said)
        if answer is not None:
            _typed(question.reason)
            click.echo()
            return answer
        click.echo(f"type a letter from A to {max(letters(question))}")


def _typed(prompt: str) -> str:
    """A line that is typed; Ctrl-C and Ctrl-D end the command, on a line of their own."""
    try:
        return str(click.prompt(prompt, default="", show_default=False, prompt_suffix="  "))
    except click.Abort:
        click.echo()
        raise


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _complain(claims: Sequence[Claim], sysctl: dict[str, str]) -> int:
    """Only what failed is said."""
    failed = [run for run in played(claims, sysctl=sysctl) if run.verdict == "unknown"]
    for run in failed:
        click.echo(f"wallsocket lesson: {run.claim.id}: {run.failure}", err=True)
    return 1 if failed else 0


def _write_json(claims: Sequence[Claim], sysctl: dict[str, str]) -> int:
    """An object per claim, in order."""
    from ..trace.text import json_line

    failed = 0
    for run in played(claims, sysctl=sysctl):
        sys.stdout.buffer.write(json_line(_object(run)) + b"\n")
        sys.stdout.buffer.flush()
        failed += run.verdict == "unknown"
    return 1 if failed else 0


def played(
    claims: Sequence[Claim], *, sysctl: dict[str, str] | None = None, recordings: Path | None = None
) -> Iterator[Run]:
    """Runs of claims, in order; the experiments run side by side, one per core."""
    from concurrent.futures import ThreadPoolExecutor

    from ..lessons.play import play

    def one(claim: Claim) -> Run:
        return play(claim, sysctl=sysctl, recording=recordings and recordings / f"{claim.id}.wsrec")

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(one, claims)


def _object(run: Run) -> dict[str, Any]:
    from ..lessons.text import plain

    claim = run.claim
    found: dict[str, Any] = {
        "id": claim.id,
        "lesson": claim.lesson,
        "slide": claim.slide or None,
        "claim": claim.claim,
        "verdict": run.verdict,
        "expected": claim.expected,
        "seen": {name: plain(value) for name, value in run.seen.items()},
        "statement": claim.statement,
        "took_s": round(run.took_s, 3),
    }
    if run.failure is not None:
        found["failure"] = run.failure
    if claim.not_shown:
        found["not_shown"] = claim.not_shown
    return found
