"""Writes recordings: the recorder's rows, and the findings of one that has ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from ...errors import RecordingError
from .file import (
    companions,
    create,
    encodable,
    enter_log,
    leave_log,
    read_failure,
    reason_of,
    reserve,
    write_failure,
)
from .reader import Recording, StoredFinding
from .remove import remove_recording
from .schema import MAX_VALUE_BYTES, REPLACED, columns, definition
from .window import begin_window, drop, used_bytes

__all__ = ["Writer", "write_findings"]

#: How long a clean end waits for readers to let go, so that one file remains.
_END_PATIENCE_MS: Final = 2000


#: How often the oldest part is dropped at once to keep within a size.
_DROPS: Final = 16


class Writer:
    """Writes a recording. One writer per file, one thread at a time.

    The file is new, made with mode 0600. What :meth:`commit` has returned from survives the death of this process by any
    signal, and a full disk; it is forced to the device only by :meth:`finish`, so a power failure during a trace may
    cost the recording. At no moment does a rollback journal stand beside it, which a reader would have to play back.

    Attributes:
        missing: rows that were given and are not in the file, because writing failed.

    Raises:
        RecordingError: the file exists, cannot be made, is being written, or the disk is full. After a failed write
            nothing more is accepted, and :meth:`finish` only notes what failed.
    """

    path: Path | None
    missing: int
    _since_ns: int
    _uncommitted: int
    _failure: RecordingError | None
    _machine: str
    _statements: dict[str, str]
    _lock: int | None
    reserve: int | None
    _connection: sqlite3.Connection | None

    def __init__(self, path: str | os.PathLike[str], *, meta: Mapping[str, str], replace: bool = False) -> None:
        """Create ``path``. With ``replace`` an older recording may stand there and is removed; nothing else ever is."""
        self.path = Path(path)
        self._machine = meta.get("machine", "")
        self._empty()
        if replace:
            remove_recording(self.path)
        lock = self._lock = create(self.path, meta)
        try:
            try:
                self._reserve = reserve(self.path)
            except OSError as error:
                raise RecordingError(f"{self.path}: cannot be written: {reason_of(error)}") from error
            with self._guarded():
                self._start(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False))
            if not os.path.samestat(os.fstat(lock), os.lstat(self.path)):
                raise RecordingError(f"{self.path}: another file was put in its place")
        except BaseException:
            self._release()
            # Nothing was recorded yet; what was made here a moment ago is of no use to anybody.
            for name in (self.path, *companions(self.path)):
                name.unlink(missing_ok=True)
            raise

    @classmethod
    def at_first_free(cls, paths: Iterable[Path], *, meta: Mapping[str, str]) -> Self:
        """A writer at the first of ``paths`` where nothing stands; another program that takes one meanwhile keeps it."""
        taken: RecordingError | None = None
        for path in paths:
            try:
                return cls(path, meta=meta)
            except RecordingError as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
                taken = error
        raise taken or RecordingError("no name for the recording")

    @classmethod
    def in_memory(cls, *, meta: Mapping[str, str]) -> Self:
        """A writer without a file, for facts that are looked at once; see :meth:`recording`."""
        writer = cls.__new__(cls)
        writer.path = None
        writer._machine = meta.get("machine", "")
        writer._empty()
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.executescript(f"BEGIN;\n{definition()}\nCOMMIT;")
        writer._start(connection)
        writer._put_meta(meta)
        return writer

    def _empty(self) -> None:
        self.missing = 0
        self._uncommitted = 0
        self._since_ns = 0
        self._failure = None
        self._statements = {}
        self._lock = self._reserve = None
        self._connection = None

    def _start(self, connection: sqlite3.Connection) -> None:
        _bind_quickly()
        self._connection = connection
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # A commit must not wait for the device while a target waits for its tracer.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN IMMEDIATE")

    def write(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows, all columns in the order of the schema.

        A row of ``meta``, ``process``, ``socket``, ``descriptor`` or ``call`` replaces the one of the same id or key.
        """
        if not rows:
            return
        if self._failure is not None:
            self.missing += len(rows)
        connection = self._open()
        self._uncommitted += len(rows)
        statement = self._statements.get(table)
        if statement is None:
            verb = "INSERT OR REPLACE" if table in REPLACED else "INSERT"
            marks = ", ".join("?" * len(columns(table)))
            statement = self._statements[table] = f'{verb} INTO "{table}" VALUES ({marks})'
        with self._guarded():
            try:
                connection.executemany(statement, rows)
            except UnicodeEncodeError:
                connection.executemany(statement, [tuple(encodable(value) for value in row) for row in rows])

    def update(self, table: str, id: int, **values: Any) -> None:
        """Set some columns of one row."""
        unknown = values.keys() - set(columns(table))
        if unknown:
            raise ValueError(f"table {table} has no column {', '.join(sorted(unknown))}")
        assignments = ", ".join(f'"{name}" = ?' for name in values)
        with self._guarded():
            self._open().execute(
                f'UPDATE "{table}" SET {assignments} WHERE "id" = ?',  # noqa: S608 (names checked above)
                (*(encodable(value) for value in values.values()), id),
            )

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Add or change values of ``meta``."""
        with self._guarded():
            self._put_meta(values)

    def commit(self) -> None:
        """Make everything written so far readable by others and safe from the death of this process."""
        connection = self._open()
        with self._guarded():
            connection.execute("COMMIT")
            self._uncommitted = 0
            self._checkpoint("PASSIVE")
            connection.execute("BEGIN")

    def cut_off(self, rows: int, reason: str) -> None:
        """Note that so many rows will not be written, and why: the recording ends with what it holds. Then :meth:`finish` it."""
        connection = self._open()
        with self._guarded():
            connection.execute("COMMIT")
            self._uncommitted = 0
            self._checkpoint("TRUNCATE")
            leave_log(connection)
        self.missing += rows
        self._failure = RecordingError(f"{self.path or '(memory)'}: {reason}")

    def drop_before(self, since_ns: int, *, size_bytes: int | None = None, now_ns: int = 0) -> int:
        """Drop what happened before ``since_ns``, and so much more that the rest takes at most ``size_bytes``.

        What set up sockets that are still open stays, and so do calls that have not returned, what was said of the host at
        the start, and the last value of each counter. The file does not shrink, but grows no more: its pages are used again.

        Returns:
            The time from which on everything is there; also in ``meta`` as ``since_ns``.
        """
        connection = self._open()
        with self._guarded():
            since_ns = max(since_ns, self._since_ns)
            if since_ns > self._since_ns:
                drop(connection, since_ns, machine=self._machine)
            for _ in range(_DROPS):
                if size_bytes is None or used_bytes(connection) <= size_bytes:
                    break
                # The oldest part of what is there; what came in bursts needs another round.
                since_ns += max(1, (now_ns - since_ns) // 8)
                drop(connection, since_ns, machine=self._machine)
            if since_ns > self._since_ns:
                self._since_ns = since_ns
                self._put_meta({"since_ns": str(since_ns)})
        return since_ns

    def finish(self, meta: Mapping[str, str]) -> None:
        """Write the last values and leave one file; closes also when that fails. May be called twice.

        When writing has failed, ``meta`` is written without its ``ended_ns``, with the reason and the rows that are missing.
        """
        if self._connection is None:
            return
        try:
            if self._failure is None:
                with self._guarded():
                    self._put_meta(meta)
                    begin_window(self._connection, self._since_ns)
                    self._connection.execute("COMMIT")
                    self._uncommitted = 0
                    if self._since_ns:
                        self._connection.execute("VACUUM")
                    if self.path is not None:
                        self._connection.execute("PRAGMA synchronous = FULL")
                        self._connection.execute(f"PRAGMA busy_timeout = {_END_PATIENCE_MS}")
                        self._checkpoint("TRUNCATE")
                        leave_log(self._connection)
        finally:
            if self._failure is not None:
                self._last_words(meta)
            if self.path is not None:
                self._release()

    def _last_words(self, meta: Mapping[str, str]) -> None:
        """Note in the room that was kept for it why the recording is cut off."""
        assert self._connection is not None
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None
        reason = str(self._failure).removeprefix(f"{self.path}: ").partition(";")[0]
        lost = meta.get("lost", "0")
        values = {key: value for key, value in meta.items() if key != "ended_ns"} | {
            "failure": reason,
            "lost": str(self.missing + (int(lost) if lost.isdecimal() else 0)),
        }
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, encodable(value)) for key, value in values.items()]
            )
            for layer in ("calls", "kernel", "wire"):
                self._connection.execute(
                    "UPDATE meta SET value = ? WHERE key = ? AND value = 'yes'", (f"cut off: {reason}", layer)
                )
            self._connection.execute("COMMIT")

    def recording(self) -> Recording:
        """What was written, to read: for :meth:`in_memory` the very tables, else the committed part of the file."""
        if self.path is not None:
            return Recording.open(self.path)
        connection = self._open()
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("COMMIT")
        return Recording(connection, name="(memory)", path=None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish({})
        else:
            with contextlib.suppress(RecordingError):
                self.finish({})

    # -- inside

    def _open(self) -> sqlite3.Connection:
        if self._failure is not None:
            raise self._failure
        if self._connection is None:
            raise ValueError("the recording is finished")
        return self._connection

    def _put_meta(self, values: Mapping[str, str]) -> None:
        self._open().executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, encodable(value)) for key, value in values.items()]
        )

    def _checkpoint(self, how: Literal["PASSIVE", "TRUNCATE"]) -> None:
        # The row says how far it came; a reader may hold it back, which costs nothing but the size of the log.
        self._open().execute(f"PRAGMA wal_checkpoint({how})").fetchall()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DataError, OverflowError) as error:
            if isinstance(error, sqlite3.OperationalError):
                reason = write_failure(error)
            else:
                reason = "a value is larger than a recording can hold"
            self._failure = RecordingError(f"{self.path or '(memory)'}: {reason}; what was recorded before is kept")
            self.missing += self._uncommitted
            self._uncommitted = 0
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
            raise self._failure from error

    def _release(self) -> None:
        connection: sqlite3.Connection | None = getattr(self, "_connection", None)
        self._connection = None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        # Only now: closing any descriptor of the file drops the locks that SQLite holds on it (fcntl(2)).
        for descriptor in (self._lock, self._reserve):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._reserve = None


@cache
def _bind_quickly() -> None:
    """Spare each ``None`` and each ``bytes`` a search for a way to adapt it, which in Python 3.11 fails by an exception.

    That search took half of the time of writing a row. Both adapters give back what they get.
    """
    if sys.version_info < (3, 12):
        adapters: tuple[tuple[type, Callable[[Any], Any]], ...] = ((type(None), {}.get), (bytes, bytes))
        for kind, same in adapters:
            if (kind, sqlite3.PrepareProtocol) not in sqlite3.adapters:
                sqlite3.register_adapter(kind, same)


def write_findings(path: str | os.PathLike[str], findings: Iterable[StoredFinding]) -> None:
    """Put the findings of a finished recording into it, in place of earlier ones.

    Raises:
        RecordingError: the file is no recording, is being written, or cannot be written.
    """
    path = Path(path)
    with Recording.open(path):
        pass
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise RecordingError(f"{path}: findings cannot be written into it: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RecordingError(f"{path}: another program is writing it") from error
        try:
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA cell_size_check = ON")
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
                enter_log(connection)
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM finding")
                connection.execute("DELETE FROM evidence")
                for number, finding in enumerate(findings, 1):
                    connection.execute("INSERT INTO finding VALUES (?, ?, ?)", (number, finding.rule, finding.value))
                    connection.executemany(
                        "INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", [(number, *row) for row in finding.evidence]
                    )
                connection.execute("COMMIT")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                leave_log(connection)
        except sqlite3.OperationalError as error:
            raise RecordingError(f"{path}: findings cannot be written into it: {write_failure(error)}") from error
        except sqlite3.DatabaseError as error:
            raise RecordingError(f"{path}: {read_failure(error)}") from error
    finally:
        os.close(lock)
