"""The recording: one SQLite file that a trace writes and everything else reads.

Only this file imports ``sqlite3``. ``schema.sql`` is the definition, ``wallsocket.events`` holds one class per table.
:class:`Writer` is used by the recorder and by :func:`write_findings`; :class:`Recording` reads, and treats what it
reads as hostile: the file may come from anybody.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import heapq
import os
import re
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias, TypeVar, get_args, get_type_hints

import msgspec

from .. import markup
from ..errors import RecordingError, UsageError
from ..events import (
    Binary,
    Call,
    Counter,
    Descriptor,
    Fact,
    Mark,
    Network,
    Packet,
    Process,
    Socket,
    Source,
    Stack,
    State,
)
from .table import Table

if TYPE_CHECKING:
    from .lines import ConversationLine
    from .query import Columns, Result

__all__ = [
    "APPLICATION_ID",
    "SCHEMA_VERSION",
    "Event",
    "Evidence",
    "Recording",
    "StoredFinding",
    "Writer",
    "event_time_ns",
    "freeze_window",
    "is_being_written",
    "write_findings",
]

#: "WSKT" in the file's header, as in schema.sql.
APPLICATION_ID: Final = 0x57534B54
#: The newest schema that this version reads, as in schema.sql.
SCHEMA_VERSION: Final = 2
#: Version -> what it added: columns at the end of a table, or ``None`` for a table of its own. Older files have none of it.
_ADDED: Final[Mapping[int, Mapping[str, frozenset[str] | None]]] = {
    2: {
        "network": None,
        "binary": None,
        "stack": None,
        "process": frozenset({"network", "source"}),
        "socket": frozenset({"network", "peer_inode", "peer_pid"}),
        "call": frozenset({"sockets", "stack", "via"}),
        "state": frozenset({"timer", "timer_ms"}),
        "packet": frozenset({"network"}),
        "counter": frozenset({"network"}),
        "fact": frozenset({"occasion", "network", "process", "socket"}),
    },
}

#: Longest text or blob that is written or read. A call moves at most 2 GiB (read(2)); nobody looks at more than this.
_MAX_VALUE_BYTES: Final = 64 << 20
#: Rows of a table that is held in memory as a whole (processes, source lines and the like): more would take a GiB.
_MAX_HELD_ROWS: Final = 500_000
#: Levels of JSON that are read.
_MAX_NESTING: Final = 64
#: A string, or what opens or closes a level.
_JSON_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
#: Rows fetched at once: large enough to hide the cost of a call, small enough for bounded memory.
_BATCH: Final = 512
#: Rows that :meth:`Recording.events` looks ahead in one table to mend small disorder between sources of time.
_REORDER_ROWS: Final = 1024
#: Values of which equal ones are one object.
_MAX_ALIKE: Final = 2048
#: Conversations in a notebook.
_SHOWN: Final = 50
#: Bytes of a page of the file, SQLite's default.
_PAGE_BYTES: Final = 4096
#: Room that is kept for the last words of a recording when the disk becomes full.
_RESERVE_BYTES: Final = 64 << 10
#: How long a clean end waits for readers to let go, so that one file remains.
_END_PATIENCE_MS: Final = 2000

#: How often the oldest part is dropped at once to keep within a size.
_DROPS: Final = 16

#: Said of a file without its first page.
_EMPTY: Final = "is empty: no recording, or one that was cut off before its first row"

Event: TypeAlias = Call | State | Packet | Counter | Fact | Mark

_S = TypeVar("_S", bound=msgspec.Struct)

#: Rows of these tables may be written again when more is known of the same thing.
_REPLACED: Final = frozenset({"meta", "network", "process", "socket", "descriptor", "call"})


class Evidence(NamedTuple):
    """A row of the recording that a finding rests on."""

    layer: str  #: ``calls``, ``kernel`` or ``wire``
    table: str
    row: int
    text: str


class StoredFinding(NamedTuple):
    """A finding as ``explain`` left it; ``value`` is JSON in the form of ``explain --json``."""

    rule: str
    value: str
    evidence: tuple[Evidence, ...]


@cache
def _schema() -> str:
    return resources.files(__package__).joinpath("schema.sql").read_text(encoding="utf-8")


@cache
def _shape(version: int = SCHEMA_VERSION) -> dict[str, tuple[tuple[object, ...], ...]]:
    """Name of each table of a schema version -> its columns as ``PRAGMA table_xinfo`` tells them."""
    if version < SCHEMA_VERSION:
        added = _ADDED[version + 1]
        return {
            name: tuple(column for column in columns if column[1] not in (added.get(name) or ()))
            for name, columns in _shape(version + 1).items()
            if added.get(name, ()) is not None
        }
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_schema())
        return _tables(connection)


def _tables(connection: sqlite3.Connection) -> dict[str, tuple[tuple[object, ...], ...]]:
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: tuple(connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall())
        for name in names
        if not name.startswith("sqlite_")
    }


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


def _columns(table: str) -> tuple[str, ...]:
    return tuple(str(column[1]) for column in _shape()[table])


@cache
def _selected(table: str, version: int) -> str | None:
    """The columns of a table as a file of that version gives them; ``None`` when it has no such table."""
    there = _shape(version).get(table)
    if there is None:
        return None
    names = {column[1] for column in there}
    # A column that is not there has the value that it would have had by default.
    return ", ".join(
        f'"{name}"' if name in names else str(default or "NULL") for _, name, _, _, default, *_ in _shape()[table]
    )


def event_time_ns(event: Event) -> int:
    """When an event happened (a call: when it was entered), in nanoseconds since the start of the recording."""
    return event.entry_ns if isinstance(event, Call) else event.at_ns


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
    _reserve: int | None
    _connection: sqlite3.Connection | None

    def __init__(self, path: str | os.PathLike[str], *, meta: Mapping[str, str], replace: bool = False) -> None:
        """Create ``path``. With ``replace`` an older recording may stand there and is removed; nothing else ever is."""
        self.path = Path(path)
        self._machine = meta.get("machine", "")
        self._empty()
        lock = self._lock = _create(self.path, meta, replace=replace)
        try:
            try:
                self._reserve = _reserve(self.path)
            except OSError as error:
                raise RecordingError(f"{self.path}: cannot be written: {_reason(error)}") from error
            with self._guarded():
                self._start(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False))
            if not os.path.samestat(os.fstat(lock), os.lstat(self.path)):
                raise RecordingError(f"{self.path}: another file was put in its place")
        except BaseException:
            self._release()
            # Nothing was recorded yet; what was made here a moment ago is of no use to anybody.
            for name in (self.path, *_companions(self.path)):
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
        connection.executescript(f"BEGIN;\n{_schema()}\nCOMMIT;")
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
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
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
            verb = "INSERT OR REPLACE" if table in _REPLACED else "INSERT"
            marks = ", ".join("?" * len(_columns(table)))
            statement = self._statements[table] = f'{verb} INTO "{table}" VALUES ({marks})'
        with self._guarded():
            try:
                connection.executemany(statement, rows)
            except UnicodeEncodeError:
                connection.executemany(statement, [tuple(_encodable(value) for value in row) for row in rows])

    def update(self, table: str, id: int, **columns: Any) -> None:
        """Set some columns of one row."""
        unknown = columns.keys() - set(_columns(table))
        if unknown:
            raise ValueError(f"table {table} has no column {', '.join(sorted(unknown))}")
        assignments = ", ".join(f'"{name}" = ?' for name in columns)
        with self._guarded():
            self._open().execute(
                f'UPDATE "{table}" SET {assignments} WHERE "id" = ?',  # noqa: S608 (names checked above)
                (*(_encodable(value) for value in columns.values()), id),
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
                self._drop(connection, since_ns)
            for _ in range(_DROPS):
                if size_bytes is None or _used_bytes(connection) <= size_bytes:
                    break
                # The oldest part of what is there; what came in bursts needs another round.
                since_ns += max(1, (now_ns - since_ns) // 8)
                self._drop(connection, since_ns)
            if since_ns > self._since_ns:
                self._since_ns = since_ns
                self._put_meta({"since_ns": str(since_ns)})
        return since_ns

    def _drop(self, connection: sqlite3.Connection, since_ns: int) -> None:
        connection.execute("DELETE FROM socket WHERE ended_ns < ?", (since_ns,))
        connection.execute("DELETE FROM descriptor WHERE closed_ns < ?", (since_ns,))
        bound = _first_since(connection, "call", "entry_ns", since_ns)
        kept = ", ".join(map(str, _set_up_numbers(self._machine)))
        alive = "(ifnull(socket, 0) IN (SELECT id FROM socket) OR ifnull(made, 0) IN (SELECT id FROM socket))"
        connection.execute(
            "DELETE FROM call WHERE id < ? AND took_ns IS NOT NULL AND entry_ns + took_ns < ? "  # noqa: S608 (numbers)
            f"AND NOT (number IN ({kept}) AND (result >= 0 OR result = -115) AND {alive})",
            (bound, since_ns),
        )
        for table in ("state", "packet", "mark"):
            # The last state of a socket says what it is.
            but = " AND id NOT IN (SELECT max(id) FROM state WHERE id < ? GROUP BY socket)" if table == "state" else ""
            bound = _first_since(connection, table, "at_ns", since_ns)
            connection.execute(f'DELETE FROM "{table}" WHERE id < ?{but}', (bound,) * (2 if but else 1))  # noqa: S608
        connection.execute("DELETE FROM state WHERE socket NOT IN (SELECT id FROM socket)")
        bound = _first_since(connection, "fact", "at_ns", since_ns)
        connection.execute(
            "DELETE FROM fact WHERE id < ? AND ifnull(occasion, '') NOT IN ('start', 'attached')", (bound,)
        )
        bound = _first_since(connection, "counter", "at_ns", since_ns)
        connection.execute(
            "DELETE FROM counter WHERE rowid < ? AND rowid NOT IN "
            "(SELECT max(rowid) FROM counter WHERE rowid < ? GROUP BY name, network)",
            (bound, bound),
        )
        connection.execute(
            "DELETE FROM process WHERE ended_ns < ? AND id NOT IN (SELECT process FROM socket) "
            "AND id NOT IN (SELECT process FROM call) AND id NOT IN (SELECT parent FROM process WHERE parent IS NOT NULL)",
            (since_ns,),
        )

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
                    _begin_window(self._connection, self._since_ns)
                    self._connection.execute("COMMIT")
                    self._uncommitted = 0
                    if self._since_ns:
                        self._connection.execute("VACUUM")
                    if self.path is not None:
                        self._connection.execute("PRAGMA synchronous = FULL")
                        self._connection.execute(f"PRAGMA busy_timeout = {_END_PATIENCE_MS}")
                        self._checkpoint("TRUNCATE")
                        _leave_log(self._connection)
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
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, _encodable(value)) for key, value in values.items()]
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
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, _encodable(value)) for key, value in values.items()]
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
                reason = _write_failure(error)
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


def _encodable(value: Any) -> Any:
    """``value``, or where it is text that UTF-8 cannot hold (a file name of odd bytes) its escaped form."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def _companions(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _journal(path: Path) -> Path:
    return path.with_name(path.name + "-journal")


