"""The command line.

One module per subcommand, each with a :class:`click.Command` called ``command``; it is imported when the command is
used, and a command whose module is not installed is not listed. A command returns its exit status, or ``None`` for 0.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ..errors import NotStarted, WallsocketError
from . import streams, terminal

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["main"]


class _Entry(NamedTuple):
    module: str
    group: str
    help: str


#: Every command of the one grammar, in the order of ``--help``.
COMMANDS: Final[dict[str, _Entry]] = {
    "inspect": _Entry("inspect", "See", "what a running program's sockets wait for, without stopping it"),
    "trace": _Entry("trace", "See", "run a program, or attach to one, and record its sockets"),
    "explain": _Entry("explain", "See", "say what is wrong, with the line and the proof"),
    "show": _Entry("show", "See", "a recording as a ladder, as calls, as states"),
    "freeze": _Entry("freeze", "See", "a copy of a recording as it is now, while it goes on"),
    "recordings": _Entry("recordings", "See", "the recordings that were made; removes old ones"),
    "watch": _Entry("watch", "See", "a recording as it grows, full screen"),
    "web": _Entry("web", "See", "a recording as a page in the browser"),
    "diff": _Entry("diff", "See", "where a bad run parts from a good one"),
    "export": _Entry("export", "See", "a recording for Wireshark, Perfetto and others"),
    "redact": _Entry("redact", "See", "a copy of a recording that is fit to be published"),
    "mcp": _Entry("mcp", "See", "explain and inspect for assistants, by the Model Context Protocol"),
    "udp": _Entry("udp", "Talk", "send and receive datagrams"),
    "tcp": _Entry("tcp", "Talk", "connect, listen, and talk in messages"),
    "unix": _Entry("unix", "Talk", "the same over Unix sockets"),
    "serve": _Entry("serve", "Talk", "serve a handler, fast"),
    "capture": _Entry("capture", "Wire", "record frames"),
    "inject": _Entry("inject", "Wire", "send frames of your own making"),
    "replay": _Entry("replay", "Wire", "send a capture again"),
    "ping": _Entry("ping", "Wire", "ask whether a host answers, and how fast"),
    "traceroute": _Entry("traceroute", "Wire", "the routers on the way"),
    "arp": _Entry("arp", "Wire", "who has an address on this link"),
    "lab": _Entry("lab", "Network", "private hosts and links, good or bad"),
    "torture": _Entry("torture", "Network", "run a program on the most awkward kernel that is allowed"),
    "demo": _Entry("demo", "Learn", "one minute: a bug is found, explained and gone"),
    "lesson": _Entry("lesson", "Learn", "an experiment that shows how sockets behave"),
    "rule": _Entry("rule", "Learn", "the causes that explain knows, each with an example"),
    "options": _Entry("socket_options", "Learn", "every socket option: type, unit, what is in force"),
    "schema": _Entry("schema", "Learn", "what a program may expect of --json"),
    "doctor": _Entry("doctor", "Learn", "what works here, what is refused, and by whom"),
    "completion": _Entry("completion", "", "a script that completes commands in your shell"),
}

_GROUPS: Final = ("See", "Talk", "Wire", "Network", "Learn")

#: Exit status for "could not run", the same for wrong use and for errors.
_COULD_NOT_RUN: Final = 2
#: Characters of an error that are shown; a longer word than that many (no path is longer: PATH_MAX) is cut.
_LONGEST_COMPLAINT: Final = 16_384
_LONGEST_WORD, _SHOWN_OF_IT = 4096, 100
#: What a shell adds to the number of the signal that ended a program.
_SIGNALLED: Final = 128


@cache
def _installed() -> frozenset[str]:
    # Not by pkgutil, whose import would be felt at each command.
    return frozenset(name.partition(".")[0] for folder in __path__ for name in os.listdir(folder))


def _available() -> dict[str, _Entry]:
    return {name: entry for name, entry in COMMANDS.items() if entry.module in _installed()}


class _Commands(click.Group):
    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            # Of a descriptor that a command hands on (capture -w -); click would end with status 1 on it.
            raise streams.OutputError(error) from error

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_available())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        entry = _available().get(name)
        if entry is None:
            return None
        command = importlib.import_module(f"{__name__}.{entry.module}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if not name.startswith("-") and name not in _available():
            import difflib

            near = difflib.get_close_matches(name, _available(), 1)
            hint = f"did you mean {near[0]}?" if near else "wallsocket --help lists them"
            raise click.UsageError(f"no command {name!r}; {hint}")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        available = _available()
        width = max(map(len, available), default=0)
        for group in _GROUPS:
            rows = [(name.ljust(width), entry.help) for name, entry in available.items() if entry.group == group]
            if rows:
                with formatter.section(group):
                    formatter.write_dl(rows)

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        # From the table: click would import every command to ask for its help.
        commands = [
            CompletionItem(name, help=entry.help)
            for name, entry in _available().items()
            if entry.group and name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, context, incomplete)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from .. import __version__

        click.echo(f"wallsocket {__version__}")
        context.exit()


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Shell completion: wallsocket completion bash|zsh|fish",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
@click.pass_context
def commands(context: click.Context) -> None:
    """See what a socket program does, and why it hangs, resets or loses data."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(_COULD_NOT_RUN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the result is the exit status.

    An error that the user can do something about is one line on stderr and status 2; Ctrl-C is a word and 130, and a
    reader that went away (``wallsocket show | head``) is 141 without a word, as for any program in a pipe.
    """
    streams.open_closed()
    streams.guard()
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except streams.OutputError as error:
        streams.abandon()
        if error.reader_gone:
            return _SIGNALLED + signal.SIGPIPE
        click.echo(f"wallsocket: {error}", err=True)
        return _COULD_NOT_RUN
    except KeyboardInterrupt:
        click.echo("wallsocket: interrupted", err=True)
        return _SIGNALLED + signal.SIGINT
    return status


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result: Any = commands.main(
            args=None if arguments is None else list(arguments),
            prog_name="wallsocket",
            standalone_mode=False,
            color=terminal.wish(),
        )
    except click.Abort as abort:
        raise KeyboardInterrupt from abort  # what click makes of it
    except click.ClickException as error:
        _complain(_usage(error), getattr(error, "ctx", None))
        return _COULD_NOT_RUN
    except WallsocketError as error:
        _complain(str(error), None)
        return error.exit_status if isinstance(error, NotStarted) else _COULD_NOT_RUN
    except OSError as error:
        where = f"{os.fspath(error.filename)!s}: " if error.filename is not None else ""
        _complain(f"{where}{error.strerror or error}", None)
        return _COULD_NOT_RUN
    except MemoryError:
        _complain("there is not enough memory for this", None)
        return _COULD_NOT_RUN
    return result if isinstance(result, int) else 0


def _usage(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".")
    text = text[:1].lower() + text[1:] if text[:2].istitle() or text[1:2].isspace() else text
    context = getattr(error, "ctx", None)
    if isinstance(error, click.UsageError) and context is not None and context.parent is not None:
        return f"{text} ({context.command_path} --help)"
    return text


def _complain(text: str, context: click.Context | None) -> None:
    from ..trace.text import escape

    name = context.command_path if context is not None else "wallsocket"
    sys.stdout.flush()
    # A value that the user gave, or that stands in a file, may be as long as it likes.
    words = (word if len(word) <= _LONGEST_WORD else f"{word[:_SHOWN_OF_IT]}…" for word in text.split())
    line = " ".join(words)[:_LONGEST_COMPLAINT]
    click.echo(f"{name}: {escape(line)}", err=True)
