"""``wallsocket watch``: a recording on a terminal screen, live while it grows."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from ..errors import NotAvailable
from . import options, recorded

__all__ = ["command"]

#: How long a tracer may take to end when the screen has ended.
_END_S = 10


@click.command("watch", cls=options.RecordingOrCommand)
@options.recording
@options.pid("Attach to this running process; may be given several times.")
@options.lab
@options.output("Keep the recording here (with a command or -p).")
@options.overwrite
@options.user
@click.pass_context
def command(
    context: click.Context,
    recording: options.Files | None,
    pid: tuple[int, ...],
    lab: bool | Path,
    output: Path | None,
    overwrite: bool,
    user: str | None,
) -> int:
    """Show a recording (the newest if none is named) on the screen, or record a program and show it meanwhile.

    \b
    wallsocket watch                        the newest recording
    wallsocket watch run.wsrec
    wallsocket watch --lab -- sh run.sh     as it happens, with the wire
    wallsocket watch -p 4711                a program that runs already

    Keys 1 to 5 choose the panel, Enter opens what is selected, ? says where a panel's facts come from, q quits. A command has
    no terminal to read from, its output is a panel, and it is ended with the screen; a program that was attached to runs
    on. Works over ssh in 80 columns. Needs the extra: pip install "wallsocket[tui]".
    """
    target = recorded.target_shown(context, recording, pid)
    try:
        from ..tui import Watch
    except ImportError as error:
        raise NotAvailable('the screen needs an extra: pip install "wallsocket[tui]"') from error
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("needs a terminal; wallsocket show and wallsocket explain do not", context)
    from ..view import Feed

    if target is None and not pid:
        with Feed(options.recording_path(context, recording, quiet=True)) as feed:
            Watch(feed).run()
        return 0
    from ..trace import places

    name = "lab" if isinstance(lab, Path) else target[0] if target else f"pid-{pid[0]}"
    kept = output or next(iter(places.new_paths(name)))
    words = [sys.executable, "-m", "wallsocket", "trace", "-o", str(kept)]
    words += ["--overwrite"] * overwrite + _lab_words(lab) + (["-u", user] if user else [])
    for number in pid:
        words += ["-p", str(number)]
    if target:
        words += ["--", *target]
    with Feed() as feed:
        screen = Watch(feed, output=True)
        with _traced(words, kept, feed.begin, screen.printed) as tracer:
            screen.run()
        status = tracer.returncode
    click.echo(f"wallsocket: the recording is {kept}", err=True)
    return max(status, 0) if target is not None else 0


def _lab_words(lab: bool | Path) -> list[str]:
    return ["--lab", str(lab)] if isinstance(lab, Path) else ["--lab"] * lab


@contextlib.contextmanager
def _traced(
    words: list[str], kept: Path, begun: Callable[[Path], None], printed: Callable[[str], None]
) -> Iterator[subprocess.Popen[str]]:
    """The tracer in a process of its own, whose output does not disturb the screen; ended at the end."""
    with (
        tempfile.TemporaryFile() as nothing,
        subprocess.Popen(
            words, stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as tracer,
    ):
        ended = threading.Event()

        def read() -> None:
            assert tracer.stdout is not None
            for line in tracer.stdout:
                printed(line.rstrip("\n"))
            tracer.wait()
            ended.set()
            if kept.exists():
                begun(kept)

        def begin() -> None:
            while not kept.exists():
                if ended.wait(0.05):
                    return
            begun(kept)

        threads = [threading.Thread(target=one, daemon=True) for one in (read, begin)]
        for thread in threads:
            thread.start()
        try:
            yield tracer
        finally:
            if tracer.poll() is None:
                tracer.send_signal(signal.SIGTERM)
                try:
                    tracer.wait(_END_S)
                except subprocess.TimeoutExpired:
                    tracer.kill()
            for thread in threads:
                thread.join(1)
