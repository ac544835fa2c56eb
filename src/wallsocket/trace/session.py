"""A trace that a Python program makes: it runs beside the code that starts it.

``wallsocket trace`` hands its signals on to the command; a program that records another keeps its own. The recorder works
in a thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from ..errors import UsageError
from . import places
from .attach import refusal
from .recording import Recording
from .ring import Bounds, Ring
from .run import Control, Rows, RunResult, Via
from .run import attach as record_processes
from .run import follow as record_lab
from .run import run as record_command

if TYPE_CHECKING:
    from ..lab import Lab

__all__ = ["LabTrace", "Trace", "attach", "lab", "run"]

#: What a program's standard input, output and error may be given as: as in :mod:`subprocess`.
File = int | IO[Any] | None

#: Time for a command that was killed to end, before it is no longer recorded.
_END_S: Final = 2.0
#: Number of standard input.
_READ: Final = 0


class Trace:
    """A recording that is being made, or was made: see :func:`run` and :func:`attach`.

    As a context manager it records what happens in the block. The end of the block waits for a command that was started,
    as :class:`subprocess.Popen` does, and lets go of a program that ran before. An exception in the block ends a command.

    Attributes:
        path: the recording.
        pid: of the command, or of the first program attached to.
        stdin: the command's standard input, where :data:`subprocess.PIPE` was given; likewise ``stdout``, ``stderr``.
    """

    path: Path
    pid: int
    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    stderr: IO[bytes] | None = None

    def __init__(self, *, attached: bool) -> None:
        """Use :func:`run` or :func:`attach`."""
        self._attached = attached
        self._ring: Ring | None = None
        self._control = _Control(self)
        self._ready = threading.Event()
        self._result: RunResult | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def _begin(self, record: Any) -> None:
        """Start to record in a thread; returns when the command runs, or the programs are followed."""

        def work() -> None:
            try:
                self._result = record(self._control)
            except BaseException as error:
                self._error = error
            finally:
                self._ready.set()

        self._thread = threading.Thread(target=work, name="wallsocket trace", daemon=True)
        self._thread.start()
        try:
            self._ready.wait()
        except BaseException:
            self._control.stop()
            raise
        if self._error is not None:
            self._thread.join()
            self._close_files()
            raise self._error

    def _see(self, rows: Rows) -> None:
        if self._ready.is_set():
            return
        if rows.get("process") and not hasattr(self, "pid"):
            self.pid = rows["process"][0][1]
        # Until then it may turn out that it cannot be executed.
        if any(kind == "exec" for *_, kind, _text in rows.get("mark", ())):
            self._ready.set()

    # -- while it runs

    @property
    def running(self) -> bool:
        """Whether something is still being recorded."""
        return self._thread is not None and self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait until what is recorded has ended; its exit status (128 + signal, 0 for what runs on).

        Raises:
            TimeoutError: it still runs.
            RecordingError, NotAvailable: the recorder failed.
        """
        assert self._thread is not None
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise TimeoutError(f"pid {self.pid} still runs after {timeout_s:g} s")
        return self.result.exit_status

    def stop(self) -> Recording:
        """End the recording now; what was recorded runs on. The recording."""
        self._control.stop()
        self.wait()
        return self.recording

    def send_signal(self, number: int) -> None:
        """Send the command a signal; nothing when it has ended.

        Raises:
            UsageError: of a program that ran before: it is not ours to signal.
        """
        if self._attached:
            raise UsageError("a program that was attached to gets no signals from its trace: os.kill() sends one")
        self._control.signal(number)

    def terminate(self) -> None:
        """Send the command SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send the command SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.stdin is not None:
            self.stdin.close()
        try:
            if self._attached:
                self._control.stop()
            elif error is not None:
                self.kill()
                if self._thread is not None:
                    self._thread.join(_END_S)  # its end belongs to the recording; what it started may run on
                self._control.stop()
            if error is None:
                self.wait()
            elif self._thread is not None:
                self._thread.join()
        finally:
            self._close_files()

    def _close_files(self) -> None:
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()

    # -- afterwards

    @property
    def result(self) -> RunResult:
        """How it ended.

        Raises:
            UsageError: it has not ended.
        """
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise UsageError("the recording has not ended yet: wait() for it, or stop() it")
        return self._result

    @property
    def exit_status(self) -> int:
        """Of the command: 0–255, 128 + signal."""
        return self.result.exit_status

    @cached_property
    def recording(self) -> Recording:
        """What was recorded, to read. While it grows, ``Recording.open(t.path)`` shows what there is so far."""
        return Recording.open(self.result.path)

    @property
    def copies(self) -> list[Path]:
        """Of a flight recorder (``ring=``) the copies that were frozen so far."""
        return list(self._ring.copies) if self._ring is not None else []

    def __repr__(self) -> str:
        return f"<trace of pid {self.pid}, {'running' if self.running else 'ended'}: {self.path}>"


class LabTrace(Trace):
    """A recording of the programs that are started in a lab; see :func:`lab`.

    The end of the block lets go of those that still run. ``pid`` is that of the first one.
    """

    def __init__(self, net: Lab, live: Callable[[Rows], None] | None = None) -> None:
        """Use :func:`lab`."""
        super().__init__(attached=True)
        self._live = live
        self._lab = net
        self._changed = threading.Condition()
        #: Process ids by their number in the recording; those that are followed; those that are not, and why.
        self._pids: dict[int, int] = {}
        self._followed: set[int] = set()
        self._refused: dict[int, int] = {}

    def _see(self, rows: Rows) -> None:
        if not self._ready.is_set() and rows.get("network"):
            self._ready.set()
        with self._changed:
            for row in rows.get("process", ()):
                self._pids[row[0]] = row[1]
            for _, _, process, tid, kind, text in rows.get("mark", ()):
                if kind == "attached" and tid is None and process in self._pids:
                    self._followed.add(self._pids[process])
                elif kind == "not attached":
                    self._refused[tid] = int(text)
            self._changed.notify_all()
        if self._live is not None:
            self._live(rows)

    def _begins(self, host: str, pid: int) -> None:
        """A program of a host is held before it begins; returns when it is followed."""
        if not self.running:
            return
        if not hasattr(self, "pid"):
            self.pid = pid
        with self._changed:
            self._followed.discard(pid)
            self._control.attach(pid, host)
            while pid not in self._followed:
                if pid in self._refused:
                    raise refusal(pid, self._refused.pop(pid))
                if not self.running:
                    return
                self._changed.wait(0.2)

    def stop(self) -> Recording:
        """End the recording now; programs run on. The recording."""
        self._release()
        return super().stop()

    def _release(self) -> None:
        if self._lab._sees == self._begins:
            self._lab._sees = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()
        super().__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<trace of {self._lab!r}, {'running' if self.running else 'ended'}: {self.path}>"


class _Control(Control):
    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    def begun(self, path: Path) -> None:
        self._trace.path = path


def _ring(words: Sequence[str], triggers: Sequence[str]) -> Ring | None:
    if triggers and not words:
        raise UsageError("freeze_on= goes with ring=, such as ring=['60s']")
    if "finding" in triggers:
        raise UsageError("freeze_on=['finding'] is for wallsocket trace, where rules are asked meanwhile")
    return Ring(Bounds.parse(words), triggers) if words else None


def run(
    command: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str] | None = None,
    replace: bool = False,
    lab: bool = False,
    payload: int | None = 64,
    for_s: float | None = None,
    via: Via = "auto",
    ring: Sequence[str] = (),
    freeze_on: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    stdin: File = None,
    stdout: File = None,
    stderr: File = None,
    user: str | None = None,
    lines: bool = True,
    kernel: bool = True,
    wire: bool = True,
    user_code: Sequence[str | os.PathLike[str]] = (),
    library: Sequence[str | os.PathLike[str]] = (),
) -> Trace:
    """Run a command and record its sockets, and those of what it starts; returns when it runs.

    Args:
        command: program and arguments; the program is looked for in ``PATH``.
        output: file for the recording; by default a new one in the state folder, which keeps the newest 20.
        replace: an older recording may stand at ``output``.
        lab: run it in a private network namespace, where the wire is recorded too and no root is needed for that.
        payload: bytes kept of each call; ``None`` keeps all, 0 none.
        for_s: stop recording after so many seconds; the command runs on.
        via: how calls are seen: ``auto``, ``ptrace`` or ``preload``.
        ring: keep the youngest part only: a time such as ``60s``, a size such as ``200MB``, or both (docs/ring.md).
        freeze_on: with ``ring``, what makes a copy: ``signal``, ``exit``, ``errno=ECONNRESET``; see :attr:`Trace.copies`.
        env: its environment, instead of this process's.
        stdin, stdout, stderr: as of :class:`subprocess.Popen`: a file, a descriptor, ``PIPE`` or ``DEVNULL``.
        user: run it as this user; only root can.
        lines: read source lines. kernel: look at the sockets themselves. wire: record packets, where that
            is permitted.
        user_code, library: files and folders of your own code, and of library code (docs/lines.md).

    Raises:
        UsageError: the command is no list of words, or an option makes no sense.
        NotStarted: the command could not be started (``exit_status`` 126 or 127).
        NotPermitted: tracing, or the private network, is refused here; the text says by what.
        RecordingError: the recording cannot be made.
    """
    if isinstance(command, (str, bytes, os.PathLike)):
        raise UsageError("a command is a list of words, as ['ls', '-l']; a line for a shell: ['sh', '-c', LINE]")
    words = [os.fspath(word) for word in command]
    trace = Trace(attached=False)
    recorder = trace._ring = _ring(ring, freeze_on)
    ours: list[int] = []
    files: list[tuple[int, int]] = []
    try:
        for number, name, given in ((0, "stdin", stdin), (1, "stdout", stdout), (2, "stderr", stderr)):
            if given is None:
                continue
            if given == subprocess.PIPE:
                read, write = os.pipe()
                theirs, mine = (read, write) if number == _READ else (write, read)
                setattr(trace, name, os.fdopen(mine, "wb", 0) if number == _READ else os.fdopen(mine, "rb"))
                ours.append(theirs)
                files.append((theirs, number))
            elif given == subprocess.DEVNULL:
                null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
                ours.append(null)
                files.append((null, number))
            elif given == subprocess.STDOUT and number == 2:
                files.append((files[-1][0] if stdout is not None else 1, number))
            else:
                files.append((given if isinstance(given, int) else given.fileno(), number))
        trace._begin(
            lambda control: record_command(
                words,
                output=None if output is None else Path(output),
                replace=replace,
                lab=lab,
                payload=payload,
                live=trace._see,
                for_s=for_s,
                via=via,
                ring=recorder,
                user=user,
                samples=kernel,
                wire=wire,
                lines=lines,
                user_code=[Path(path).absolute() for path in user_code],
                library=[Path(path).absolute() for path in library],
                environment=env,
                files=files,
                control=control,
            )
        )
    finally:
        for descriptor in ours:
            os.close(descriptor)
    if output is None:
        places.prune_telling_once(None)
    return trace


def attach(
    *pids: int,
    output: str | os.PathLike[str] | None = None,
    replace: bool = False,
    payload: int | None = 64,
    for_s: float | None = None,
    ring: Sequence[str] = (),
    freeze_on: Sequence[str] = (),
    lines: bool = True,
    kernel: bool = True,
    wire: bool = True,
    user_code: Sequence[str | os.PathLike[str]] = (),
    library: Sequence[str | os.PathLike[str]] = (),
) -> Trace:
    """Record the sockets of programs that run already; returns when all their threads are followed.

    They run on afterwards as before. Options as of :func:`run`.

    Raises:
        NotPermitted: attaching is refused; the text says by what.
        NotAvailable: another tracer has it, or it is a 32-bit program.
        UsageError: there is no such process.
        RecordingError: the recording cannot be made.
    """
    if not pids:
        raise UsageError("no process given; write trace.attach(PID)")
    trace = Trace(attached=True)
    trace.pid = pids[0]
    recorder = trace._ring = _ring(ring, freeze_on)
    trace._begin(
        lambda control: record_processes(
            pids,
            output=None if output is None else Path(output),
            replace=replace,
            payload=payload,
            for_s=for_s,
            ring=recorder,
            samples=kernel,
            wire=wire,
            lines=lines,
            user_code=[Path(path).absolute() for path in user_code],
            library=[Path(path).absolute() for path in library],
            on_attached=trace._ready.set,
            control=control,
        )
    )
    if output is None:
        places.prune_telling_once(None)
    return trace


def lab(
    net: Lab,
    *,
    output: str | os.PathLike[str] | None = None,
    replace: bool = False,
    payload: int | None = 64,
    for_s: float | None = None,
    ring: Sequence[str] = (),
    freeze_on: Sequence[str] = (),
    lines: bool = True,
    kernel: bool = True,
    wire: bool = True,
    user_code: Sequence[str | os.PathLike[str]] = (),
    library: Sequence[str | os.PathLike[str]] = (),
    live: Callable[[Rows], None] | None = None,
    recorder: Ring | None = None,
    title: Sequence[str] = (),
) -> LabTrace:
    """Record the programs that are started in a lab's hosts from now on, all in one recording; needs no root.

    Both ends of a connection are in one view, and the packets as each host saw them. Sockets that the calling process makes in a
    host itself are not recorded: a process does not trace itself. Options as of :func:`run`, and:

    Args:
        live: called with each batch of new rows, tables as in ``schema.sql``.
        recorder: a flight recorder that is made already, instead of ``ring`` and ``freeze_on``.
        title: what the recording is called, instead of the hosts' names.

    Raises:
        RecordingError: the recording cannot be made.
        UsageError: the lab is recorded already.
    """
    if net._sees is not None:
        raise UsageError("the lab is recorded already: one trace at a time")
    trace = LabTrace(net, live)
    trace._ring = recorder or _ring(ring, freeze_on)
    words = list(title) or ["lab", *(host.name for host in net)]
    trace._begin(
        lambda control: record_lab(
            words,
            output=None if output is None else Path(output),
            replace=replace,
            payload=payload,
            live=trace._see,
            for_s=for_s,
            ring=trace._ring,
            samples=kernel,
            wire=wire,
            lines=lines,
            user_code=[Path(path).absolute() for path in user_code],
            library=[Path(path).absolute() for path in library],
            control=control,
        )
    )
    net._sees = trace._begins
    if output is None:
        places.prune_telling_once(None)
    return trace
