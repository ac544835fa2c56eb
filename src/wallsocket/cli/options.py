"""Options that mean the same in every command."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import click

__all__ = [
    "DURATION",
    "Duration",
    "Files",
    "RecordingOrCommand",
    "WithLab",
    "code",
    "duration",
    "json",
    "lab",
    "open_recording",
    "output",
    "overwrite",
    "pid",
    "quiet",
    "recording",
    "recording_path",
    "refuse_without_command",
    "user",
]

#: One file, or several that are read together.
Files: TypeAlias = Path | tuple[Path, ...]
_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[_Command], _Command]

_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


#: What every clock and poll(2) here can hold.
_LONGEST_S: Final = 1e9

if TYPE_CHECKING:
    _ParamType = click.ParamType[float]  # generic to the type checker only, before click 8.5
else:
    _ParamType = click.ParamType


class Duration(_ParamType):
    """A span of time with its unit, such as ``30s``, ``250ms`` or ``1.5m``; the value is in seconds."""

    name = "TIME"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The seconds; fails on a number without a unit, which would be a guess."""
        if isinstance(value, float):
            return value
        matched = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)", str(value).strip())
        if matched is None:
            self.fail(f"{value!r} is not a time; write for example 30s or 250ms", parameter, context)
        number, unit = matched.groups()
        if float(number) == 0 and not unit:
            return 0.0
        if unit not in _UNITS_S:
            self.fail(f"{value!r} lacks a unit: ns, us, ms, s, m or h", parameter, context)
        seconds = float(number) * _UNITS_S[unit]
        if seconds > _LONGEST_S:
            self.fail("more than 30 years is too long to wait", parameter, context)
        return seconds


DURATION: Final = Duration()


#: What can be reckoned with as a float, whatever it is multiplied by.
_LARGEST: Final = 1e15
#: What every counter here can hold: a signed number of 64 bits.
_MOST: Final = 2**63 - 1


class Count(click.IntRange):
    """The type of a whole number without a limit of its own."""

    def __init__(self, at_least: int = 1) -> None:
        super().__init__(min=at_least)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number; fails on one that nothing here can count to."""
        number: int = super().convert(value, parameter, context)
        if number > _MOST:
            self.fail("nothing here can count that far", parameter, context)
        return number


class Number(click.FloatRange):
    """A number above 0 that one can reckon with: neither ``nan`` nor, unless ``infinite``, infinity.

    Args:
        at_least: the smallest.
        infinite: ``inf`` stands for no limit.
    """

    def __init__(self, at_least: float = 0.001, *, infinite: bool = False) -> None:
        super().__init__(min=at_least)
        self._infinite = infinite

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number; fails on what is none."""
        number: float = super().convert(value, parameter, context)
        # A number that is too long for a float becomes infinite, too: nobody asked for that.
        endless = self._infinite and str(value).strip().lower() in ("inf", "infinity")
        if not (endless or abs(number) <= _LARGEST):
            self.fail(f"{str(value)[:20]!r} is no number to reckon with", parameter, context)
        return number


def output(help: str = "Write to this file.", *aliases: str) -> _Decorator[Any]:
    """``-o FILE``, given to the command as ``output: Path | None``."""
    return click.option("-o", "--output", *aliases, type=click.Path(path_type=Path), metavar="FILE", help=help)


def pid(help: str) -> _Decorator[Any]:
    """``-p PID``, and ``--container ID`` for all processes of one, given together as ``pid: tuple[int, ...]``."""

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def with_containers(*, pid: tuple[int, ...], container: tuple[str, ...], **rest: Any) -> Any:
            if container:
                from ..trace.containers import processes

                pid = tuple(dict.fromkeys((*pid, *(one for name in container for one in processes(name)))))
                click.get_current_context().params["pid"] = pid
            return command(pid=pid, **rest)

        asked = click.option(
            "--container",
            multiple=True,
            metavar="ID",
            help="The same for all processes of this running container, by name or id, from outside.",
        )(with_containers)
        return click.option(
            "-p", "--pid", type=click.IntRange(min=1, max=2**22), metavar="PID", multiple=True, help=help
        )(asked)

    return decorate


user: _Decorator[Any] = click.option(
    "-u", "--user", metavar="USER", help="Run the command as this user (only root can)."
)
json: _Decorator[Any] = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, for programs.")
quiet: _Decorator[Any] = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
duration: _Decorator[Any] = click.option(
    "--for", "for_s", type=DURATION, metavar="TIME", help="Stop after this time, such as 30s."
)


def _lab(context: click.Context, parameter: click.Parameter, value: str | None) -> bool | Path:
    return Path(value) if value else value is not None


#: ``--lab`` or ``--lab FILE.toml``, given as ``lab: bool | Path``; of a command of the class :class:`WithLab`.
lab: _Decorator[Any] = click.option(
    "--lab",
    metavar="[FILE.toml]",
    callback=_lab,
    help="In a private network with only a loopback: records the wire, needs no root. With a file: in the hosts that it "
    "describes, all in one recording; the command is then HOST=COMMAND…, or what the file runs.",
)


