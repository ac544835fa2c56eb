"""``wallsocket demo``: one minute in which a bug is found, explained and gone."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from . import terminal

if TYPE_CHECKING:
    from ..diagnose import Diagnosis
    from ..trace.run import RunResult

__all__ = ["command"]

_LETTER_BYTES: Final = 3000
#: How long two programs wait for each other before they are looked at: long enough for `both-wait`.
_HANG_S: Final = 1.3


@click.command("demo")
def command() -> int:
    """Show on a small service with a fault what Wallsocket says; needs no network and no root."""
    from .. import demo
    from ..trace import places

    folder = Path(demo.__file__).parent
    place = places.folder()
    broken = _record(folder / "broken" / "upper.py", place / "demo-1.wsrec")
    _say_machine(broken)

    _step(1, "A TCP service of 9 lines. Its tests pass: they send short messages. Now send 3000 bytes.")
    for number, line in enumerate((folder / "broken" / "upper.py").read_text(encoding="utf-8").splitlines(), 1):
        click.echo(f"     {number}  {line}".rstrip())
    count = _plain(folder / "broken" / "upper.py")
    lost = _LETTER_BYTES - count
    click.echo(f"\n     $ head -c {_LETTER_BYTES} letter.txt | nc -N 127.0.0.1 4567 | wc -c")
    click.echo(f"     {count:<16} {lost} bytes are gone; the client reports success, the service logs nothing\n")

    _step(2, f"$ wallsocket explain {'--lab ' if broken.lab else ''}-- python run.py broken/upper.py")
    diagnosis = _explain(broken)
    click.echo()

    healthy = _record(folder / "healthy" / "upper.py", place / "demo-2.wsrec", lab=broken.lab)
    _step(3, "The fixed service reads until the client has half-closed.")
    text = (folder / "healthy" / "upper.py").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(text[6:9], 7):
        click.echo(f"     {number}  {line}")
    click.echo(f"\n     $ wallsocket explain {'--lab ' if broken.lab else ''}-- python run.py healthy/upper.py")
    click.echo(f"     {_plain(folder / 'healthy' / 'upper.py')} bytes back.")
    fixed = _explain(healthy)
    click.echo()

    if importlib.util.find_spec("wallsocket.cli.inspect") is not None:
        _inspect(folder / "hang")
    from . import COMMANDS

    mine = ("explain -- YOUR COMMAND", "inspect :PORT", "web", "doctor", "rule list")
    there = [
        f"wallsocket {text}"
        for text in mine
        if importlib.util.find_spec(f"wallsocket.cli.{COMMANDS[text.split()[0]].module}") is not None
    ]
    click.echo("Now yours:")
    for line in there:
        click.echo(f"  {line}")
    click.echo(f"Kept, with the first 64 bytes of each call: {_tilde(broken.result.path)}")
    return 0 if diagnosis.findings and not fixed.findings else 1


class _Recorded:
    """A traced run of a service with its client."""

    def __init__(self, result: RunResult, lab: bool, refused: str) -> None:
        self.result = result
        self.lab = lab
        self.refused = refused  #: why there is no private network


def _record(service: Path, output: Path, *, lab: bool = True) -> _Recorded:
    """Run the service and its client under the trace, in a private network where that is allowed."""
    from ..errors import NotAvailable, NotPermitted
    from ..trace.run import run

    words = [sys.executable, str(service.parent.parent / "run.py"), str(service)]
    words += [str(service.parent.parent / "client.py"), str(_LETTER_BYTES)]
    refused = ""
    with _silent_stdout():
        if lab:
            try:
                return _Recorded(_complete(run(words, output=output, replace=True, lab=True)), True, "")
            except (NotPermitted, NotAvailable) as error:
                refused = str(error)
        return _Recorded(_complete(run(words, output=output, replace=True)), False, refused)


def _complete(result: RunResult) -> RunResult:
    """The same; Ctrl-C went to the program that was recorded, and is for the demo as well."""
    if result.exit_status == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    return result


@contextlib.contextmanager
def _silent_stdout() -> Iterator[None]:
    """What the traced programs print is no part of the show: the plain run prints it."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _plain(service: Path) -> int:
    """Run the service and its client without any trace; the number of bytes that came back."""
    words = [sys.executable, str(service.parent.parent / "run.py"), str(service)]
    words += [str(service.parent.parent / "client.py"), str(_LETTER_BYTES)]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60)
    return int(done.stdout)


def _say_machine(recorded: _Recorded) -> None:
    from .. import __version__
    from ..trace.recording import Recording
    from ..trace.text import escape

    with Recording.open(recorded.result.path) as recording:
        layers = {name: recording.meta.get(name, "no") for name in ("calls", "kernel", "wire")}
    seen = ", ".join(f"{name} {'yes' if value == 'yes' else 'no'}" for name, value in layers.items())
    where = " (private namespace)" if recorded.lab else ""
    who = "root" if os.geteuid() == 0 else "not root"
    release = ".".join(platform.release().split(".")[:2])
    machine = platform.machine().replace("_", "-")
    click.echo(f"wallsocket {__version__} · Linux {release} {machine} · {who} · sees: {seen}{where}")
    if not recorded.lab:
        click.echo(f"no private network here: {escape(recorded.refused)}")
        click.echo("so the demo shows calls and kernel only")
    click.echo()


def _step(number: int, text: str) -> None:
    click.echo(f"{number}  {text}\n")
    sys.stdout.flush()


def _explain(recorded: _Recorded) -> Diagnosis:
    from ..diagnose import diagnose
    from ..trace.recording import Recording
    from .explain import report_lines, store

    with Recording.open(recorded.result.path) as recording:
        diagnosis = diagnose(recording)
        for line in report_lines(recording, diagnosis, sys.stdout, width=terminal.width() - 5):
            click.echo(f"     {line}".rstrip())
    store(recorded.result.path, diagnosis)
    return diagnosis


def _inspect(folder: Path) -> None:
    """Two programs that wait for each other, looked at while they run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with contextlib.ExitStack() as programs:
        store = programs.enter_context(_running(folder / "store.py", port))
        assert store.stdout is not None
        store.stdout.readline()
        programs.enter_context(_running(folder / "client.py", port))
        time.sleep(_HANG_S)
        _step(4, "A service that hangs right now (nothing is stopped or restarted):")
        click.echo(f"     $ wallsocket inspect :{port}")
        environment = {**os.environ, "COLUMNS": str(terminal.width() - 5)}
        done = subprocess.run(
            [sys.executable, "-m", "wallsocket", "inspect", f":{port}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            timeout=30,
        )
        for line in done.stdout.splitlines():
            click.echo(f"     {line}".rstrip())
        click.echo()


@contextlib.contextmanager
def _running(program: Path, port: str) -> Iterator[subprocess.Popen[bytes]]:
    # A group of its own: Ctrl-C would have it print a traceback.
    process = subprocess.Popen([sys.executable, str(program), port], stdout=subprocess.PIPE, process_group=0)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _tilde(path: Path) -> str:
    home = str(Path.home())
    text = str(path)
    return f"~{text[len(home) :]}" if text.startswith(home + os.sep) else text
