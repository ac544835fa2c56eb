"""How a program is recorded: what ``trace``, ``explain``, ``web`` and ``watch`` have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from . import options

if TYPE_CHECKING:
    from ..trace.ring import Ring
    from ..trace.run import Rows, RunResult, Via

__all__ = ["How", "flight_recorder", "freeze_on", "how", "ring", "target_shown", "tls_keys"]


class _Payload(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    name = "N"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number of bytes; -1 for all."""
        if isinstance(value, int):
            return value
        words = {"none": 0, "all": -1}
        if value in words:
            return words[value]
        if not str(value).isdecimal():
            self.fail(f"{value!r} is not none, all or a number of bytes", parameter, context)
        if len(value.lstrip("0")) > 10:  # one call moves 0x7ffff000 bytes at most (read(2))
            self.fail("no call moves that many bytes; write all", parameter, context)
        return int(value)


#: Options that every way of recording takes as they were given.
_AS_GIVEN = ("for_s", "user_code", "library")

_payload = click.option(
    "--payload",
    type=_Payload(),
    default=64,
    show_default=True,
    metavar="none|N|all",
    help="Bytes of payload to keep of each call.",
)
_kill = click.option("--kill", is_flag=True, help="End the command, and what it started, when recording stops first.")
_deny_io_uring = click.option(
    "--deny-io-uring", is_flag=True, help="Make io_uring unavailable to the command: it then uses calls that are seen."
)
_via = click.option(
    "--via",
    type=click.Choice(["auto", "ptrace", "preload"]),
    default="auto",
    show_default=True,
    help="Stop the command at each call, or preload a library that records most calls without a stop.",
)
_one_core = click.option("--one-core", is_flag=True, help="Confine the command to one core: tracing costs less.")
_spread = click.option(
    "--spread", is_flag=True, help="Never keep a busy thread on the tracer's core, though tracing then costs more."
)

ring = click.option(
    "--ring",
    "ring_words",
    multiple=True,
    metavar="60s|200MB",
    help="Keep only the newest part: at most this much time, or this much of the disk; may be given twice, for both.",
)
freeze_on = click.option(
    "--freeze-on",
    multiple=True,
    metavar="finding|signal|exit|errno=NAME",
    help="With --ring: keep a copy when a rule finds something for certain, when a process is ended by a signal or exits "
    "with another status than 0, or when a call fails with this error.",
)
tls_keys = click.option(
    "--tls-keys",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="KEYLOG",
    help="Let the command write the keys of its TLS sessions to this file (SSLKEYLOGFILE), for export --tls-keys; with "
    "--payload all its packets can be decrypted.",
)


def _with_tls_keys(keys: Path | None, user: str | None) -> Mapping[str, str] | None:
    """The environment of a command that writes its TLS keys; the file is there, and nobody else's to read.

    Raises:
        UsageError: it cannot be made.
    """
    import os
    import pwd

    from ..errors import UsageError
    from ..files import extend

    if keys is None:
        return None
    try:
        descriptor = extend(keys)
        try:
            if user is not None and os.geteuid() == 0:
                entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
                os.fchown(descriptor, entry.pw_uid, -1)
        except KeyError:
            pass  # the trace says that there is no such user
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UsageError(f"--tls-keys {keys}: {error.strerror}") from error
    return {**os.environ, "SSLKEYLOGFILE": str(keys.absolute())}


def _say_behind(waiting: int) -> None:
    """Tell what is still done after the end of the program, and how to do without."""
    from ..trace.summary import say

    say(
        f"wallsocket: all has ended; {waiting / 1e6:,.0f} MB of what was seen are still to be written; Ctrl-C leaves them out"
    )


def flight_recorder(words: tuple[str, ...], triggers: tuple[str, ...], *, quiet: bool) -> Ring | None:
    """What ``--ring`` and ``--freeze-on`` ask for."""
    if not words:
        if triggers:
            raise click.UsageError("--freeze-on goes with --ring, such as --ring 60s")
        return None
    from ..trace.ring import Bounds, Ring
    from ..trace.summary import say

    return Ring(Bounds.parse(words), triggers, say=None if quiet else lambda text: say(f"wallsocket: {text}"))


#: Parameters that make no sense for programs that run already, and how they are given.
_OF_COMMANDS = {
    "lab": "--lab",
    "user": "-u",
    "kill": "--kill",
    "deny_io_uring": "--deny-io-uring",
    "one_core": "--one-core",
    "spread": "--spread",
    "tls_keys": "--tls-keys",
}


def _refuse_with_pid(context: click.Context) -> None:
    """Complain of options that are for a command, given beside -p."""
    for parameter, option in _OF_COMMANDS.items():
        if context.params.get(parameter):
            raise click.UsageError(f"{option} is for a command that is started, not for -p PID", context)
    if context.params.get("via") == "preload":
        raise click.UsageError("--via preload is for a command that is started, not for -p PID", context)


def _refuse_with_hosts(context: click.Context) -> None:
    """Complain of options that are for one command, given beside --lab FILE."""
    for parameter, option in _OF_COMMANDS.items():
        if parameter != "lab" and context.params.get(parameter):
            raise click.UsageError(f"{option} is for one command, not for the hosts of --lab FILE", context)
    if context.params.get("via") == "preload":
        raise click.UsageError("--via preload is for one command, not for the hosts of --lab FILE", context)