class WithLab(click.Command):
    """A command with :data:`lab`: the word after ``--lab`` is its value only when it is the name of a TOML file."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Join the two words, as far as they are options of this command."""
        valued = {
            option
            for parameter in self.params
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for option in parameter.opts
        }
        joined: list[str] = []
        rest = list(args)
        while rest and rest[0] != "--" and (context.allow_interspersed_args or rest[0].startswith("-")):
            word = rest.pop(0)
            if word == "--lab":
                is_file = bool(rest) and rest[0].endswith(".toml")
                word = f"--lab={rest.pop(0) if is_file else ''}"
            elif word in valued and rest:
                joined.append(word)
                word = rest.pop(0)
            joined.append(word)
        return super().parse_args(context, joined + rest)


overwrite: _Decorator[Any] = click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")


def _files(context: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> Files | None:
    return paths[0] if len(paths) == 1 else paths or None


#: ``[RECORDING]…``, given as ``recording: Files | None``: a recording, or files from elsewhere that become one.
recording: _Decorator[Any] = click.argument(
    "recording", nargs=-1, type=click.Path(path_type=Path), metavar="[RECORDING]...", callback=_files
)


class RecordingOrCommand(WithLab):
    """What stands after ``--`` is the command to run, untouched: ``context.meta["target"]``, ``None`` without a ``--``."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Take the command away, and parse the rest."""
        target: tuple[str, ...] | None = None
        if "--" in args:
            position = args.index("--")
            target = tuple(args[position + 1 :])
            args = args[:position]
        context.meta["target"] = target
        return super().parse_args(context, args)

    def collect_usage_pieces(self, context: click.Context) -> list[str]:
        """For ``--help``."""
        return [*super().collect_usage_pieces(context), "| -p PID | -- COMMAND"]


#: Parameters that make no sense for a recording that exists, and how they are given.
_OF_COMMANDS: Final = {
    "lab": "--lab",
    "output": "-o",
    "for_s": "--for",
    "user": "-u",
    "kill": "--kill",
    "hang_s": "--hang",
    "user_code": "--user-code",
    "library": "--library",
    "ring_words": "--ring",
    "freeze_on": "--freeze-on",
    "tls_keys": "--tls-keys",
}


def refuse_without_command(context: click.Context, *allowed: str) -> None:
    """Complain of options that are for a command, given without one; of parameters that are ``allowed`` not."""
    for parameter, name in _OF_COMMANDS.items():
        if context.params.get(parameter) and parameter not in allowed:
            raise click.UsageError(f"{name} goes with a command: {context.command_path} {name} … -- COMMAND", context)


def code(command: _Command) -> _Command:
    """``--user-code PATH`` and ``--library PATH``, given as ``user_code`` and ``library: tuple[Path, ...]``."""

    def absolute(context: click.Context, parameter: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
        # The names of source files may lead through links: they are compared as they are.
        return tuple(path.absolute() for path in paths)

    for option, name, what in (("--library", "library", "library code"), ("--user-code", "user_code", "your own code")):
        command = click.option(
            option,
            name,
            multiple=True,
            type=click.Path(path_type=Path),
            metavar="PATH",
            callback=absolute,
            help=f"Python files here are {what}, for source lines; may be given several times.",
        )(command)
    return command


def open_recording(path: Files | None, *, quiet: bool = False) -> Any:
    """The recording that was named, or the newest one; then stderr says which that is, from when and of what.

    A capture file, a log of strace or both together are read as a recording that is gone when it is closed.

    Raises:
        RecordingError: it cannot be read, or there is none.
    """
    from ..trace import importing, places
    from ..trace.recording import Recording

    if path is not None:
        files = path if isinstance(path, tuple) else (path,)
        return importing.open_files([places.find(file) for file in files])
    opened = Recording.open(places.newest())
    if not quiet:
        click.echo(_which(opened), err=True)
    return opened


def recording_path(context: click.Context, path: Files | None, *, quiet: bool = False) -> Path:
    """Where the recording is that :func:`open_recording` opens; what was made of other files stays until the command ends."""
    from ..trace.importing import Imported

    opened = open_recording(path, quiet=quiet)
    if isinstance(opened, Imported):
        context.with_resource(opened)
    else:
        opened.close()
    found: Path = opened.path
    return found


def _which(recording: Any) -> str:
    """One line about a recording that nobody named."""
    import json
    import shlex
    import time

    from ..trace.text import escape
    from . import terminal

    started_ns = recording.meta_int("started_realtime_ns")
    when = "" if started_ns is None else f", {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(started_ns / 1e9))}"
    try:
        command = shlex.join(json.loads(recording.meta.get("command", "[]")))
    except (ValueError, TypeError):
        command = "unknown"
    line = f"newest recording: {escape(recording.path.name)}{when}: {escape(command)}"
    width = terminal.width()
    return line if len(line) <= width else f"{line[: width - 1]}…"
