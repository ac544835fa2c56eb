"""Tracing a command or running programs: starts the guardian, writes what it says into a recording, tells how it ended.

The guardian (``wallsocket-guardian``, a program of its own) traces; this process only writes. It may die at any time:
the guardian lets the command run on, unrecorded, and lets go of programs that ran before.
"""

from __future__ import annotations

import contextlib
import errno
import json
import operator
import os
import platform
import select
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from ..errors import NotAvailable, NotPermitted, NotStarted, RecordingError, UsageError
from ..events import Call
from . import places, signals
from .attach import refusal as attach_refusal
from .attach import target
from .command import closed_streams, credentials, ignored_unseen, program_file
from .recording import Recording, Writer
from .ring import Ring

if TYPE_CHECKING:
    from .._core.trace import Rows as Decoder

__all__ = ["DEFAULT_PAYLOAD", "Control", "RunResult", "attach", "follow", "guardian_path", "library_path", "run"]

#: Payload bytes that are kept of each call.
DEFAULT_PAYLOAD: Final = 64
#: How often the guardian looks at calls that take long, and at what it is told.
TICK_MS = 50
#: The same where the preloaded library records: what it has written is fetched as often.
_LIBRARY_TICK_MS: Final = 5
#: Payload bytes of a call that the preloaded library keeps at most.
_LIBRARY_PAYLOAD: Final = 4096
#: "All" payload: a longer call is cut here, or its bytes would stand in the memory of three processes at once.
ALL_PAYLOAD: Final = 16 << 20
#: How long the guardian may need to let go of the programs that it is attached to; it gives up after a second itself.
_LET_GO_S: Final = 3.0
#: What a kill of this process may cost, at most.
_COMMIT_INTERVAL_S: Final = 0.2
#: So much of the backlog has a recorder that only took idle time go on as everybody does, until a half of it is left.
_URGENT_BYTES: Final = 1 << 30
#: What the guardian says at its end (``say_goodbye`` in guardian.rs).
_FAREWELL: Final = struct.Struct("=QQi")
#: Fewer bytes than these are written before anybody has read that they wait.
_MANY_BYTES: Final = 1 << 20
#: Small enough that no memory is mapped for it.
_READ_BYTES: Final = 1 << 16

#: Keys of ``meta`` that say whether a layer was recorded.
_LAYERS: Final = ("calls", "kernel", "wire", "lines")

#: How a guardian ends that does not understand its order (waitpid(2)): it is of another version.
_REFUSED_ORDER: Final = 2 << 8

_ID: Final = operator.itemgetter(0)
_PAYLOAD: Final = Call.__struct_fields__.index("payload")

Rows = Mapping[str, list[tuple[Any, ...]]]
#: How calls are recorded.
Via = Literal["auto", "ptrace", "preload"]


class RunResult(msgspec.Struct, frozen=True):
    """How a traced run ended.

    Attributes:
        path: the recording.
        exit_status: of the command, or of the first program attached to, 128 + signal as a shell has it; 0 when it still
            runs.
        end: ``exit`` (it ended), ``time limit`` or ``interrupted`` (it runs on, unrecorded), ``killed`` (by ``--kill``).
        attached: the programs ran before.
        failure: why the recording is incomplete, or ``None``.
        calls: calls recorded. sockets: sockets seen. lost: rows that were lost.
        stops: ptrace stops that system calls of the command made.
        added_ns_per_call: the tracer's own time per recorded call.
        duration_ns: from the start to the end of the recording.
        missing: layer and the reason why it was not recorded.
        on_one_core_saves_ns: what two stops cost less with program and tracer on one core, measured before the start.
        near_calls: calls of threads that were on the tracer's core.
        cut_off_ns: the moment from which nothing could be written any more.
        via: how calls were recorded: ``ptrace`` or ``preload``. preloaded: programs whose calls the library recorded; only_stopped:
            programs with sockets that could not have it.
        lines_missing: why lines of code are unknown, as was said first.
        shortened: calls of which the beginning was kept though all was asked for: 16 MiB.
    """

    path: Path
    exit_status: int
    end: str
    failure: str | None
    calls: int
    sockets: int
    lost: int
    stops: int
    added_ns_per_call: int
    duration_ns: int
    missing: dict[str, str]
    attached: bool = False
    on_one_core_saves_ns: int = 0
    near_calls: int = 0
    cut_off_ns: int | None = None
    shortened: int = 0
    via: str = "ptrace"
    preloaded: int = 0
    only_stopped: int = 0
    lines_missing: str | None = None