def _create(path: Path, meta: Mapping[str, str], *, replace: bool) -> int:
    """Make a new file with the empty tables, locked against other writers; return its descriptor."""
    if replace:
        _remove_recording(path)
    for companion in (*_companions(path), _journal(path)):
        if os.path.lexists(companion):
            if os.path.lexists(path):
                # Of another recording, which may have been made a moment ago.
                raise RecordingError(f"{path}: {_in_the_way(path)}") from FileExistsError(str(path))
            raise RecordingError(f"{companion}: is in the way of a new recording; remove it first")
    try:
        descriptor, named = _new_file(path)
    except OSError as error:
        raise RecordingError(f"{path}: {_not_created(path, error)}") from error
    try:
        os.fchmod(descriptor, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write_image(descriptor, meta)
        if not named:
            # Gets its name when it is whole: no moment at which a kill leaves half of it.
            folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.link(f"/proc/self/fd/{descriptor}", path.name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                os.close(folder)
    except OSError as error:
        os.close(descriptor)
        if named:
            path.unlink(missing_ok=True)
        raise RecordingError(f"{path}: {_not_created(path, error)}") from error
    return descriptor


def _new_file(path: Path) -> tuple[int, bool]:
    """A new file for ``path``, and whether it has its name already; neither replaces nor follows what stands there."""
    if not os.path.lexists(path):
        try:
            return os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600), False
        except OSError as error:
            # Not every file system has files without a name (open(2), O_TMPFILE).
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
                raise
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), True


