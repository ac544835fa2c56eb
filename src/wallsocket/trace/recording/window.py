"""A recording that holds only its latest part: what older rows stay, and a copy of it as it is at a moment."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from functools import cache
from pathlib import Path

from ...errors import RecordingError
from .file import create, read_failure, write_failure
from .reader import Recording
from .remove import remove_recording

__all__ = ["begin_window", "drop", "freeze_window", "used_bytes"]


def drop(connection: sqlite3.Connection, since_ns: int, *, machine: str) -> None:
    """Drop what happened before a moment, but not what says what is still open."""
    connection.execute("DELETE FROM socket WHERE ended_ns < ?", (since_ns,))
    connection.execute("DELETE FROM descriptor WHERE closed_ns < ?", (since_ns,))
    bound = _first_since(connection, "call", "entry_ns", since_ns)
    kept = ", ".join(map(str, _set_up_numbers(machine)))
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
    connection.execute("DELETE FROM fact WHERE id < ? AND ifnull(occasion, '') NOT IN ('start', 'attached')", (bound,))
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


@cache
def _set_up_numbers(machine: str) -> tuple[int, ...]:
    """Calls that say what a socket is, by number: without them nobody can tell what it does."""
    from ..syscalls import names

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


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages that hold something."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def begin_window(connection: sqlite3.Connection, since_ns: int) -> None:
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


def freeze_window(path: Path, output: Path, *, reason: str, replace: bool = False) -> None:
    """Copy what a recording holds at this moment, also while it is written; what was open before its beginning is ``attached``.

    With ``replace`` an older recording may stand at ``output``.

    Raises:
        RecordingError: it is no recording, or the copy cannot be made.
    """
    with Recording.open(path) as source:
        ended_ns = source._last_ns()
        since_ns = source.meta_int("since_ns") or 0
        if replace:
            if output.exists() and output.samefile(path):
                raise RecordingError(f"{output} is the recording itself; write to another file")
            remove_recording(output)
        lock = create(output, source.meta)
        try:
            with contextlib.closing(sqlite3.connect(output, isolation_level=None)) as copy:
                source._connection.backup(copy)
                copy.execute("PRAGMA journal_mode = MEMORY")
                copy.execute("BEGIN IMMEDIATE")
                begin_window(copy, since_ns)
                values = {"ended_ns": str(max(ended_ns, since_ns)), "end": f"frozen: {reason}"}
                if "ended_ns" in source.meta:
                    del values["ended_ns"], values["end"]
                copy.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", list(values.items()))
                copy.execute("COMMIT")
                if since_ns:
                    copy.execute("VACUUM")
        except sqlite3.Error as error:
            output.unlink(missing_ok=True)
            failure = write_failure(error) if isinstance(error, sqlite3.OperationalError) else read_failure(error)
            raise RecordingError(f"{output}: {failure}") from error
        except BaseException:
            output.unlink(missing_ok=True)
            raise
        finally:
            os.close(lock)