class Control:
    """Steers a recording from another thread of the process that makes it; that process keeps its signals to itself.

    Without one, :func:`run` and :func:`attach` hand the signals of this process on to the command, as ``wallsocket trace``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorder: _Recorder | None = None
        self._early: list[Callable[[_Recorder], None]] = []

    def stop(self) -> None:
        """End the recording; what was recorded runs on."""
        self._tell(lambda recorder: recorder._stop("interrupted"))

    def signal(self, number: int) -> None:
        """Send a signal to the command; nothing when it has ended."""
        self._tell(lambda recorder: recorder._command(b"s" + bytes([number])))

    def attach(self, pid: int, network: str) -> None:
        """Follow one more process (see :func:`follow`), whose network has this name; marks tell how it went."""
        name = network.encode()[:255]
        self._tell(lambda recorder: recorder._command(b"a" + struct.pack("=iB", pid, len(name)) + name))

    def begun(self, path: Path) -> None:
        """Called when the recording is there, before anything is recorded."""

    def _take(self, recorder: _Recorder) -> None:
        with self._lock:
            self._recorder = recorder
            early, self._early = self._early, []
        for tell in early:
            tell(recorder)

    def _tell(self, tell: Callable[[_Recorder], None]) -> None:
        with self._lock:
            recorder = self._recorder
            if recorder is None:
                self._early.append(tell)
                return
        tell(recorder)


def guardian_path() -> Path:
    """The guardian program.

    Raises:
        NotAvailable: it is not part of this installation.
    """
    path = Path(__file__).with_name("guardian")
    if not path.is_file():
        raise NotAvailable(
            f"the tracing program is missing: {path}; install the wheel, or run make build in a checkout"
        )
    return path


def library_path() -> Path:
    """The library that ``via="preload"`` has the program load.

    Raises:
        NotAvailable: it is not part of this installation.
    """
    path = Path(__file__).with_name("preload.so")
    if not path.is_file():
        raise NotAvailable(
            f"the library to preload is missing: {path}; install the wheel, or run make build in a checkout; "
            "--via ptrace needs none"
        )
    return path


def run(
    command: Sequence[str],
    *,
    output: Path | Iterable[Path] | None = None,
    replace: bool = False,
    lab: bool = False,
    payload: int | None = DEFAULT_PAYLOAD,
    live: Callable[[Rows], None] | None = None,
    for_s: float | None = None,
    one_core: bool = False,
    spread: bool = False,
    deny_io_uring: bool = False,
    via: Via = "auto",
    kill: bool = False,
    user: str | None = None,
    samples: bool = True,
    wire: bool = True,
    lines: bool = True,
    user_code: Sequence[Path] = (),
    library: Sequence[Path] = (),
    on_main_end: Callable[[int, int], None] | None = None,
    on_behind: Callable[[int], None] | None = None,
    environment: Mapping[str, str] | None = None,
    files: Sequence[tuple[int, int]] = (),
    control: Control | None = None,
    ring: Ring | None = None,
) -> RunResult:
    """Run ``command`` and record its sockets until it and its descendants have ended.

    Args:
        command: program and arguments; the program is looked for in ``PATH``.
        output: file for the recording, or names of which the first that is free is taken; by default a new one in the
            state folder.
        replace: an older recording may stand at ``output``.
        lab: run it in a private network namespace, where the wire is recorded too.
        payload: bytes kept of each call; ``None`` keeps all (of a single call 16 MiB), 0 none.
        live: called with each batch of new rows, tables as in ``schema.sql``.
        for_s: stop recording after so many seconds.
        one_core: confine the command to one core, which makes tracing cheaper.
        spread: leave threads whose calls come quickly on the cores where the scheduler puts them, and not on the tracer's.
        deny_io_uring: let ``io_uring_setup`` fail with ENOSYS, so that programs use calls that are seen.
        via: how calls are recorded: ``ptrace`` stops the program at each; ``preload`` has it load a library that records most of
            them without a stop (docs/preload.md); ``auto`` chooses.
        kill: end the command when recording stops early.
        user: run it as this user; only root can.
        samples: look at the sockets themselves. wire: record packets, where that is permitted. lines: read source lines.
        user_code: files and directories of the user's own code. library: of library code. Both go before what is found
            out by where code is installed; see docs/lines.md.
        on_main_end: called when the command has ended but others that it started run on: status, and how many.
        on_behind: called when everything has ended but more than a megabyte of what was seen is still to be written: its
            bytes. An interrupt ends the recording there; until then it is written.
        environment: of the command, instead of that of this process.
        files: (descriptor of this process, what the command gets it as): its standard input, output, error.
        control: what steers it from another thread.
        ring: keep the youngest part only.

    Raises:
        NotStarted: the command could not be started (exit status 126 or 127).
        NotPermitted: tracing, or the private network, is refused here.
        RecordingError: the recording cannot be made.
    """
    if not command:
        raise UsageError("no command given; write: wallsocket trace -- COMMAND")
    guardian = guardian_path()
    as_user = credentials(user)
    program = program_file(command[0], privileged=os.geteuid() == 0)
    order = _order(payload, samples, wire, lines, user_code, library) | {
        "deny_io_uring": deny_io_uring,
        "one_core": one_core,
        "privileged": os.geteuid() == 0,
        "lab": lab,
        "program": program,
        "ignored_unseen": ignored_unseen(),
        "user": as_user,
    }
    if spread:
        order["spread"] = True
    if closed := closed_streams(files):
        order["closed_streams"] = closed
    if via == "preload":
        if payload is None or payload > _LIBRARY_PAYLOAD:
            raise UsageError(
                f"--via preload keeps at most {_LIBRARY_PAYLOAD} bytes of a call's payload; --via ptrace keeps all"
            )
        order |= {"preload": str(library_path()), "tick_ms": _LIBRARY_TICK_MS}
    paths = output if output is not None else places.new_paths(command[0])
    with _writer(paths, command, order, replace=replace) as (writer, origin_ns):
        recorder = _Recorder(writer, origin_ns, live, on_main_end, on_behind, kill=kill, steered_by=control, ring=ring)
        return recorder.run(guardian, order, command, for_s, os.environ if environment is None else environment, files)


def attach(
    pids: Sequence[int],
    *,
    output: Path | Iterable[Path] | None = None,
    replace: bool = False,
    payload: int | None = DEFAULT_PAYLOAD,
    live: Callable[[Rows], None] | None = None,
    for_s: float | None = None,
    samples: bool = True,
    wire: bool = True,
    lines: bool = True,
    user_code: Sequence[Path] = (),
    library: Sequence[Path] = (),
    on_attached: Callable[[], None] | None = None,
    on_main_end: Callable[[int, int], None] | None = None,
    on_behind: Callable[[int], None] | None = None,
    control: Control | None = None,
    ring: Ring | None = None,
) -> RunResult:
    """Record the sockets of programs that run already, until they end, the time is over, or this process is interrupted.

    All their threads are followed, and the processes that they start meanwhile. They run on afterwards as before.

    Args:
        pids: the processes.
        output, replace, payload, live, for_s, samples, wire, lines, user_code, library: as of :func:`run`.
        on_attached: called when all of them are followed: what they do from now on is recorded.
        on_main_end: called when the first of ``pids`` has ended but others run on: status, and how many.
        on_behind: as of :func:`run`.
        control: what steers it from another thread.
        ring: keep the youngest part only.

    Raises:
        NotPermitted: attaching is refused; the text says by what.
        NotAvailable: another tracer has it, or it is a 32-bit program.
        UsageError: there is no such process.
        RecordingError: the recording cannot be made.
    """
    if not pids:
        raise UsageError("no process given; write: wallsocket trace -p PID")
    guardian = guardian_path()
    targets = {target.pid: target for target in map(target, pids)}
    first = next(iter(targets.values()))
    order = _order(payload, samples, wire, lines, user_code, library) | {"attach": list(targets)}
    paths = output if output is not None else places.new_paths(first.name)
    with _writer(paths, first.command, order, replace=replace) as (writer, origin_ns):
        recorder = _Recorder(
            writer,
            origin_ns,
            live,
            on_main_end,
            kill=False,
            attached=True,
            awaited=len(targets),
            on_attached=on_attached,
            steered_by=control,
            ring=ring,
        )
        return recorder.run(guardian, order, (), for_s, os.environ, ())


def follow(
    command: Sequence[str],
    *,
    output: Path | Iterable[Path] | None = None,
    replace: bool = False,
    payload: int | None = DEFAULT_PAYLOAD,
    live: Callable[[Rows], None] | None = None,
    for_s: float | None = None,
    samples: bool = True,
    wire: bool = True,
    lines: bool = True,
    user_code: Sequence[Path] = (),
    library: Sequence[Path] = (),
    control: Control,
    ring: Ring | None = None,
) -> RunResult:
    """Record the processes that :meth:`Control.attach` names, until :meth:`Control.stop`.

    They are to be held before they run their program; those of other networks need no more rights than those of the own one.

    Args:
        command: what the recording is called.
        output, replace, payload, live, for_s, samples, wire, lines, user_code, library, control, ring: as of :func:`run`.

    Raises:
        RecordingError: the recording cannot be made.
    """
    guardian = guardian_path()
    order = _order(payload, samples, wire, lines, user_code, library) | {"expects_more": True}
    paths = output if output is not None else places.new_paths("lab")
    with _writer(paths, command, order, replace=replace) as (writer, origin_ns):
        recorder = _Recorder(writer, origin_ns, live, None, kill=False, attached=True, steered_by=control, ring=ring)
        return recorder.run(guardian, order, (), for_s, os.environ, ())


def _order(
    payload: int | None,
    samples: bool,
    wire: bool,
    lines: bool,
    user_code: Sequence[Path],
    library: Sequence[Path],
) -> dict[str, Any]:
    """What the guardian is told when nothing is run, attached to, or asked for beyond this."""
    return {
        "payload": ALL_PAYLOAD if payload is None else min(payload, ALL_PAYLOAD),
        "samples": samples,
        "lines": lines,
        "code": {"user": [str(path) for path in user_code], "libraries": [str(path) for path in library]},
        "deny_io_uring": False,
        "tick_ms": TICK_MS,
        "one_core": False,
        "privileged": False,
        "lab": False,
        "program": None,
        "attach": [],
        "ignored_unseen": [],
        "user": None,
        # A key that older guardians do not know is there only when it is needed.
        **({} if wire else {"wire": False}),
    }


@contextlib.contextmanager
def _writer(
    paths: Path | Iterable[Path], command: Sequence[str], order: Mapping[str, Any], *, replace: bool
) -> Iterator[tuple[Writer, int]]:
    """A new recording, and the moment on CLOCK_MONOTONIC that its times count from; closed if recording fails."""
    origin_ns = time.monotonic_ns()
    payload = order["payload"]
    meta = {
        "version": _version(),
        "command": json.dumps(list(command)),
        "machine": platform.machine(),
        "release": platform.release(),
        "started_monotonic_ns": str(origin_ns),
        "started_realtime_ns": str(time.time_ns()),
        "payload": "all" if payload == ALL_PAYLOAD else "none" if payload == 0 else str(payload),
        "lab": "yes" if order["lab"] else "no",
        "via": "preload" if "preload" in order else "ptrace",
        "calls": "yes",
        "kernel": "yes" if order["samples"] else "not asked for",
        "lines": "yes" if order["lines"] else "not asked for",
    }
    if order["attach"]:
        meta["attached"] = json.dumps(order["attach"])
    if isinstance(paths, Path):
        writer = Writer(paths, meta=meta, replace=replace)
    else:
        writer = Writer.at_first_free(paths, meta=meta)
    try:
        yield writer, origin_ns
    except BaseException:
        with contextlib.suppress(RecordingError):
            writer.finish({})
        raise


def _version() -> str:
    from .. import __version__

    return str(__version__)


class _Recorder:
    """Reads the guardian's rows and writes the recording."""

    def __init__(
        self,
        writer: Writer,
        origin_ns: int,
        live: Callable[[Rows], None] | None,
        on_main_end: Callable[[int, int], None] | None,
        on_behind: Callable[[int], None] | None = None,
        *,
        kill: bool,
        attached: bool = False,
        awaited: int = 0,
        on_attached: Callable[[], None] | None = None,
        steered_by: Control | None = None,
        ring: Ring | None = None,
    ) -> None:
        self._steered_by = steered_by
        self._ring = ring
        self._attached = attached
        self._awaited = awaited  #: processes that are still to be attached to
        self._on_attached = on_attached
        self._writer = writer
        self._origin_ns = origin_ns
        self._live = live
        self._on_main_end = on_main_end
        self._on_behind = on_behind
        self._kill = kill
        self._control: socket.socket | None = None
        self._failure: str | None = None
        self._kept_ns = 0  #: until when everything is in the file
        self._status: int | None = None
        self._complete = False
        self._not_started: tuple[str, int] | None = None
        self._guardian_end: int | None = None  #: its status as of waitpid(2), where it was waited for
        self._meta: dict[str, str] = {}
        self._calls = 0
        self._keeps_all = False
        self._shortened = 0
        self._lines_missing: str | None = None
        self._via = "ptrace"
        self._sockets = 0
        self._end = "exit"
        self._stopping = False
        self._started = False
        self._received = 0  #: rows
        self._sent: int | None = None  #: rows, known when nothing more is recorded and many of them wait
        self._said_farewell = False
        self._deadline: float | None = None
        self._cut_off = False
        self._early: list[int] = []  #: signals that came when there was nobody yet to get them

    def run(
        self,
        guardian: Path,
        order: dict[str, Any],
        command: Sequence[str],
        for_s: float | None,
        environment: Mapping[str, str],
        files: Sequence[tuple[int, int]],
    ) -> RunResult:
        """Start, record, and tell how it ended."""
        from .._core.trace import Rows as Decoder

        rows, rows_write = os.pipe()
        ours, theirs = socket.socketpair()
        self._control = ours
        self._keeps_all = order["payload"] == ALL_PAYLOAD
        self._via = "preload" if "preload" in order else "ptrace"
        steered_by = self._steered_by
        if steered_by is not None:
            assert self._writer.path is not None
            steered_by.begun(self._writer.path)
        with _closing(rows), ours, signals.Fetched(self._signalled) if steered_by is None else signals.left_alone():
            with self._backlog() as backlog:
                try:
                    os.set_inheritable(rows_write, True)
                    os.set_inheritable(theirs.fileno(), True)
                    order = {
                        **order,
                        "origin_ns": self._origin_ns,
                        "rows_fd": rows_write,
                        "backlog_fd": backlog,
                        "control_fd": theirs.fileno(),
                        "unblocked": sorted(signals.Fetched.for_guardian() - signals.Fetched.before),
                    }
                    pid = _start_guardian(guardian, [json.dumps(order), *command], environment, files)
                    self._started = True
                finally:
                    os.close(rows_write)
                    theirs.close()
                for number in self._early:
                    self._command(b"s" + bytes([number]))
                if steered_by is not None:
                    steered_by._take(self)
                # The library that we add is not the user's, wherever it lies.
                libraries = [*order["code"]["libraries"], *filter(None, [order.get("preload")])]
                decoder = Decoder(guardian, order["code"]["user"], libraries)
                self._deadline = None if for_s is None else time.monotonic() + for_s
                try:
                    if self._via == "preload":
                        self._follow_behind(rows, ours, decoder, backlog)
                    else:
                        self._follow(rows, ours, decoder)
                except ValueError as error:
                    raise NotAvailable(_unfit(guardian)) from error
            if self._cut_off:
                pass  # the guardian ends when nobody reads
            elif self._attached or self._is_alone:
                self._guardian_end = _wait_for(pid, _LET_GO_S)
            elif self._status is not None or self._not_started is not None:
                # Where SIGCHLD is ignored, the end of a child leaves nothing to be fetched.
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        if self._cut_off:
            _wait_for(pid, _LET_GO_S)
        return self._finish()

    def _follow(
        self, rows: int, control: socket.socket | None, decoder: Decoder, until: Callable[[], bool] | None = None
    ) -> bool:
        """Write what comes; False: there may be more, but ``until`` has said that it is enough.

        Without ``control`` somebody else attends to what is said there, and to the time limit.

        Raises:
            ValueError: what comes is no stream of rows.
        """
        next_commit = 0.0
        while not self._cut_off and not (until is not None and until()):
            if self._attend(control, rows):
                data = os.read(rows, _READ_BYTES)
                if not data:
                    return True
                tables = decoder.feed(data)
                self._received = decoder.received
                self._take(tables)
            if (now := time.monotonic()) >= next_commit:
                self._guard(self._commit)
                next_commit = now + _COMMIT_INTERVAL_S
        return self._cut_off

    def _follow_behind(self, rows: int, control: socket.socket, decoder: Decoder, backlog: int | None) -> None:
        """As :meth:`_follow`, in time that nobody else wants while the program runs: it may need every processor.

        What is not read meanwhile waits in the file ``backlog``.
        """
        from concurrent.futures import ThreadPoolExecutor

        urgent = threading.Event()

        def only_when_idle() -> bool:
            # A thread of its own: who has gone behind all others cannot come back (sched(7), "SCHED_IDLE").
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            return self._follow(rows, None, decoder, urgent.is_set)

        def waiting() -> int:
            return 0 if backlog is None else os.fstat(backlog).st_blocks * 512

        def more_is_recorded() -> bool:
            return not (self._said_farewell or self._stopping)

        decoder.prepare()
        complete = False
        while not complete:
            urgent.clear()
            with ThreadPoolExecutor(1, "recorder") as threads:
                written = threads.submit(only_when_idle)
                try:
                    while not written.done() and more_is_recorded() and waiting() <= _URGENT_BYTES:
                        self._attend(control)
                finally:
                    urgent.set()
                complete = written.result()
            if not complete:
                complete = self._follow(
                    rows, control, decoder, lambda: more_is_recorded() and waiting() < _URGENT_BYTES // 2
                )

    def _attend(self, control: socket.socket | None, rows: int | None = None) -> bool:
        """Wait a while for rows, and for what the guardian says besides; look at the clock. Whether rows are there."""
        poller = select.poll()
        if rows is not None:
            poller.register(rows, select.POLLIN)
        timeout_s = _COMMIT_INTERVAL_S
        if control is not None:
            if not self._said_farewell:
                poller.register(control, select.POLLIN)
            if self._deadline is not None:
                timeout_s = min(timeout_s, max(self._deadline - time.monotonic(), 0))
        ready = {descriptor for descriptor, _ in poller.poll(timeout_s * 1000)}
        if control is not None:
            if control.fileno() in ready:
                self._take_farewell(control)
            if self._deadline is not None and time.monotonic() >= self._deadline:
                self._deadline = None
                self._stop("time limit")
        return rows in ready

    @contextlib.contextmanager
    def _backlog(self) -> Iterator[int | None]:
        """A file without a name beside the recording, for rows that wait to be written; without one they wait in memory."""
        assert self._writer.path is not None
        with contextlib.ExitStack() as stack:
            descriptor = None
            with contextlib.suppress(OSError):
                file = stack.enter_context(tempfile.TemporaryFile(dir=self._writer.path.parent, buffering=0))
                descriptor = file.fileno()
                os.set_inheritable(descriptor, True)
            yield descriptor

    def _take_farewell(self, control: socket.socket) -> None:
        """The guardian records nothing more; or it is gone."""
        self._said_farewell = True
        with contextlib.suppress(OSError, struct.error):
            sent, waiting, status = _FAREWELL.unpack(control.recv(_FAREWELL.size))
            if waiting >= _MANY_BYTES:
                self._sent = sent
                if status >= 0:
                    self._status = status
                if self._on_behind is not None:
                    self._on_behind(waiting)

    def _take(self, tables: dict[str, list[tuple[Any, ...]]]) -> None:
        ends = tables.pop("end", ())
        metas = tables.pop("meta", ())
        self._meta.update(dict(metas))
        if layers := {key: value for key, value in metas if key in _LAYERS}:
            # At once: what a layer lacks is known also when the end is never written.
            self._guard(lambda: self._writer.set_meta(layers))
        for table, rows in tables.items():
            self._guard(lambda table=table, rows=rows: self._writer.write(table, rows))  # type: ignore[misc]
        if "call" in tables:
            self._calls = max(self._calls, max(map(_ID, tables["call"])))
            if self._keeps_all:
                self._shortened += sum(len(call[_PAYLOAD] or b"") == ALL_PAYLOAD for call in tables["call"])
        if "socket" in tables:
            self._sockets = max(self._sockets, max(map(_ID, tables["socket"])))
        for mark in tables.get("mark", ()):
            if mark[4] == "lines" and self._lines_missing is None:
                self._lines_missing = mark[5]
        if self._awaited:
            # Of a process as a whole, not of a thread of it: the last thing that is said of attaching to it.
            self._awaited -= sum(mark[3] is None and mark[4] == "attached" for mark in tables.get("mark", ()))
            if not self._awaited and self._on_attached is not None:
                self._on_attached()
        if self._ring is not None:
            self._ring.see(tables)
        if self._live is not None:
            self._live(tables)
        for end in ends:
            if end[0] == "main":
                self._status = end[1]
                if end[2] and self._on_main_end is not None:
                    self._on_main_end(end[1], end[2])
            elif end[0] == "not started":
                self._not_started = (end[1], end[2])
            else:
                self._complete = True

    def _commit(self) -> None:
        self._writer.commit()
        self._kept_ns = time.monotonic_ns() - self._origin_ns
        if self._ring is not None:
            self._ring.turn(self._writer)

    def _guard(self, write: Callable[[], None]) -> None:
        """A recording that cannot be written must not cost the command its life or its exit status.

        Once writing has failed the writer only counts what is missing.
        """
        try:
            write()
        except RecordingError as error:
            self._failure = self._failure or str(error)

    def _signalled(self, number: int, from_program: bool) -> None:
        """A signal for this process: what a program sent is for the command; what the terminal sent, it has got itself."""
        if self._sent is not None or self._status is not None or self._attached:
            # The command has ended, and what it started runs on; or it is none of ours. The recording is to end.
            self._stop("interrupted")
        elif not self._started:
            self._early.append(number)
        elif from_program:
            self._command(b"s" + bytes([number]))

    def _stop(self, why: str) -> None:
        if self._sent is not None:
            self._cut_off = True
            return
        if self._stopping:
            return
        self._stopping = True
        self._end = "killed" if self._kill else why
        self._command(b"k" if self._kill else b"u")

    def _command(self, text: bytes) -> None:
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(text)

    @property
    def _is_alone(self) -> bool:
        """Whether the guardian has gone without a word, and a command that it started with it."""
        return not self._attached and self._status is None and self._not_started is None and not self._stopping

    def _remove_recording(self) -> None:
        """Nothing was recorded that is worth a file."""
        with contextlib.suppress(RecordingError):
            self._writer.finish({})
        if self._writer.path is not None:
            self._writer.path.unlink(missing_ok=True)

    def _finish(self) -> RunResult:
        if self._guardian_end == _REFUSED_ORDER:
            self._remove_recording()
            raise NotAvailable(_unfit(guardian_path()))
        # The guardian knows when it stopped recording; of a command that ended, the end of its last row is the end.
        duration_ns = int(self._meta.get("ended_ns", time.monotonic_ns() - self._origin_ns))
        if self._not_started is not None:
            self._remove_recording()
            raise _start_error(*self._not_started)
        end = self._end
        exit_status = 0 if self._status is None else self._status
        died: dict[str, str] = {}
        if self._cut_off:
            missing_rows = max(0, (self._sent or 0) - self._received)
            self._guard(lambda: self._writer.cut_off(missing_rows, "ended before all that was seen was written"))
        elif (self._attached and not self._complete) or self._is_alone:
            end, exit_status = "guardian died", 2 if self._attached else 128 + signal.SIGKILL
            reason = _how_it_died(self._guardian_end)
            self._failure = self._failure or reason + (
                "; the recorded program runs on" if self._attached else ", and the command with it"
            )
            died = {"failure": reason}
        meta = {
            **self._meta,
            "ended_ns": str(duration_ns),
            "end": end,
            **died,
            **({} if self._status is None else {"exit_status": str(self._status)}),
        }
        if self._ring is not None:
            ring = self._ring
            self._guard(self._writer.commit)
            self._guard(lambda: ring.turn(self._writer, last=True))
        self._guard(lambda: self._writer.finish(meta))
        assert self._writer.path is not None
        missing = {name: reason for name in _LAYERS if (reason := meta.get(name, "yes")) not in ("yes", "")}
        return RunResult(
            path=self._writer.path,
            exit_status=exit_status,
            end=end,
            failure=self._failure,
            calls=self._calls,
            sockets=self._sockets,
            lost=int(self._meta.get("lost", "0")) + self._writer.missing,
            stops=int(self._meta.get("stops", "0")),
            added_ns_per_call=int(self._meta.get("added_ns_per_call", "0")),
            duration_ns=duration_ns,
            cut_off_ns=self._cut_off_ns(),
            shortened=self._shortened,
            via=self._via,
            preloaded=int(self._meta.get("via_preload", "0")),
            only_stopped=int(self._meta.get("via_ptrace", "0")),
            missing=missing,
            lines_missing=self._lines_missing,
            attached=self._attached,
            near_calls=int(self._meta.get("near_calls", "0")),
            on_one_core_saves_ns=max(
                0, int(self._meta.get("switch_ns", "0")) - int(self._meta.get("switch_on_one_core_ns", "1000000000"))
            ),
        )

    def _cut_off_ns(self) -> int | None:
        if not self._writer.missing:
            return None
        if self._cut_off and self._writer.path is not None:
            # What is kept was written long after it happened.
            with contextlib.suppress(RecordingError), Recording.open(self._writer.path) as recording:
                return recording.cut_off_ns
        return self._kept_ns


