"""``wallsocket trace``: run a program, or attach to running ones, and record their sockets."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options, recorded

if TYPE_CHECKING:
    from ..diagnose.finding import Finding
    from ..diagnose.live import Watcher

__all__ = ["Watch", "command"]


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
@recorded.how(
    pid="Attach to this running process, and let it run on afterwards; may be given several times.",
    output="Write the recording to this file.",
)
@options.quiet
@click.option("--live", is_flag=True, help="Print a line for each call, as it happens.")
@click.option("--no-kernel", is_flag=True, help="Do not record what the kernel says about the sockets.")
@click.option("--no-wire", is_flag=True, help="Do not record packets.")
@click.option("--no-lines", is_flag=True, help="Do not record source lines.")
@recorded.tls_keys
@recorded.ring
@recorded.freeze_on
@click.argument("arguments", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    how: recorded.How,
    quiet: bool,
    live: bool,
    no_kernel: bool,
    no_wire: bool,
    no_lines: bool,
    tls_keys: Path | None,
    ring_words: tuple[str, ...],
    freeze_on: tuple[str, ...],
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
    from ..trace.run import Rows
    from ..trace.summary import describe, say

    if how.pid:
        if arguments:
            raise click.UsageError("give a command or -p PID, not both", context)
    elif not arguments and not isinstance(how.lab, Path):
        raise click.UsageError("no command given; write -- COMMAND, or -p PID for a program that runs", context)
    how.check(context)

    def main_ended(status: int, left: int) -> None:
        if not quiet:
            who, whose = (f"process {how.pid[0]}", "the processes") if how.pid else ("the command", "its processes")
            say(
                f"wallsocket: {who} has ended ({status}); {left} of {whose} still run and are recorded; "
                "Ctrl-C ends the recording, not them"
            )

    recorder = recorded.flight_recorder(ring_words, freeze_on, quiet=quiet)
    watch = Watch(kernel=not no_kernel, lab=bool(how.lab), quiet=quiet)
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

    result = how.record(
        arguments,
        quiet=quiet,
        tls_keys=tls_keys,
        live=show,
        on_main_end=main_ended,
        ring=recorder,
        samples=not no_kernel,
        wire=not no_wire,
        lines=not no_lines,
    )
    if result.failure is not None and quiet:
        say(f"wallsocket: {result.failure}")
    if not quiet:
        watch.catch_up()
        say(describe(result, watch.told))
    how.prune(quiet=quiet)
    return result.exit_status