def target_shown(context: click.Context, recording: object, pid: tuple[int, ...]) -> tuple[str, ...] | None:
    """The command to record and show; ``None``: a recording, or a program that runs. Complains of more than one of them."""
    target: tuple[str, ...] | None = context.meta["target"]
    if pid:
        if target is not None or recording is not None:
            raise click.UsageError("give a recording, a command or -p PID, only one of them", context)
        _refuse_with_pid(context)
    elif target is None and isinstance(context.params.get("lab"), Path):
        target = ()
    elif target is None:
        options.refuse_without_command(context)
    elif recording is not None:
        raise click.UsageError("give a recording or a command, not both", context)
    elif not target and not isinstance(context.params.get("lab"), Path):
        raise click.UsageError("no command after --", context)
    if target is not None and isinstance(context.params.get("lab"), Path):
        _refuse_with_hosts(context)
    return target


def _say_attached(pids: tuple[int, ...]) -> Callable[[], None]:
    """What tells the user that the programs are followed now."""
    from ..trace.summary import say

    which = f"pid {pids[0]}" if len(pids) == 1 else f"pids {', '.join(map(str, pids))}"
    what = "it" if len(pids) == 1 else "them"
    return lambda: say(f"wallsocket: attached to {which}; Ctrl-C ends the recording, not {what}")


class How(NamedTuple):
    """What the options of :func:`how` say."""

    pid: tuple[int, ...]  #: attach to these
    lab: bool | Path  #: in a private network, or in the hosts that this file describes
    output: Path | None
    overwrite: bool
    for_s: float | None
    user: str | None
    user_code: tuple[Path, ...]
    library: tuple[Path, ...]
    payload: int  #: bytes of each call; -1: all
    via: Via
    one_core: bool
    spread: bool
    deny_io_uring: bool
    kill: bool

    def check(self, context: click.Context) -> None:
        """Complain of options that do not go with each other.

        Raises:
            UsageError: one is for a command only.
        """
        if self.pid:
            _refuse_with_pid(context)
        elif isinstance(self.lab, Path):
            _refuse_with_hosts(context)

    def record(
        self,
        target: tuple[str, ...],
        *,
        quiet: bool,
        live: Callable[[Rows], None] | None,
        names: Iterable[Path] | None = None,
        tls_keys: Path | None = None,
        on_main_end: Callable[[int, int], None] | None = None,
        **more: Any,
    ) -> RunResult:
        """Record a command, running programs or the hosts of a lab, to the end.

        Args:
            target: the command; of a lab's hosts ``HOST=COMMAND``.
            quiet: say nothing meanwhile.
            live: gets rows as they are recorded.
            names: of the recording where none is given; the first that is free is taken.
            tls_keys: where the command writes the keys of its TLS sessions.
            on_main_end: is told that the command has ended while others run.
            more: as :func:`wallsocket.trace.run` takes it.
        """
        from ..trace.run import attach, run

        common: dict[str, Any] = {
            "replace": self.overwrite,
            "payload": None if self.payload < 0 else self.payload,
            "live": live,
            **{name: value for name, value in self._asdict().items() if name in _AS_GIVEN},
            **more,
        }
        if isinstance(self.lab, Path):
            from .lab import record as record_hosts

            output = self.output or (next(iter(names)) if names is not None else None)
            return record_hosts(self.lab, target, output=output, **common)
        common |= {
            "output": self.output or names,
            "on_main_end": on_main_end,
            "on_behind": None if quiet else _say_behind,
        }
        if self.pid:
            return attach(self.pid, on_attached=None if quiet else _say_attached(self.pid), **common)
        return run(
            target,
            lab=self.lab,
            via=self.via,
            one_core=self.one_core,
            spread=self.spread,
            deny_io_uring=self.deny_io_uring,
            kill=self.kill,
            user=self.user,
            environment=_with_tls_keys(tls_keys, self.user),
            **common,
        )

    def prune(self, *, quiet: bool) -> None:
        """Remove the oldest recordings where this one stands among them."""
        if self.output is None:
            from ..trace import places
            from ..trace.summary import say

            places.prune_telling_once(None if quiet else lambda text: say(f"wallsocket: {text}"))


def how(*, pid: str, output: str) -> Callable[[Callable[..., Any]], Any]:
    """The options that say how a program is recorded, given to the command together as ``how: How``.

    Args:
        pid: help of ``-p``.
        output: help of ``-o``.
    """
    wanted = (
        options.pid(pid),
        options.lab,
        options.output(output),
        options.overwrite,
        options.duration,
        options.user,
        options.code,
        _payload,
        _via,
        _one_core,
        _spread,
        _deny_io_uring,
        _kill,
    )

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def together(**given: Any) -> Any:
            said = How(**{name: given.pop(name) for name in How._fields})
            return command(how=said, **given)

        decorated: Any = together
        for option in reversed(wanted):
            decorated = option(decorated)
        return decorated

    return decorate