def _start_error(step: str, number: int) -> Exception:
    from ..kernel import refusal

    reason = os.strerror(number)
    if step == "exec":
        return NotStarted(f"the command cannot be run: {reason}", 127 if number == errno.ENOENT else 126)
    if step == "user":
        return NotPermitted(f"the user cannot be changed: {reason}")
    if step == "filter":
        return NotPermitted(
            f"the kernel refuses the filter that tracing needs (seccomp(2): {reason}): "
            f"{refusal.seccomp_filter(number, calls='seccomp')}; wallsocket doctor says more"
        )
    if step.startswith("attach "):
        return attach_refusal(int(step.removeprefix("attach ")), number)
    if step.startswith("lab"):
        what = step.partition(": ")[2] or "a private network"
        return NotPermitted(
            f"--lab: {what} is refused here ({reason}): {refusal.namespace(number, what)}; "
            "without --lab calls and kernel are recorded; wallsocket doctor says more"
        )
    return NotPermitted(
        f"tracing is refused here (ptrace(2): {reason}): {refusal.ptrace(number)}; wallsocket doctor says more"
    )


def _start_guardian(
    guardian: Path, arguments: list[str], environment: Mapping[str, str], files: Sequence[tuple[int, int]]
) -> int:
    """Start it with the signals as this process was given them, but those blocked that it hands on to the command."""
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, target) for descriptor, target in files]
    # The interpreter ignores these two (Python/pylifecycle.c); the command must not.
    defaults = [signal.SIGPIPE, signal.SIGXFSZ]

    def spawn() -> int:
        return os.posix_spawn(
            guardian,
            [str(guardian), *arguments],
            environment,
            file_actions=actions,
            setsigdef=defaults,
            setsigmask=signals.Fetched.for_guardian(),
        )

    try:
        return spawn()
    except PermissionError:
        # Some installers lose the executable bit; the file is ours to mend, or it is not.
        try:
            guardian.chmod(guardian.stat().st_mode | 0o111)
        except OSError as error:
            raise NotAvailable(f"{guardian}: not executable, and cannot be made so: {error.strerror}") from error
        return spawn()
    except OSError as error:
        raise NotAvailable(f"{guardian}: the tracing program cannot be started: {error.strerror}") from error


def _wait_for(pid: int, seconds: float) -> int | None:
    """Wait for a child to end, but not for ever: what keeps it is not worth more. Its status, as of waitpid(2)."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                return status
            time.sleep(0.002)
    return None


def _how_it_died(status: int | None) -> str:
    """What is known of a guardian that ended too early, by its status as of waitpid(2)."""
    if status is not None and os.WIFEXITED(status):
        return f"the tracing program failed (status {os.WEXITSTATUS(status)})"
    number = signal.SIGKILL if status is None else os.WTERMSIG(status)
    return "the tracing program was killed" + ("" if number == signal.SIGKILL else f" by {signal.Signals(number).name}")


def _unfit(guardian: Path) -> str:
    return (
        f"{guardian}: this tracing program does not fit this version of Wallsocket; run make build in a checkout, or "
        "install the wheel again"
    )


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)