def _not_created(path: Path, error: OSError) -> str:
    return _in_the_way(path) if isinstance(error, FileExistsError) else f"cannot be created: {_reason(error)}"


def _in_the_way(path: Path) -> str:
    """Why no recording is made at ``path``, where something stands."""
    try:
        found = path.lstat()
    except OSError:
        return "was made by another program at this moment"
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link; a recording is written to a plain file"
    if not stat.S_ISREG(found.st_mode):
        what = "directory" if stat.S_ISDIR(found.st_mode) else "special file"
        return f"is a {what}; a recording is written to a plain file"
    if found.st_uid != os.geteuid():
        return "exists already and belongs to another user; choose another name"
    return "exists already; choose another name, or replace the recording with --overwrite"


def _remove_recording(path: Path) -> None:
    """Remove an older recording of ours that nobody writes, or an empty file; anything else is refused."""
    try:
        found = path.lstat()
    except OSError:
        return  # creating says what is wrong
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise RecordingError(f"{path}: {_in_the_way(path)}")
    if is_being_written(path):
        raise RecordingError(f"{path}: another trace is writing it")
    if found.st_size:
        with Recording.open(path):
            pass
    try:
        for name in (*_companions(path), _journal(path), path):
            name.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{path}: cannot be replaced: {error.strerror}") from error


def _write_image(descriptor: int, meta: Mapping[str, str]) -> None:
    """Write the empty tables, their first page last: a file that is cut off before is known by its empty beginning.

    SQLite would write them through a rollback journal, which a kill would leave behind.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"PRAGMA page_size = {_PAGE_BYTES};\nBEGIN;\n{_schema()}\nCOMMIT;")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(key, _encodable(value)) for key, value in meta.items()]
        )
        connection.commit()
        image = bytearray(connection.serialize())
    image[18:20] = b"\2\2"  # written and read through a log (https://www.sqlite.org/fileformat2.html, 1.3.3)
    for start, end in ((_PAGE_BYTES, len(image)), (0, _PAGE_BYTES)):
        while start < end:
            start += os.pwrite(descriptor, image[start:end], start)


def _reserve(path: Path) -> int | None:
    """A descriptor that holds some room on the disk, where the file system can do so."""
    try:
        descriptor = os.open(path.parent, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return None
    return descriptor


def _reason(error: OSError) -> str:
    return "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)


def _enter_log(connection: sqlite3.Connection) -> None:
    """Write through a log from now on. Without a rollback journal even for the one page that says so."""
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def _leave_log(connection: sqlite3.Connection) -> None:
    """Leave one file, without its log. That it has none is written in one page, which needs no rollback journal.

    Refused while somebody reads; the recording is then whole with its log beside it.
    """
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode = MEMORY")


def is_being_written(path: Path) -> bool:
    """Whether a writer holds its lock, asked without opening the file: a close would drop SQLite's locks on it."""
    try:
        inode = path.stat().st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as locks:
            for line in locks:
                # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF" (proc_locks(5)); the device number differs from
                # stat's on some file systems, the inode does not.
                words = line.split()
                if words[1:4] == ["FLOCK", "ADVISORY", "WRITE"] and words[5].rpartition(":")[2] == str(inode):
                    return True
    except (OSError, IndexError):
        pass
    return False


def _descriptors_are_used_up() -> bool:
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def _write_failure(error: sqlite3.OperationalError) -> str:
    code = error.sqlite_errorcode & 0xFF if error.sqlite_errorcode is not None else 0
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full"
    if code == sqlite3.SQLITE_CANTOPEN and _descriptors_are_used_up():
        return "cannot be written: this process may have no more open files (ulimit -n)"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return "cannot be written (no permission)"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds it"
    if code == sqlite3.SQLITE_IOERR:
        return "the disk refused a write (full, over quota, or failing)"
    return f"cannot be written ({error})"


