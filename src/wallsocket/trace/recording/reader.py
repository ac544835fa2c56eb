"""Reads recordings, and treats what it reads as hostile: the file may come from anybody."""

from __future__ import annotations

import contextlib
import heapq
import os
import re
import sqlite3
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn, Self, TypeAlias, TypeVar

import msgspec

from ... import markup
from ..._core.recording import events as typed
from ...errors import RecordingError, UsageError
from ...events import (
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
from ..table import Table
from .file import EMPTY, begins_empty, companions, connect, is_being_written, is_no_database, one_line, read_failure
from .schema import APPLICATION_ID, MAX_VALUE_BYTES, SCHEMA_VERSION, field_types, selected, shape, tables

if TYPE_CHECKING:
    from ..lines import ConversationLine
    from ..query import Columns, Result

__all__ = ["Event", "Evidence", "Recording", "StoredFinding", "event_time_ns"]

#: Rows of a table that is held in memory as a whole (processes, source lines and the like): more would take a GiB.
_MAX_HELD_ROWS: Final = 500_000


#: Levels of JSON that are read.
_MAX_NESTING: Final = 64


#: A string, or what opens or closes a level.
_JSON_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


#: Rows fetched at once: large enough to hide the cost of a call, small enough for bounded memory.
_BATCH: Final = 512
#: Rows asked for by their ids in one statement.
_ASKED_AT_ONCE: Final = 500


#: Rows that :meth:`Recording.events` looks ahead in one table to mend small disorder between sources of time.
_REORDER_ROWS: Final = 1024


#: Values of which equal ones are one object.
_MAX_ALIKE: Final = 2048


#: Conversations in a notebook.
_SHOWN: Final = 50


Event: TypeAlias = Call | State | Packet | Counter | Fact | Mark
_S = TypeVar("_S", bound=msgspec.Struct)
#: A block of events, and the time of each.
_Timed: TypeAlias = tuple[list[int], list[_S]]


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
        self._allowance = 0
        self._version = SCHEMA_VERSION

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a file for reading; nothing in it is believed before it was checked."""
        path = Path(path)
        connection = connect(path)
        recording = cls(connection, name=str(path), path=path)
        try:
            recording._check()
        except BaseException as error:
            connection.close()
            if is_no_database(error.__cause__) and begins_empty(path):
                raise RecordingError(f"{path}: {EMPTY}") from error
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
        """A number of ``meta``, of 64 bits as every number of a recording; ``None`` when it is absent or none."""
        try:
            number = int(self.meta[key])
        except (KeyError, ValueError):
            return None
        return number if -(1 << 63) <= number < 1 << 63 else None

    @cached_property
    def networks(self) -> dict[int, Network]:
        """Network namespaces by id, in the order met; none in a recording of schema version 1."""
        return self._held(Network)

    @property
    def since_ns(self) -> int | None:
        """From when on everything is there, of what a flight recorder kept; ``None``: from the beginning."""
        return self.meta_int("since_ns")

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
        telling: Sequence[int] | None = None,
    ) -> Iterator[Call]:
        """Calls in the order of entry.

        Args:
            process: only of this process (its id).
            socket: only on this socket, or that made it (its id).
            numbers: only these system-call numbers.
            since_ns: only calls that had not returned before this time.
            until_ns: only calls entered at or before this time.
            telling: only those that may tell who talks with whom: with an address, that made a socket, or with one of these
                system-call numbers.
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
        if telling is not None:
            numbered = f"number IN ({', '.join('?' * len(telling))})"
            conditions.append(f"({numbered} OR address IS NOT NULL OR made IS NOT NULL)")
            values += telling
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
        return chain.from_iterable(marks for _, marks in self._timed(Mark))

    def events(self, *, calls_at: Literal["entry", "exit"] = "entry") -> Iterator[Event]:
        """Everything that has a time, in one pass in the order of time.

        A call stands where it was entered or where it returned; calls that never returned come last in the second
        form. Memory does not grow with the recording: out-of-order rows are mended within 1024 rows of a table.
        """
        calls = self._timed(Call) if calls_at == "entry" else _by_exit(self.calls())
        # In this order at one time.
        others = [self._timed(kind) for kind in (State, Packet, Fact, Counter)]
        return chain.from_iterable(_merged([self._timed(Mark), calls, *others]))

    def call(self, id: int) -> Call | None:
        """The call of this id."""
        return next(self._events(Call, ["id = ?"], [id]), None)

    def packet(self, id: int) -> Packet | None:
        """The packet of this id."""
        return next(self._events(Packet, ["id = ?"], [id]), None)

    def state(self, id: int) -> State | None:
        """What a socket was: the row of this id."""
        return next(self._events(State, ["id = ?"], [id]), None)

    def some(self, kind: type[_S], ids: Collection[int]) -> dict[int, _S]:
        """The rows of these ids, of calls, packets or states; those that are there, by id."""
        found: dict[int, _S] = {}
        ordered = sorted(ids)
        for start in range(0, len(ordered), _ASKED_AT_ONCE):
            part = ordered[start : start + _ASKED_AT_ONCE]
            for event in self._events(kind, [f"id IN ({', '.join('?' * len(part))})"], part):
                found[event.id] = event  # type: ignore[attr-defined]
        return found

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

    def __repr__(self) -> str:
        return f"<recording {self.name}>"

    def _repr_html_(self) -> str:
        """For notebooks: what was recorded, and how each conversation went."""
        from ...kernel import program

        command = " ".join(program.command_words(self.meta.get("command"))) or "an attached program"
        counts = {table: self.count(table) for table in ("call", "socket")}
        words = f"{self.ended_ns / 1e6:.0f} ms" + "".join(
            f", {count} {table}{'s' if count != 1 else ''}" for table, count in counts.items()
        )
        found = self.conversations()
        rows = [(one.kind, one.title, " / ".join(one.verdicts)) for one in found[:_SHOWN]]
        more = f"<p>and {len(found) - _SHOWN} more</p>" if len(found) > _SHOWN else ""
        shown = markup.table(("kind", "conversation", "how it went"), rows)
        return f"<p><code>{markup.escape(command)}</code>: {markup.escape(words)}</p>{shown}{more}"

    def conversations(self) -> list[ConversationLine]:
        """Which sockets talk, in the order of their start; its left socket began."""
        from ..lines import Lines
        from ..timeline import Timeline
        from ..wire import segment

        timeline = Timeline(self, decode=segment, limit=1)
        lines = Lines(timeline)
        return [lines.conversation(conversation) for conversation in timeline.wanted()]

    def arrow(self, table: str) -> Columns:
        """A table by its name in schema.sql, as an Arrow stream that is made as it is taken.

        >>> polars.DataFrame(recording.arrow("call"))  # doctest: +SKIP

        Raises:
            UsageError: there is no such table.
        """
        from .. import query

        return query.table(self, table)

    def sql(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Result:
        """The rows that a SELECT gives. Tables: schema.sql; ``call_name(number)`` and other functions: docs/api.md.

        >>> recording.sql("SELECT call_name(number), count(*) FROM call GROUP BY 1")  # doctest: +SKIP

        Raises:
            UsageError: it is no SELECT, or SQLite does not understand it.
        """
        from .. import query

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
            self._guard(partial(connection.create_function, name, 1, function, deterministic=True))
        connection.set_authorizer(_only_reading)
        try:
            # What is asked may take as long as it likes: it is not the file that asks.
            self._operations = -(1 << 62)
            cursor = connection.execute(statement, parameters)
            rows = cursor.fetchall()
        except (sqlite3.ProgrammingError, sqlite3.Warning) as error:
            raise UsageError(f"SQL: {one_line(str(error))}") from error
        except sqlite3.Error as error:
            self._pass_on(error)
            code = (error.sqlite_errorcode or 0) & 0xFF
            if code == sqlite3.SQLITE_AUTH:
                raise UsageError("SQL: a recording is only read: ask it with SELECT") from error
            if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH):
                raise UsageError(f"SQL: {one_line(str(error))}") from error
            raise RecordingError(f"{self.name}: {read_failure(error)}") from error
        except (OverflowError, MemoryError) as error:
            raise UsageError(f"SQL: {one_line(str(error)) or 'there is not enough memory for the answer'}") from error
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
        from .following import Follower

        follower = Follower(self.path)
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
            ours = kind == "table" and (name in shape(version) or name == "sqlite_sequence")
            automatic = kind == "index" and statement is None
            if not (ours or automatic):
                what = f"{one_line(str(kind))} {name!r}"
                raise RecordingError(f"{self.name}: damaged or hostile: it holds the {what}, as no recording does")
            if ours and not str(statement).upper().startswith("CREATE TABLE"):
                raise RecordingError(f"{self.name}: damaged or hostile: {name!r} is no plain table")
        found = self._guard(lambda: tables(connection))
        for name, columns in shape(version).items():
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
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, 64)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
        connection.setlimit(sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0)
        for pragma in ("trusted_schema = OFF", "query_only = ON", "cell_size_check = ON", "mmap_size = 0"):
            self._rows(f"PRAGMA {pragma}")
        connection.text_factory = _text
        # Pages that point at each other can make a small file endless; an honest one needs a few operations per byte.
        self._allowance = 100_000_000 + 10 * self._size()

        def progress() -> bool:
            self._operations += 1_000_000
            return self._operations > self._allowance

        connection.set_progress_handler(progress, 1_000_000)

    def _size(self) -> int:
        size = 0
        if self.path is not None:
            for name in (self.path, *companions(self.path)):
                with contextlib.suppress(OSError):
                    size += name.stat().st_size
        return size

    def _guard(self, ask: Callable[[], Any]) -> Any:
        self._operations = 0
        try:
            return ask()
        except (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError) as error:
            self._pass_on(error)
            raise RecordingError(f"{self.name}: {read_failure(error)}") from error

    def _pass_on(self, error: Exception) -> None:
        """Ctrl-C in the function that counts operations ends the query, and the module sqlite3 tells nobody why."""
        stopped = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
        if stopped and self._operations <= self._allowance:
            raise KeyboardInterrupt from error

    def _rows(self, statement: str, values: Sequence[int] = ()) -> Iterator[tuple[Any, ...]]:
        cursor = self._guard(lambda: self._connection.execute(statement, values))
        return self._fetched(cursor)

    def _fetched(self, cursor: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
        while rows := self._guard(lambda: cursor.fetchmany(_BATCH)):
            yield from rows

    def _one(self, statement: str) -> tuple[Any, ...]:
        return next(self._rows(statement))

    def _events(self, kind: type[_S], conditions: Sequence[str] = (), values: Sequence[int] = ()) -> Iterator[_S]:
        """Rows of a table as events, checked."""
        return chain.from_iterable(self._batches(kind, conditions, values))

    def _batches(
        self, kind: type[_S], conditions: Sequence[str] = (), values: Sequence[int] = ()
    ) -> Iterator[list[_S]]:
        """The same in batches; ids must rise, which also ends a file whose pages form a circle."""
        table = kind.__name__.lower()
        columns = selected(table, self._version)
        if columns is None:
            return
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        numbered = kind.__struct_fields__[0] != "id"  # the id of a row is its rowid
        cursor = self._guard(
            lambda: self._connection.execute(
                f'SELECT {"rowid, " * numbered}{columns} FROM "{table}"{where} ORDER BY rowid',  # noqa: S608 (constants)
                values,
            )
        )
        allowed, alike = _allowed(kind), _places_alike(kind)
        nested = {Process: "command", Fact: "value"}.get(kind)
        seen: dict[bytes, bytes] = {}
        last: int | None = None
        while rows := self._guard(lambda: cursor.fetchmany(_BATCH)):
            found = typed(kind, rows, last, numbered=numbered, allowed=allowed, alike=alike, seen=seen)
            if nested is not None:
                for event in found:
                    self._check_nesting(getattr(event, nested))
            yield found
            if len(found) < len(rows):
                self._refuse(kind, rows[len(found)][numbered:])
            last = rows[-1][0]
            if len(seen) > _MAX_ALIKE:
                seen.clear()

    def _refuse(self, kind: type[msgspec.Struct], fields: tuple[Any, ...]) -> NoReturn:
        """Say what is wrong with a row."""
        for column, value, types in zip(kind.__struct_fields__, fields, field_types(kind), strict=True):
            if type(value) not in types:
                table = kind.__name__.lower()
                raise RecordingError(f"{self.name}: damaged: {table}.{column} holds {type(value).__name__} in one row")
        raise RecordingError(f"{self.name}: damaged: its rows are out of order")

    def _held(self, kind: type[_S]) -> dict[int, _S]:
        name = kind.__name__.lower()
        if self.count(name) > _MAX_HELD_ROWS:
            raise RecordingError(f"{self.name}: more than {_MAX_HELD_ROWS} rows in the table {name!r}")
        return {event.id: event for event in self._events(kind)}  # type: ignore[attr-defined]

    def count(self, table: str) -> int:
        """How many rows a table has."""
        if table not in shape(self._version):
            return 0
        return int(self._one(f'SELECT COUNT(*) FROM "{table}"')[0])  # noqa: S608 (names of the schema)

    def _table(self, kind: type[_S]) -> Table[_S]:
        return Table(
            lambda first, last: self._events(kind, ["rowid BETWEEN ? AND ?"], [first, last]),
            self.count(kind.__name__.lower()),
            lambda row: row.id,  # type: ignore[attr-defined]
        )

    def _timed(self, kind: type[_S]) -> Iterator[_Timed[_S]]:
        """The rows of a table in the order of time, those of one time in the order of their ids, in blocks."""
        time_ns = attrgetter("entry_ns" if kind is Call else "at_ns")
        times: list[int] = []
        window: list[_S] = []
        for batch in self._batches(kind):
            times += map(time_ns, batch)
            window += batch
            if len(window) >= 2 * _REORDER_ROWS:
                times, window = _in_order(times, window)
                yield times[:_REORDER_ROWS], window[:_REORDER_ROWS]
                del times[:_REORDER_ROWS], window[:_REORDER_ROWS]
        if window:
            yield _in_order(times, window)


def event_time_ns(event: Event) -> int:
    """When an event happened (a call: when it was entered), in nanoseconds since the start of the recording."""
    return event.entry_ns if isinstance(event, Call) else event.at_ns


def _in_order(times: list[int], events: list[_S]) -> _Timed[_S]:
    """Events by their times; those of one time stay as they are."""
    ordered = sorted(times)  # most are in order already: then this is one look at each
    if ordered == times:
        return times, events
    return ordered, [events[place] for place in sorted(range(len(times)), key=times.__getitem__)]


def _merged(streams: Iterable[Iterator[_Timed[Any]]]) -> Iterator[list[Event]]:
    """Blocks of several streams, each in the order of time, as blocks of them all; at one time the first stream comes first."""
    heads = [(*block, stream) for stream in streams if (block := next(stream, None)) is not None]
    while heads:
        # Up to here all of them are known. Of this very time the first stream that ends with it may have more.
        until_ns = min(times[-1] for times, _, _ in heads)
        more = False
        known: list[int] = []
        merged: list[Event] = []
        rest = []
        for times, events, stream in heads:
            place = bisect_left(times, until_ns) if more else bisect_right(times, until_ns)
            more = more or times[-1] == until_ns
            known += times[:place]
            merged += events[:place]
            if place < len(times):
                rest.append((times[place:], events[place:], stream))
            elif (block := next(stream, None)) is not None:
                rest.append((*block, stream))
        heads = rest
        yield _in_order(known, merged)[1]


def _by_exit(calls: Iterable[Call]) -> Iterator[_Timed[Call]]:
    """Calls in the order in which they returned; what waits here is at most one call per thread."""
    ended = _ended(calls)
    while block := list(islice(ended, _REORDER_ROWS)):
        yield [at_ns for at_ns, _ in block], [call for _, call in block]


def _ended(calls: Iterable[Call]) -> Iterator[tuple[int, Call]]:
    waiting: list[tuple[int, int, Call]] = []
    never: list[Call] = []
    for call in calls:
        while waiting and waiting[0][0] <= call.entry_ns:
            at_ns, _, ended = heapq.heappop(waiting)
            yield at_ns, ended
        if call.exit_ns is None:
            never.append(call)
        else:
            heapq.heappush(waiting, (call.exit_ns, call.id, call))
    while waiting:
        at_ns, _, ended = heapq.heappop(waiting)
        yield at_ns, ended
    for call in never:
        yield 1 << 63, call


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
def _allowed(kind: type[msgspec.Struct]) -> bytes:
    """What each column may hold, as ``_core.recording.events`` wants it."""
    bits = {type(None): 1, int: 2, bytes: 4, str: 8}
    return bytes(sum(bits[one] for one in types) for types in field_types(kind))


@cache
def _places_alike(kind: type[msgspec.Struct]) -> list[int]:
    """Columns whose values repeat from row to row, as the addresses and options of a socket come with each sample of it."""
    wanted = {State: ("local", "remote", "memory", "options"), Call: ("address",)}.get(kind, ())
    return [kind.__struct_fields__.index(name) for name in wanted]
