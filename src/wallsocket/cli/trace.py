"""``wallsocket trace``: run a program, or attach to running ones, and record their sockets."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from ..diagnose.finding import Finding
    from ..diagnose.live import Watcher
    from ..trace.ring import Ring
    from ..trace.run import Via

__all__ = ["command", "refuse_with_pid", "say_attached", "target_shown"]


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


payload = click.option(
    "--payload",
    type=_Payload(),
    default=64,
    show_default=True,
    metavar="none|N|all",
    help="Bytes of payload to keep of each call.",
)
kill = click.option("--kill", is_flag=True, help="End the command, and what it started, when recording stops first.")
deny_io_uring = click.option(
    "--deny-io-uring", is_flag=True, help="Make io_uring unavailable to the command: it then uses calls that are seen."
)
via = click.option(
    "--via",
    type=click.Choice(["auto", "ptrace", "preload"]),
    default="auto",
    show_default=True,
    help="Stop the command at each call, or preload a library that records most calls without a stop.",
)
one_core = click.option("--one-core", is_flag=True, help="Confine the command to one core: tracing costs less.")
spread = click.option(
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


def with_tls_keys(keys: Path | None, user: str | None) -> Mapping[str, str] | None:
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


def say_behind(waiting: int) -> None:
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


def refuse_with_pid(context: click.Context) -> None:
    """Complain of options that are for a command, given beside -p."""
    for parameter, option in _OF_COMMANDS.items():
        if context.params.get(parameter):
            raise click.UsageError(f"{option} is for a command that is started, not for -p PID", context)
    if context.params.get("via") == "preload":
        raise click.UsageError("--via preload is for a command that is started, not for -p PID", context)


def refuse_with_hosts(context: click.Context) -> None:
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
        refuse_with_pid(context)
    elif target is None and isinstance(context.params.get("lab"), Path):
        target = ()
    elif target is None:
        options.refuse_without_command(context)
    elif recording is not None:
        raise click.UsageError("give a recording or a command, not both", context)
    elif not target and not isinstance(context.params.get("lab"), Path):
        raise click.UsageError("no command after --", context)
    if target is not None and isinstance(context.params.get("lab"), Path):
        refuse_with_hosts(context)
    return target


def say_attached(pids: tuple[int, ...]) -> Callable[[], None]:
    """What tells the user that the programs are followed now."""
    from ..trace.summary import say

    which = f"pid {pids[0]}" if len(pids) == 1 else f"pids {', '.join(map(str, pids))}"
    what = "it" if len(pids) == 1 else "them"
    return lambda: say(f"wallsocket: attached to {which}; Ctrl-C ends the recording, not {what}")


class _Usage(options.WithLab):
    def collect_usage_pieces(self, context: click.Context) -> list[str]:
        return ["[OPTIONS]", "-p PID | -- COMMAND [ARGUMENT]..."]


class Watch:
    """Tells findings that are certain as they happen, while that costs little: the recorder must keep up with the target."""

    #: Share of the time that looking for findings may take, after a beginning that is always affordable.
    _SHARE = 0.2
    _BEGINNING_S = 0.3
    #: How long the end waits for it to be loaded.
    _LOADING_S = 2.0
    #: Batches of rows, of 64 KiB at most each as they arrive.
    _MOST_WAITING = 64

    def __init__(self, *, kernel: bool, lab: bool, quiet: bool) -> None:
        self._meta = {
            "calls": "yes",
            "kernel": "yes" if kernel else "not asked for",
            "lab": "yes" if lab else "no",
        }
        self._quiet = quiet
        self._began_s = time.monotonic()
        self._spent_s = 0.0
        self._watcher: Watcher | None = None
        self._loader: threading.Thread | None = None
        #: What came while it was loaded.
        self._waiting: list[Mapping[str, list[tuple[Any, ...]]]] = []
        self._given_up = False
        self._told = 0

    @property
    def told(self) -> int | None:
        """How many findings were told; ``None``: it was not looked at all that came."""
        return None if self._quiet or self._given_up or self._waiting else self._told

    def prepare(self) -> None:
        """Load what looks for findings, before anything is recorded or beside it."""
        from ..diagnose.live import Watcher

        self._watcher = Watcher(self._meta)
        self._began_s = time.monotonic()

    def catch_up(self) -> None:
        """Look at what came while it was loaded: the program has ended, or is let go."""
        if self._loader is not None and any("call" in rows for rows in self._waiting):
            self._loader.join(self._LOADING_S)
            self.take({})
        elif self._loader is not None:
            self._waiting.clear()

    def give_up(self) -> None:
        """Look no further."""
        self._given_up = True
        self._watcher = None
        self._waiting.clear()

    def take(self, rows: Mapping[str, list[tuple[Any, ...]]]) -> bool:
        """The next rows, as the recorder gets them; whether something was found in them."""
        if self._given_up:
            return False
        self._waiting.append(rows)
        if self._watcher is None:
            # Not here: what is recorded is to be committed meanwhile.
            if self._loader is None:
                self._loader = threading.Thread(target=self.prepare, daemon=True)
                self._loader.start()
            if len(self._waiting) > self._MOST_WAITING:
                self.give_up()
            return False
        found = False
        # Its own time: what else the machine does meanwhile is no reason to stop looking.
        began_s = time.thread_time()
        for waiting in self._waiting:
            for finding in self._watcher.take(waiting):
                found = True
                if not self._quiet:
                    self._tell(finding)
        self._waiting.clear()
        self._spent_s += time.thread_time() - began_s
        if self._spent_s > self._BEGINNING_S + self._SHARE * (time.monotonic() - self._began_s):
            self.give_up()
        return found

    def _tell(self, finding: Finding) -> None:
        from ..diagnose.text import finding_lines
        from . import terminal

        lines = finding_lines(finding, "FOUND", width=terminal.width(), colour=terminal.has_colour(sys.stderr))
        click.echo("\n".join(lines), err=True)
        self._told += 1


@click.command(cls=_Usage, context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@options.pid("Attach to this running process, and let it run on afterwards; may be given several times.")
@options.output("Write the recording to this file.")
@options.overwrite
@options.lab
@options.user
@options.duration
@options.quiet
@payload
@kill
@deny_io_uring
@via
@one_core
@spread
@click.option("--live", is_flag=True, help="Print a line for each call, as it happens.")
@click.option("--no-kernel", is_flag=True, help="Do not record what the kernel says about the sockets.")
@click.option("--no-wire", is_flag=True, help="Do not record packets.")
@click.option("--no-lines", is_flag=True, help="Do not record source lines.")
@tls_keys
@ring
@freeze_on
@options.code
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    pid: tuple[int, ...],
    output: Path | None,
    overwrite: bool,
    lab: bool | Path,
    user: str | None,
    for_s: float | None,
    quiet: bool,
    payload: int,
    kill: bool,
    deny_io_uring: bool,
    via: Via,
    one_core: bool,
    spread: bool,
    live: bool,
    no_kernel: bool,
    no_wire: bool,
    no_lines: bool,
    tls_keys: Path | None,
    ring_words: tuple[str, ...],
    freeze_on: tuple[str, ...],
    user_code: tuple[Path, ...],
    library: tuple[Path, ...],
    arguments: tuple[str, ...],
) -> int:
    """Run a program, or attach to a running one, and record its sockets.

    \b
    wallsocket trace -- ./server --port 80
    wallsocket trace -p 4711 --for 10s
    wallsocket trace --lab net.toml -- server=./server client='./client server'

    Calls with their source lines, the kernel's view of each socket and, with --lab or as root, the packets go into one
    file; see `wallsocket show` and `wallsocket explain`. The exit status is the command's; with -p it is 0, or that of
    the first PID if it ends meanwhile. Ctrl-C ends the recording, and a program that was attached to runs on.
    """
    from ..trace import places
    from ..trace.run import Rows, attach, run
    from ..trace.summary import describe, say
    from .lab import record as record_hosts

    if pid:
        if arguments:
            raise click.UsageError("give a command or -p PID, not both", context)
        refuse_with_pid(context)
    elif not arguments and not isinstance(lab, Path):
        raise click.UsageError("no command given; write -- COMMAND, or -p PID for a program that runs", context)

    def main_ended(status: int, left: int) -> None:
        if not quiet:
            who, whose = (f"process {pid[0]}", "the processes") if pid else ("the command", "its processes")
            say(
                f"wallsocket: {who} has ended ({status}); {left} of {whose} still run and are recorded; "
                "Ctrl-C ends the recording, not them"
            )

    recorder = flight_recorder(ring_words, freeze_on, quiet=quiet)
    watch = Watch(kernel=not no_kernel, lab=bool(lab), quiet=quiet)
    if recorder is not None and recorder.on_finding:
        watch.prepare()
    elif quiet or recorder is not None:
        # Nobody is told. A flight recorder runs for days: what looks for findings remembers what it has seen.
        watch.give_up()
    printer = None
    if live:
        from ..trace.live import Printer

        printer = Printer()

    def show(rows: Rows) -> None:
        if printer is not None:
            printer.print_rows(rows)
        if watch.take(rows) and recorder is not None:
            recorder.freeze("finding")

    common: dict[str, Any] = {
        "output": output,
        "replace": overwrite,
        "payload": None if payload < 0 else payload,
        "live": show,
        "for_s": for_s,
        "samples": not no_kernel,
        "wire": not no_wire,
        "lines": not no_lines,
        "user_code": user_code,
        "library": library,
        "on_main_end": main_ended,
        "on_behind": None if quiet else say_behind,
        "ring": recorder,
    }
    if pid:
        result = attach(pid, on_attached=None if quiet else say_attached(pid), **common)
    elif isinstance(lab, Path):
        refuse_with_hosts(context)
        del common["on_main_end"], common["on_behind"]
        result = record_hosts(lab, arguments, **common)
    else:
        result = run(
            arguments,
            lab=lab,
            one_core=one_core,
            spread=spread,
            deny_io_uring=deny_io_uring,
            via=via,
            kill=kill,
            user=user,
            environment=with_tls_keys(tls_keys, user),
            **common,
        )
    if result.failure is not None and quiet:
        say(f"wallsocket: {result.failure}")
    if not quiet:
        watch.catch_up()
        say(describe(result, watch.told))
    if output is None:
        places.prune_telling_once(None if quiet else lambda text: say(f"wallsocket: {text}"))
    return result.exit_status