class Recording:
    """Reads a recording, also one that still grows: what is seen is the state at the time of opening.

    All names, texts and bytes in it are untrusted: escape them for where they go.

    Raises:
        RecordingError: from any method, with one line that says what is wrong with the file.
    """

    def __init__(self, connection: sqlite3.Connection, *, name: str, path: Path | None) -> None:
        """Use :meth:`open`, or :meth:`Writer.recording`."""
        self.name = name
        self.path = path
        self._connection = connection
        self._owned = path is not None
        self._operations = 0
        self._version = SCHEMA_VERSION

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a file for reading; nothing in it is believed before it was checked."""
        path = Path(path)
        connection = _connect(path)
        recording = cls(connection, name=str(path), path=path)
        try:
            recording._check()
        except BaseException as error:
            connection.close()
            if _is_no_database(error.__cause__) and _begins_empty(path):
                raise RecordingError(f"{path}: {_EMPTY}") from error
            raise
        return recording

    @classmethod
    def copied(cls, path: str | os.PathLike[str]) -> Self:
        """The recording as it stands now, in a private copy: who looks at it for long is in nobody's way.

        The copy is a temporary database of SQLite's, in memory and, when it is large, in a file without a name.
        """
        with cls.open(path) as original:
            copy = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            try:
                original._guard(lambda: original._connection.backup(copy))
            except BaseException:
                copy.close()
                raise
            recording = cls(copy, name=original.name, path=original.path)
        recording._prepare()
        recording._version = original._version
        return recording

    def close(self) -> None:
        """Let go of the file."""
        if self._owned:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- whole tables

    @cached_property
    def meta(self) -> dict[str, str]:
        """The values of ``meta``; keys in ``docs/recording.md``."""
        rows = self._rows("SELECT key, value FROM meta LIMIT 1000")
        meta = {key: value for key, value in rows if isinstance(key, str) and isinstance(value, str)}
        for key in ("command", "attached"):
            self._check_nesting(meta.get(key))
        # No honest number is larger than the columns can hold.
        return {key: value for key, value in meta.items() if len(value) <= 20 or not value.lstrip("-").isdecimal()}

    def _check_nesting(self, text: str | None) -> None:
        """Refuse JSON that is nested deeper than a reader can bear; what is written here has three levels."""
        if text is None or text.count("[") + text.count("{") <= _MAX_NESTING:
            return
        depth = 0
        for found in _JSON_STRUCTURE.finditer(text):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
            if depth > _MAX_NESTING:
                raise RecordingError(
                    f"{self.name}: damaged or hostile: a value is nested more than {_MAX_NESTING} deep"
                )

    def meta_int(self, key: str) -> int | None:
        """A number of ``meta``; ``None`` when it is absent or no number."""
        try:
            return int(self.meta[key])
        except (KeyError, ValueError):
            return None

    @cached_property
    def networks(self) -> dict[int, Network]:
        """Network namespaces by id, in the order met; none in a recording of schema version 1."""
        return self._held(Network)

    @cached_property
    def missing(self) -> dict[str, str]:
        """Layers that were not recorded, in the words of people, and why.

        The wire is judged where sockets are: a program in a host of a lab has it, even where the machine's own is refused.
        """
        found = {
            words: reason
            for words, key in (("calls", "calls"), ("kernel", "kernel"), ("wire", "wire"), ("source lines", "lines"))
            if (reason := self.meta.get(key, "yes")) != "yes"
        }
        if "wire" in found and any(network.access == "entered" for network in self.networks.values()):
            own = {network.id for network in self.networks.values() if network.access != "entered"} | {None}
            if not any(socket.network in own for socket in self.sockets.values()):
                del found["wire"]
        return found

    @cached_property
    def processes(self) -> dict[int, Process]:
        """By id, in the order met."""
        return self._held(Process)

    @cached_property
    def sockets(self) -> Table[Socket]:
        """By id, in the order met."""
        return self._table(Socket)

    @cached_property
    def descriptors(self) -> Table[Descriptor]:
        """By id, in the order met."""
        return self._table(Descriptor)

    @cached_property
    def sources(self) -> dict[int, Source]:
        """By id, in the order met."""
        return self._held(Source)

    @cached_property
    def binaries(self) -> dict[int, Binary]:
        """Program files and libraries by id, in the order met."""
        return self._held(Binary)

    @cached_property
    def stacks(self) -> dict[int, Stack]:
        """Native stacks by id, in the order met."""
        return self._held(Stack)

    # -- iterators, each in the order of its ids

    def calls(
        self,
        *,
        process: int | None = None,
        socket: int | None = None,
        numbers: Sequence[int] | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> Iterator[Call]:
        """Calls in the order of entry.

        Args:
            process: only of this process (its id).
            socket: only on this socket, or that made it (its id).
            numbers: only these system-call numbers.
            since_ns: only calls that had not returned before this time.
            until_ns: only calls entered at or before this time.
        """
        conditions: list[str] = []
        values: list[int] = []
        if process is not None:
            conditions.append("process = ?")
            values.append(process)
        if socket is not None:
            conditions.append("(socket = ? OR made = ?)")
            values += [socket, socket]
        if numbers is not None:
            conditions.append(f"number IN ({', '.join('?' * len(numbers))})")
            values += numbers
        if since_ns is not None:
            conditions.append("(took_ns IS NULL OR entry_ns + took_ns >= ?)")
            values.append(since_ns)
        if until_ns is not None:
            conditions.append("entry_ns <= ?")
            values.append(until_ns)
        return self._events(Call, conditions, values)

    def states(self, *, socket: int | None = None) -> Iterator[State]:
        """What sockets were, of one socket or all."""
        return self._events(State, *_equal("socket", socket))

    def packets(self) -> Iterator[Packet]:
        """Frames that travelled."""
        return self._events(Packet)

    def counters(self) -> Iterator[Counter]:
        """Counters of the network namespace: all at the start, then those that changed."""
        return self._events(Counter)

    def facts(self, *, call: int | None = None) -> Iterator[Fact]:
        """What the kernel said about the host, of one failed call or all."""
        return self._events(Fact, *_equal("call", call))

    def marks(self) -> Iterator[Mark]:
        """What happened that is no call, in the order of time, as in :meth:`events`."""
        return (mark for _, _, _, mark in self._timed(Mark, 0))  # type: ignore[misc]

    def events(self, *, calls_at: Literal["entry", "exit"] = "entry") -> Iterator[Event]:
        """Everything that has a time, in one pass in the order of time.

        A call stands where it was entered or where it returned; calls that never returned come last in the second
        form. Memory does not grow with the recording: out-of-order rows are mended within 1024 rows of a table.
        """
        calls = self._timed(Call, 1) if calls_at == "entry" else _by_exit(self.calls())
        streams = [
            self._timed(Mark, 0),
            calls,
            self._timed(State, 2),
            self._timed(Packet, 3),
            self._timed(Fact, 4),
            self._timed(Counter, 5),
        ]
        # Rank and number make each item unique, so that events themselves are never compared.
        for _, _, _, event in heapq.merge(*streams):
            yield event

    def call(self, id: int) -> Call | None:
        """The call of this id."""
        return next(self._events(Call, ["id = ?"], [id]), None)

    def packet(self, id: int) -> Packet | None:
        """The packet of this id."""
        return next(self._events(Packet, ["id = ?"], [id]), None)

    def state(self, id: int) -> State | None:
        """What a socket was: the row of this id."""
        return next(self._events(State, ["id = ?"], [id]), None)

    def findings(self) -> Iterator[StoredFinding]:
        """What ``explain`` wrote into the recording, most probable cause first."""
        for number, rule, value in _rising(self._rows("SELECT id, rule, value FROM finding ORDER BY id"), self.name):
            rows = self._rows(
                'SELECT layer, "table", row, text FROM evidence WHERE finding = ? ORDER BY rowid LIMIT 10000', (number,)
            )
            evidence = tuple(Evidence(*row) for row in rows)
            if (type(rule), type(value)) != (str, str) or any(
                tuple(map(type, row)) != (str, str, int, str) for row in evidence
            ):
                raise RecordingError(f"{self.name}: damaged: finding {number} has a value of the wrong type")
            yield StoredFinding(rule, value, evidence)

    # -- for data tools

    def _repr_html_(self) -> str:
        """For notebooks: what was recorded, and how each conversation went."""
        from ..kernel import program

        command = " ".join(program.command_words(self.meta.get("command"))) or "an attached program"
        words = f"{self.ended_ns / 1e6:.0f} ms, {self.count('call')} calls, {self.count('socket')} sockets"
        found = self.conversations()
        rows = [(one.kind, one.title, " / ".join(one.verdicts)) for one in found[:_SHOWN]]
        more = f"<p>and {len(found) - _SHOWN} more</p>" if len(found) > _SHOWN else ""
        shown = markup.table(("kind", "conversation", "how it went"), rows)
        return f"<p><code>{markup.escape(command)}</code>: {markup.escape(words)}</p>{shown}{more}"

    def conversations(self) -> list[ConversationLine]:
        """Which sockets talk, in the order of their start; its left socket began."""
        from .lines import Lines
        from .timeline import Timeline
        from .wire import segment

        timeline = Timeline(self, decode=segment, limit=1)
        lines = Lines(timeline)
        return [lines.conversation(conversation) for conversation in timeline.wanted()]

    def arrow(self, table: str) -> Columns:
        """A table by its name in schema.sql, as an Arrow stream that is made as it is taken.

        >>> polars.DataFrame(recording.arrow("call"))  # doctest: +SKIP

        Raises:
            UsageError: there is no such table.
        """
        from . import query

        return query.table(self, table)

    def sql(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Result:
        """The rows that a SELECT gives. Tables: schema.sql; ``call_name(number)`` and other functions: docs/api.md.

        >>> recording.sql("SELECT call_name(number), count(*) FROM call GROUP BY 1")  # doctest: +SKIP

        Raises:
            UsageError: it is no SELECT, or SQLite does not understand it.
        """
        from . import query

        return query.sql(self, statement, parameters)

    def rows(self, kind: type[_S]) -> Iterator[_S]:
        """A whole table by its class in ``wallsocket.events``, row by row in the order of ids."""
        return self._events(kind)

    def select(
        self,
        statement: str,
        parameters: Sequence[Any] | Mapping[str, Any],
        functions: Mapping[str, Callable[[Any], Any]],
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of a SELECT that may call ``functions``; use :meth:`sql`."""
        connection = self._connection
        for name, function in functions.items():
            connection.create_function(name, 1, function, deterministic=True)
        connection.set_authorizer(_only_reading)
        try:
            # What is asked may take as long as it likes: it is not the file that asks.
            self._operations = -(1 << 62)
            cursor = connection.execute(statement, parameters)
            rows = cursor.fetchall()
        except (sqlite3.ProgrammingError, sqlite3.Warning) as error:
            raise UsageError(f"SQL: {_one_line(str(error))}") from error
        except sqlite3.Error as error:
            code = (error.sqlite_errorcode or 0) & 0xFF
            if code == sqlite3.SQLITE_AUTH:
                raise UsageError("SQL: a recording is only read: ask it with SELECT") from error
            if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH):
                raise UsageError(f"SQL: {_one_line(str(error))}") from error
            raise RecordingError(f"{self.name}: {_read_failure(error)}") from error
        except (OverflowError, MemoryError) as error:
            raise UsageError(f"SQL: {_one_line(str(error)) or 'there is not enough memory for the answer'}") from error
        finally:
            connection.set_authorizer(None)
            self._operations = 0
        if cursor.description is None:
            raise UsageError("SQL: a recording is only read: ask it with SELECT")
        return [column[0] for column in cursor.description], rows

    # -- its end

    @property
    def growing(self) -> bool:
        """Whether a recorder is writing the file at this moment."""
        return self.path is not None and is_being_written(self.path)

    @cached_property
    def ended_ns(self) -> int:
        """The end of the recording; where it was cut off, or still grows, the last time that stands in it."""
        ended = self.meta_int("ended_ns")
        return self._last_ns() if ended is None else ended

    @property
    def failure(self) -> str | None:
        """Why the recorder could not write on, where it has said so."""
        return self.meta.get("failure")

    @property
    def cut_off_ns(self) -> int | None:
        """The last time that stands in a recording whose end is missing (killed or still growing), else ``None``."""
        return None if "ended_ns" in self.meta else self.ended_ns

    def _last_ns(self) -> int:
        last = 0
        for table, column in (
            ("call", "entry_ns + IFNULL(took_ns, 0)"),
            ("state", "at_ns"),
            ("packet", "at_ns"),
            ("mark", "at_ns"),
            ("counter", "at_ns"),
            ("fact", "at_ns"),
        ):
            statement = f'SELECT {column} FROM "{table}" ORDER BY rowid DESC LIMIT 1'  # noqa: S608 (constants)
            for (value,) in self._rows(statement):
                if isinstance(value, int):
                    last = max(last, value)
        return last

    def follow(self, *, poll_s: float = 0.1, wait: Callable[[float], object] = time.sleep) -> Iterator[list[Event]]:
        """Batches of events, each in the order of time, as the recorder commits them; the first holds what is there.

        A call that had not returned is told again when it has. Ends with the recording: when its end is written, or
        when nobody writes it any more. The file is opened anew for each look, so that a clean end is not held up.
        """
        if self.path is None:
            yield list(self.events())
            return
        follower = _Follower(self.path)
        while True:
            alive = is_being_written(self.path)
            batch, ended = follower.look()
            yield batch
            if ended or not alive:
                return
            wait(poll_s)

    # -- inside

    def _check(self) -> None:
        """Refuse what is no recording of ours, before any of its content is used."""
        self._prepare()
        connection = self._connection
        (application_id,) = self._one("PRAGMA application_id")
        (version,) = self._one("PRAGMA user_version")
        if application_id != APPLICATION_ID:
            raise RecordingError(f"{self.name}: is not a recording of Wallsocket (an SQLite file of another program)")
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise RecordingError(
                f"{self.name}: was written by a newer Wallsocket "
                f"(schema {version}; this one reads up to {SCHEMA_VERSION})"
            )
        if version < 1:
            raise RecordingError(f"{self.name}: damaged: it has no schema version")
        self._version = version
        for kind, name, statement in self._rows("SELECT type, name, sql FROM sqlite_schema LIMIT 100"):
            ours = kind == "table" and (name in _shape(version) or name == "sqlite_sequence")
            automatic = kind == "index" and statement is None
            if not (ours or automatic):
                what = f"{_one_line(str(kind))} {name!r}"
                raise RecordingError(f"{self.name}: damaged or hostile: it holds the {what}, as no recording does")
            if ours and not str(statement).upper().startswith("CREATE TABLE"):
                raise RecordingError(f"{self.name}: damaged or hostile: {name!r} is no plain table")
        found = self._guard(lambda: _tables(connection))
        for name, columns in _shape(version).items():
            if name not in found:
                raise RecordingError(f"{self.name}: cut off or damaged: the table {name!r} is missing")
            if found[name] != columns:
                raise RecordingError(f"{self.name}: damaged: the table {name!r} has other columns than a recording's")
        # One state of the file for all that is read from it.
        self._rows("BEGIN")
        self._one("SELECT COUNT(*) FROM sqlite_schema")

    def _prepare(self) -> None:
        """Limits for what the file can make SQLite do."""
        connection = self._connection
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 64)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
        connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            self._rows(f"PRAGMA {pragma}")
        connection.text_factory = _text
        # Pages that point at each other can make a small file endless; an honest one needs a few operations per byte.
        allowance = 100_000_000 + 10 * self._size()

        def progress() -> bool:
            self._operations += 1_000_000
            return self._operations > allowance

        connection.set_progress_handler(progress, 1_000_000)

    def _size(self) -> int:
        size = 0
        if self.path is not None:
            for name in (self.path, *_companions(self.path)):
                with contextlib.suppress(OSError):
                    size += name.stat().st_size
        return size

    def _guard(self, ask: Callable[[], Any]) -> Any:
        self._operations = 0
        try:
            return ask()
        except (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError) as error:
            raise RecordingError(f"{self.name}: {_read_failure(error)}") from error

    def _rows(self, statement: str, values: Sequence[int] = ()) -> Iterator[tuple[Any, ...]]:
        cursor = self._guard(lambda: self._connection.execute(statement, values))
        return self._fetched(cursor)

    def _fetched(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        while rows := self._guard(lambda: cursor.fetchmany(_BATCH)):
            yield from rows

    def _one(self, statement: str) -> tuple[Any, ...]:
        return next(self._rows(statement))

    def _events(self, kind: type[_S], conditions: Sequence[str] = (), values: Sequence[int] = ()) -> Iterator[_S]:
        """Rows of a table as events, checked; ids must rise, which also ends a file whose pages form a circle."""
        table = kind.__name__.lower()
        columns = _selected(table, self._version)
        if columns is None:
            return
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = self._rows(
            f'SELECT rowid, {columns} FROM "{table}"{where} ORDER BY rowid',  # noqa: S608 (constants)
            values,
        )
        known = _signatures(kind)
        nested = {Process: 3, Fact: 4}.get(kind)
        alike = _places_alike(kind)
        seen: dict[bytes, bytes] = {}
        for row in _rising(rows, self.name):
            fields = row[1:]
            if (signature := tuple(map(type, fields))) not in known:
                _check_signature(kind, fields, self.name)
                if len(known) < 10_000:
                    known.add(signature)
            if nested is not None:
                self._check_nesting(fields[nested])
            if alike:
                # One object for equal values: the addresses and options of a socket come with each sample of it.
                values_ = list(fields)
                for place in alike:
                    value = values_[place]
                    if value is not None:
                        values_[place] = seen.setdefault(value, value)
                if len(seen) > _MAX_ALIKE:
                    seen.clear()
                yield kind(*values_)
            else:
                yield kind(*fields)

    def _held(self, kind: type[_S]) -> dict[int, _S]:
        name = kind.__name__.lower()
        if self.count(name) > _MAX_HELD_ROWS:
            raise RecordingError(f"{self.name}: more than {_MAX_HELD_ROWS} rows in the table {name!r}")
        return {event.id: event for event in self._events(kind)}  # type: ignore[attr-defined]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        if table not in _shape(self._version):
            return 0
        return int(self._one(f'SELECT COUNT(*) FROM "{table}"')[0])  # noqa: S608 (names of the schema)

    def _table(self, kind: type[_S]) -> Table[_S]:
        return Table(
            lambda first, last: self._events(kind, ["rowid BETWEEN ? AND ?"], [first, last]),
            self.count(kind.__name__.lower()),
            lambda row: row.id,  # type: ignore[attr-defined]
        )

    def _timed(self, kind: type[Any], rank: int) -> Iterator[tuple[int, int, int, Event]]:
        window: list[tuple[int, int, int, Event]] = []
        for number, event in enumerate(self._events(kind)):
            window.append((event.entry_ns if kind is Call else event.at_ns, rank, number, event))
            if len(window) == 2 * _REORDER_ROWS:
                # Nearly sorted already: this costs far less than a heap.
                window.sort()
                yield from window[:_REORDER_ROWS]
                del window[:_REORDER_ROWS]
        window.sort()
        yield from window


class _Follower:
    """What has been told of a growing recording: the last row of each table, and the calls to look at again."""

    #: Calls remembered as unfinished; threads are fewer, and a hostile file must not fill the memory.
    _MAX_OPEN = 10_000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = {}
        self._open_calls: set[int] = set()

    def look(self) -> tuple[list[Event], bool]:
        """The events since the last look, and whether the recording has ended."""
        with Recording.open(self._path) as recording:
            batch: list[Event] = []
            for kind in (Mark, State, Packet, Fact, Counter):
                table = kind.__name__.lower()
                last = self._last.get(table, 0)
                events = list(recording._events(kind, ["rowid > ?"], [last]))
                batch += events  # type: ignore[arg-type]
                if events:
                    # Rows of `counter` have no id of their own; they are only ever added.
                    self._last[table] = last + len(events) if kind is Counter else events[-1].id  # type: ignore[attr-defined]
            batch += self._calls(recording)
            batch.sort(key=event_time_ns)
            return batch, "ended_ns" in recording.meta

    def _calls(self, recording: Recording) -> Iterator[Call]:
        waiting = sorted(self._open_calls)
        for start in range(0, len(waiting), 500):
            part = waiting[start : start + 500]
            for call in recording._events(Call, [f"id IN ({', '.join('?' * len(part))})"], part):
                if call.took_ns is not None:
                    self._open_calls.discard(call.id)
                    yield call
        last = self._last.get("call", 0)
        for call in recording._events(Call, ["id > ?"], [last]):
            # A call is numbered when it is entered and may be written only when it returns: gaps fill later.
            if len(self._open_calls) < self._MAX_OPEN:
                gap_end = min(call.id, last + 1 + self._MAX_OPEN - len(self._open_calls))
                self._open_calls.update(range(last + 1, gap_end))
                if call.took_ns is None:
                    self._open_calls.add(call.id)
            last = call.id
            yield call
        self._last["call"] = last


def _by_exit(calls: Iterable[Call]) -> Iterator[tuple[int, int, int, Event]]:
    """Calls in the order in which they returned; what waits here is at most one call per thread."""
    waiting: list[tuple[int, int, int, Event]] = []
    never: list[Call] = []
    for call in calls:
        while waiting and waiting[0][0] <= call.entry_ns:
            yield heapq.heappop(waiting)
        if call.exit_ns is None:
            never.append(call)
        else:
            heapq.heappush(waiting, (call.exit_ns, 1, call.id, call))
    while waiting:
        yield heapq.heappop(waiting)
    for call in never:
        yield (1 << 63, 1, call.id, call)


def _only_reading(action: int, *_: str | None) -> int:
    reading = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
    return sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY


def _equal(column: str, value: int | None) -> tuple[list[str], list[int]]:
    return ([], []) if value is None else ([f"{column} = ?"], [value])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _rising(rows: Iterator[tuple[Any, ...]], name: str) -> Iterator[tuple[Any, ...]]:
    last = None
    for row in rows:
        if last is not None and row[0] <= last:
            raise RecordingError(f"{name}: damaged: its rows are out of order")
        last = row[0]
        yield row


@cache
def _signatures(kind: type[msgspec.Struct]) -> set[tuple[type, ...]]:
    """Combinations of column types that were found right; rows of a table have few."""
    return set()


@cache
def _places_alike(kind: type[msgspec.Struct]) -> tuple[int, ...]:
    """Columns whose values repeat from row to row."""
    wanted = {State: ("local", "remote", "memory", "options"), Call: ("address",)}.get(kind, ())
    return tuple(kind.__struct_fields__.index(name) for name in wanted)


@cache
def _field_types(kind: type[msgspec.Struct]) -> tuple[tuple[type, ...], ...]:
    hints = get_type_hints(kind)
    return tuple(get_args(hints[name]) or (hints[name],) for name in kind.__struct_fields__)


def _check_signature(kind: type[msgspec.Struct], fields: tuple[Any, ...], name: str) -> None:
    for column, value, allowed in zip(kind.__struct_fields__, fields, _field_types(kind), strict=True):
        if type(value) not in allowed:
            table = kind.__name__.lower()
            raise RecordingError(f"{name}: damaged: {table}.{column} holds {type(value).__name__} in one row")


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection, or one clear line."""
    if path.name.endswith(("-wal", "-shm")):
        raise RecordingError(f"{path}: is the log of a recording; give the recording's own name: {path.name[:-4]}")
    try:
        found = path.stat()
    except FileNotFoundError:
        beside = "; only its log is left" if any(name.exists() for name in _companions(path)) else ""
        raise RecordingError(f"{path}: no such file{beside}") from None
    except OSError as error:
        raise RecordingError(f"{path}: cannot be opened: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise RecordingError(f"{path}: is a directory, not a recording")
    if not stat.S_ISREG(found.st_mode):
        raise RecordingError(f"{path}: is a special file, not a recording")
    if not os.access(path, os.R_OK):
        raise RecordingError(f"{path}: no permission to read it")
    if found.st_size == 0:
        raise RecordingError(f"{path}: {_EMPTY}")
    for companion in (*_companions(path), _journal(path)):
        _check_companion(path, companion)
    options = "mode=ro"
    log, _ = _companions(path)
    if not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        # Without a log nothing can be missed, and SQLite would want to make an index of one beside the file.
        options += "&immutable=1"
    try:
        # One thread at a time uses it, but not always the same: a view, or who takes an Arrow stream.
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: {_read_failure(error)}") from error


def _begins_empty(path: Path) -> bool:
    """Whether the first page was never written. Asked of what is no database: a close drops SQLite's locks on a file."""
    try:
        with path.open("rb") as file:
            return not any(file.read(16))
    except OSError:
        return False


def _check_companion(path: Path, companion: Path) -> None:
    """Refuse what SQLite would read beside the recording and wait for, follow, or be led astray by."""
    try:
        found = companion.lstat()
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise RecordingError(
            f"{companion}: is not a regular file, as a recording's log must be; remove it, or copy {path} away"
        )
    if companion == _journal(path) and found.st_size:
        try:
            with companion.open("rb") as file:
                # A journal whose header was zeroed is finished (https://www.sqlite.org/fileformat2.html, 3).
                unfinished = any(file.read(8))
        except OSError as error:
            raise RecordingError(f"{companion}: cannot be read: {error.strerror}") from error
        if unfinished:
            raise RecordingError(
                f"{companion}: another program has left a change of the recording half-done; let it finish that, "
                f"or copy {path} away to see it as it is"
            )


def _is_no_database(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB


def _read_failure(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    code = code & 0xFF if isinstance(code, int) else None
    if code == sqlite3.SQLITE_NOTADB:
        return "is not a recording of Wallsocket (not an SQLite file)"
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, (OverflowError, MemoryError)):
        return f"damaged or hostile: a value is larger than {_MAX_VALUE_BYTES >> 20} MiB"
    if code == sqlite3.SQLITE_INTERRUPT:
        return "damaged or hostile: reading it takes longer than its size allows"
    if code == sqlite3.SQLITE_CANTOPEN:
        return "cannot be opened: its log needs a folder that can be written; copy the file and its -wal elsewhere"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds it"
    if code == sqlite3.SQLITE_IOERR:
        return "the disk failed while it was read, or the file was cut off"
    return f"damaged: {_one_line(str(error))}"


def _one_line(text: str) -> str:
    """SQLite's words, which may quote the file: short and without anything that a terminal obeys."""
    text = " ".join(text.split())
    return ascii(text)[1:-1] if len(text) <= 120 else ascii(text[:120])[1:-1] + "…"


@cache
def _set_up_numbers(machine: str) -> tuple[int, ...]:
    """Calls that say what a socket is, by number: without them nobody can tell what it does."""
    from .syscalls import names

    words = {
        "socket",
        "socketpair",
        "bind",
        "listen",
        "connect",
        "accept",
        "accept4",
        "setsockopt",
        "epoll_ctl",
        "fcntl",
    }
    return tuple(sorted(number for number, name in names(machine).items() if name in words))


def _first_since(connection: sqlite3.Connection, table: str, column: str, since_ns: int) -> int:
    """The first rowid from which on times are not before ``since_ns``: ids rise with the time, so it is searched for."""
    (low, high) = connection.execute(f'SELECT min(rowid), max(rowid) FROM "{table}"').fetchone()  # noqa: S608
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(
            f'SELECT rowid, "{column}" FROM "{table}" WHERE rowid >= ? LIMIT 1',  # noqa: S608
            (middle,),
        ).fetchone()
        if row is None or row[1] >= since_ns:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _begin_window(connection: sqlite3.Connection, since_ns: int) -> None:
    """Say of what is older than the beginning of a window what is said of it when a program is attached to."""
    if since_ns:
        connection.execute(
            "UPDATE call SET offset = NULL WHERE socket IN (SELECT id FROM socket WHERE created_ns < ?)", (since_ns,)
        )
        connection.execute(
            "UPDATE socket SET origin = 'attached', call = NULL WHERE created_ns < ? "
            "AND origin NOT IN ('inherited', 'received', 'seen', 'attached')",
            (since_ns,),
        )


def freeze_window(path: Path, output: Path, *, reason: str) -> None:
    """Copy what a recording holds at this moment, also while it is written; what was open before its beginning is ``attached``.

    Raises:
        RecordingError: it is no recording, or the copy cannot be made.
    """
    with Recording.open(path) as source:
        ended_ns = source._last_ns()
        since_ns = source.meta_int("since_ns") or 0
        lock = _create(output, source.meta, replace=False)
        try:
            with contextlib.closing(sqlite3.connect(output, isolation_level=None)) as copy:
                source._guard(lambda: source._connection.backup(copy))
                copy.execute("PRAGMA journal_mode = MEMORY")
                copy.execute("BEGIN IMMEDIATE")
                _begin_window(copy, since_ns)
                values = {"ended_ns": str(max(ended_ns, since_ns)), "end": f"frozen: {reason}"}
                if "ended_ns" in source.meta:
                    del values["ended_ns"], values["end"]
                copy.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))
                copy.execute("COMMIT")
                if since_ns:
                    copy.execute("VACUUM")
        except sqlite3.Error as error:
            output.unlink(missing_ok=True)
            failure = _write_failure(error) if isinstance(error, sqlite3.OperationalError) else _read_failure(error)
            raise RecordingError(f"{output}: {failure}") from error
        except BaseException:
            output.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)


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
                connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
                _enter_log(connection)
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
                _leave_log(connection)
        except sqlite3.OperationalError as error:
            raise RecordingError(f"{path}: findings cannot be written into it: {_write_failure(error)}") from error
        except sqlite3.DatabaseError as error:
            raise RecordingError(f"{path}: {_read_failure(error)}") from error
    finally:
        os.close(lock)
