"""``wallsocket rule``: the causes that explain knows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from . import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from ..diagnose import Rule
    from ..diagnose.play import Language, Stage

__all__ = ["command", "named_rule"]


class _Rules(click.Group):
    """``rule ID`` is the page of a rule; the other words are commands."""

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if arguments and arguments[0] not in self.commands and not arguments[0].startswith("-"):
            return "show", self.commands["show"], arguments
        return super().resolve_command(context, arguments)

    def list_commands(self, context: click.Context) -> list[str]:
        return [name for name in super().list_commands(context) if name != "show"]


@click.group("rule", cls=_Rules, subcommand_metavar="ID | list | play ID [--healthy] [--language c] | search WORDS")
def command() -> None:
    """The causes that explain recognises, each with an example that can be played."""


def named_rule(name: str) -> Rule:
    """The rule of that id, or of the cause with that number.

    Raises:
        UsageError: there is none.
    """
    import difflib

    from ..diagnose import all_rules, rule_of

    found = rule_of(name)
    if found is None and name.lstrip("#").isdecimal():
        found = next((rule for rule in all_rules() if int(name.lstrip("#")) in rule.covers), None)
    if found is None:
        near = difflib.get_close_matches(name, [rule.id for rule in all_rules()], 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "wallsocket rule list shows all"
        raise UsageError(f"no rule {name!r}; {hint}")
    return found


@command.command("list")
def list_rules() -> None:
    """All rules, with the numbers of the causes that they cover."""
    from ..diagnose import all_rules
    from ..trace.text import fit

    rules = all_rules()
    longest = max(len(rule.id) for rule in rules)
    for rule in rules:
        covers = ",".join(f"#{number}" for number in rule.covers)
        line = f"{rule.id:<{longest}}  {covers:<8} {rule.severity:<8} {rule.title}"
        click.echo(fit(line, terminal.width()))


@command.command("show", hidden=True)
@click.argument("rule_id", metavar="ID")
def show(rule_id: str) -> None:
    """The page of one rule: cause, proof, usual fix, what would disprove it."""
    from ..diagnose.play import languages
    from ..diagnose.text import page

    for line in page(named_rule(rule_id), width=min(terminal.width(), 100), colour=terminal.has_colour()):
        click.echo(line)
    found = named_rule(rule_id)
    if found.pictures == "only":
        click.echo("\n  wallsocket inspect PID  looks for it in a running program")
    click.echo(f"\n  wallsocket rule play {found.id}            run a program that has this fault, and explain it")
    click.echo(f"  wallsocket rule play {found.id} --healthy  the same without the fault")
    for language in languages(found):
        if language != "python":
            click.echo(f"  wallsocket rule play {found.id} --language {language}")


@command.command("search")
@click.argument("words", nargs=-1, required=True)
def search(words: tuple[str, ...]) -> int:
    """Rules for what you see, such as "connection reset by peer"."""
    from ..diagnose import all_rules
    from ..diagnose.search import search as look_up

    found = look_up(all_rules(), " ".join(words))
    longest = max((len(rule.id) for rule in found), default=0)
    for rule in found:
        click.echo(f"{rule.id:<{longest}}  {rule.title}")
    if not found:
        click.echo("no rule speaks of that; wallsocket rule list shows all", err=True)
        return 1
    return 0


@command.command("play")
@click.argument("rule_id", metavar="ID")
@click.option("--healthy", is_flag=True, help="The program without the fault.")
@click.option(
    "--language",
    type=click.Choice(["python", "c", "node", "go"]),
    default="python",
    show_default=True,
    help="The same fault in this language; C and Go are compiled first.",
)
@click.option("--no-lab", is_flag=True, help="On the machine's own network: for where user namespaces are refused.")
@click.pass_context
def play(context: click.Context, rule_id: str, healthy: bool, language: Language, no_lab: bool) -> int:
    """Run the example of a rule and explain it."""
    import tempfile
    from pathlib import Path

    from ..diagnose import play as plays
    from .explain import command as explain

    rule = named_rule(rule_id)
    path = plays.example(rule, language, healthy=healthy)
    with tempfile.TemporaryDirectory(prefix="wallsocket-") as folder, plays.Stage(path.parent) as stage:
        program = plays.command_of(path, Path(folder))
        for line in path.read_text(encoding="utf-8").expandtabs(4).splitlines():
            click.echo(f"  {line}")
        click.echo()
        sys.stdout.flush()
        if rule.pictures == "only":
            return _look(stage, path, program)
        if rule.subject == "flow":
            return _capture(stage, program, Path(folder))
        arguments = ["--fail-on", "never", "--", *program]
        if stage.lab:
            return stage.run([sys.executable, "-m", "wallsocket", "explain", *arguments]).returncode
        status = explain.main(
            [*([] if no_lab else ["--lab"]), *arguments], prog_name="wallsocket explain", standalone_mode=False
        )
        return status if isinstance(status, int) else 0


def _capture(stage: Stage, program: list[str], folder: Path) -> int:
    """Capture what a program sends, and explain that alone."""
    import subprocess

    from ..diagnose.play import captured

    target = folder / "run.pcapng"
    captured(stage, program, target)
    words = ["explain", "--fail-on", "never", str(target)]
    return subprocess.run([sys.executable, "-m", "wallsocket", *words]).returncode


def _look(stage: Stage, path: Path, command: list[str]) -> int:
    """Start a program that waits, and inspect it."""
    import subprocess

    from ..diagnose.play import ready

    with stage.popen(command, stdout=subprocess.PIPE) as program:
        try:
            ready(program, path.name)
            # Processes of a lab have other numbers inside.
            who = path.name if stage.lab else str(program.pid)
            words = ["inspect", "--fail-on", "never", who]
            return stage.run([sys.executable, "-m", "wallsocket", *words]).returncode
        finally:
            program.terminate()
