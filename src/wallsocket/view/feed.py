"""A recording that may grow, read again and again: the latest :class:`Snapshot`, and a word to who looks at it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..errors import RecordingError
from ..trace.recording import is_being_written
from .asking import ask
from .snapshot import NotReady, Snapshot

__all__ = ["Feed", "Stage", "Status"]

Stage: TypeAlias = Literal["waiting", "reading", "judging", "ready"]
_Listener: TypeAlias = "Callable[[Status], None]"

#: How often a growing recording is looked at; the recorder commits every 200 ms.
_POLL_S: Final = 0.2
#: Reading a growing recording anew takes at most one part of the time in so many: the traced program needs the rest.
_SHARE: Final = 4
#: A recording up to this size is shown when all is read: showing it in parts would only flicker.
_AT_ONCE_EVENTS: Final = 4_000
#: Of a recording with more events than these, the first of them are shown while the rest is read.
_LONG_EVENTS: Final = 60_000
_BEGINNING: Final = 15_000
#: Progress is told so often.
_TOLD_EVERY_S: Final = 0.1


class Status(msgspec.Struct, frozen=True):
    """How far reading has come.

    Attributes:
        generation: grows with each new state of what is shown.
        stage: ``waiting`` for a recording to begin, ``reading`` its events, ``judging`` them, or ``ready``.
        done: events looked at in this stage.
        total: of so many.
        growing: the recording is being written.
        problem: why it cannot be shown, or no further.
        compares: there is a good recording to compare with.
        learns: lessons can be played here, and services tried.
    """

    generation: int = 0
    stage: Stage = "waiting"
    done: int = 0
    total: int = 0
    growing: bool = True
    problem: str | None = None
    compares: bool = False
    learns: bool = False


class Feed:
    """Reads a recording in a thread of its own until it grows no more, then the next one that :meth:`begin` names.

    Args:
        path: the recording; ``None``: :meth:`begin` says later which it is.
        good: a finished recording of a run that went well, to compare with.
        learns: for the status: lessons can be played, and services tried.
    """

    def __init__(self, path: Path | None = None, *, good: Path | None = None, learns: bool = False) -> None:
        self._good_path = good
        self._good: Snapshot | None = None
        self._path = path
        #: There is a recording that was not begun with yet.
        self._known = threading.Event()
        self._stop = threading.Event()
        self._listeners: list[_Listener] = []
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._status = Status(learns=learns)
        self._told_s = 0.0
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        if path is not None:
            self._known.set()

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._known.set()
        self._thread.join()
        for snapshot in (self._snapshot, self._good):
            if snapshot is not None:
                snapshot.close()

    def begin(self, path: Path) -> None:
        """This recording has begun; one that was shown before is shown no longer."""
        if path != self._path:
            self._path = path
            self._known.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until all of a finished recording is shown, or why it cannot be; whether that came in time."""
        come = threading.Event()

        def look(status: Status) -> None:
            if not self._known.is_set() and (status.stage == "ready" or status.problem is not None):
                come.set()

        with self.listen(look):
            look(self.status)
            return come.wait(timeout_s)

    @property
    def has_begun(self) -> bool:
        """Whether it is known which recording it is."""
        return self._path is not None

    @property
    def status(self) -> Status:
        """How far it has come."""
        return self._status

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest state; ``None`` before there is any."""
        return self._snapshot

    @contextlib.contextmanager
    def listen(self, listener: _Listener) -> Iterator[None]:
        """While entered, each new status is given to ``listener``, in the feed's thread."""
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def ask(self, view: str, arguments: Mapping[str, Any]) -> msgspec.Struct:
        """A view of the latest state; errors as of :func:`wallsocket.view.ask`.

        With ``run=good`` among the arguments it is one of the recording to compare with.
        """
        arguments = dict(arguments)
        if arguments.pop("run", "") == "good":
            if self._good is None:
                raise NotReady("there is no other recording, or it is still being read")
            return ask(self._good, view, arguments)
        while True:
            snapshot = self._snapshot
            if snapshot is None:
                raise NotReady("the recording is still being read")
            with snapshot.lock:
                # A new state may have taken its place meanwhile.
                if not snapshot.closed:
                    snapshot.good = self._good
                    with self._good.lock if self._good is not None else contextlib.nullcontext():
                        return ask(snapshot, view, arguments)

    # -- the thread

    def _run(self) -> None:
        self._known.wait()
        self._read_good()
        while not self._stop.is_set():
            self._known.wait()
            if self._stop.is_set():
                return
            self._known.clear()
            if self._snapshot is not None:
                # It is another recording, of which there is nothing to show yet.
                before, self._snapshot = self._snapshot, None
                self._say(
                    Status(self._status.generation + 1, compares=self._good is not None, learns=self._status.learns)
                )
                before.close()
            self._follow()

    def _read_good(self) -> None:
        if self._good_path is not None and not self._stop.is_set():
            try:
                self._good = Snapshot.open(self._good_path)
            except RecordingError as error:
                self._tell(problem=str(error))

    def _follow(self) -> None:
        """Show the recording until it grows no more, or there is another."""
        while not self._over():
            assert self._path is not None
            began_s = time.monotonic()
            growing = is_being_written(self._path)
            seen = self._size()
            try:
                self._read(growing=growing)
            except RecordingError as error:
                self._tell(problem=str(error), growing=growing)
            except _Stopped:
                return
            if not growing:
                return
            self._stop.wait(max(_POLL_S, (_SHARE - 1) * (time.monotonic() - began_s)))
            while not self._over() and self._size() == seen and is_being_written(self._path):
                self._stop.wait(_POLL_S)

    def _over(self) -> bool:
        """Whether nobody wants this recording any more."""
        return self._stop.is_set() or self._known.is_set()

    def _size(self) -> tuple[tuple[int, int], ...]:
        assert self._path is not None
        found = []
        for path in (self._path, self._path.with_name(self._path.name + "-wal")):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_size, status.st_mtime_ns))
        return tuple(found)

    def _read(self, *, growing: bool) -> None:
        assert self._path is not None
        snapshot = Snapshot(self._path, growing=growing)
        try:
            in_parts = not growing and snapshot.events > _AT_ONCE_EVENTS
            total = snapshot.events + snapshot.calls
            if in_parts:
                self._publish(snapshot, Status(stage="reading", total=total, growing=growing))
                if snapshot.events > _LONG_EVENTS:
                    self._show_beginning(total)
                    # What is shown now is another one: this one is still being made.
                    snapshot = Snapshot(self._path)
            else:
                self._tell(stage="reading", done=0, total=total, growing=growing, problem=None)
            snapshot.read(lambda done: self._progress("reading", done, total))
            if in_parts:
                self._publish(snapshot, Status(stage="judging", total=snapshot.events, growing=growing))
            snapshot.judge(lambda done: self._progress("judging", done, snapshot.events))
            self._publish(snapshot, Status(stage="ready", growing=growing))
        except BaseException:
            if snapshot is not self._snapshot:
                snapshot.close()
            raise

    def _show_beginning(self, total: int) -> None:
        assert self._path is not None
        beginning = Snapshot(self._path)
        try:
            beginning.read(most=_BEGINNING)
            self._publish(beginning, Status(stage="reading", total=total, growing=False))
        except BaseException:
            if beginning is not self._snapshot:
                beginning.close()
            raise

    def _progress(self, stage: Stage, done: int, total: int) -> None:
        if self._over():
            raise _Stopped
        now_s = time.monotonic()
        if now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            self._tell(stage=stage, done=done, total=total)

    def _publish(self, snapshot: Snapshot, status: Status) -> None:
        before, self._snapshot = self._snapshot, snapshot
        number = self._status.generation + 1
        self._say(
            msgspec.structs.replace(
                status, generation=number, compares=self._good is not None, learns=self._status.learns
            )
        )
        if before is not None and before is not snapshot:
            before.close()

    def _tell(self, **changes: Any) -> None:
        self._say(msgspec.structs.replace(self._status, **changes))

    def _say(self, status: Status) -> None:
        self._status = status
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener(status)


class _Stopped(Exception):
    """Nobody wants it any more."""
