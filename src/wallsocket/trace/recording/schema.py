"""The tables of a recording: ``schema.sql`` read as the SQLite of this machine reads it, for each version of the schema."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, get_args, get_type_hints

import msgspec

__all__ = [
    "APPLICATION_ID",
    "MAX_VALUE_BYTES",
    "REPLACED",
    "SCHEMA_VERSION",
    "columns",
    "definition",
    "field_types",
    "selected",
    "shape",
    "tables",
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
MAX_VALUE_BYTES: Final = 64 << 20
#: Rows of these tables may be written again when more is known of the same thing.
REPLACED: Final = frozenset({"meta", "network", "process", "socket", "descriptor", "call"})


@cache
def definition() -> str:
    """The text of ``schema.sql``."""
    return resources.files("wallsocket.trace").joinpath("schema.sql").read_text(encoding="utf-8")


@cache
def shape(version: int = SCHEMA_VERSION) -> dict[str, tuple[tuple[object, ...], ...]]:
    """Name of each table of a schema version -> its columns as ``PRAGMA table_xinfo`` tells them."""
    if version < SCHEMA_VERSION:
        added = _ADDED[version + 1]
        return {
            name: tuple(column for column in columns if column[1] not in (added.get(name) or ()))
            for name, columns in shape(version + 1).items()
            if added.get(name, ()) is not None
        }
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(definition())
        return tables(connection)


def tables(connection: sqlite3.Connection) -> dict[str, tuple[tuple[object, ...], ...]]:
    """The same of the tables that a database has."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: tuple(connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall())
        for name in names
        if not name.startswith("sqlite_")
    }


def columns(table: str) -> tuple[str, ...]:
    """Names of the columns of a table, in their order."""
    return tuple(str(column[1]) for column in shape()[table])


@cache
def selected(table: str, version: int) -> str | None:
    """The columns of a table as a file of that version gives them; ``None`` when it has no such table."""
    there = shape(version).get(table)
    if there is None:
        return None
    names = {column[1] for column in there}
    # A column that is not there has the value that it would have had by default.
    return ", ".join(
        f'"{name}"' if name in names else str(default or "NULL") for _, name, _, _, default, *_ in shape()[table]
    )


@cache
def field_types(kind: type[msgspec.Struct]) -> tuple[tuple[type, ...], ...]:
    """The types that each column of a table may hold."""
    hints = get_type_hints(kind)
    return tuple(get_args(hints[name]) or (hints[name],) for name in kind.__struct_fields__)
