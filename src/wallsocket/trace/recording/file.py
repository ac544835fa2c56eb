"""The file of a recording on the disk: made, found, locked, and what may stand beside it.

Nothing here replaces or follows what stands at a path, and no moment of writing leaves half of a recording.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ...errors import RecordingError
from ...files import in_the_way
from .schema import MAX_VALUE_BYTES, definition

__all__ = [
    "EMPTY",
    "begins_empty",
    "companions",
    "connect",
    "create",
    "encodable",
    "enter_log",
    "in_the_way",
    "is_being_written",
    "is_no_database",
    "journal",
    "leave_log",
    "one_line",
    "read_failure",
    "reason_of",
    "reserve",
    "write_failure",
]

#: Bytes of a page of the file, SQLite's default.
_PAGE_BYTES: Final = 4096


#: Room that is kept for the last words of a recording when the disk becomes full.
_RESERVE_BYTES: Final = 64 << 10


#: Said of a file without its first page.
EMPTY: Final = "is empty: no recording, or one that was cut off before its first row"


def companions(path: Path) -> tuple[Path, Path]:
    """The log of a recording, and the index of the log."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def journal(path: Path) -> Path:
    """A rollback journal, which no recording has: another program wrote it."""
    return path.with_name(path.name + "-journal")


def create(path: Path, meta: Mapping[str, str]) -> int:
    """Make a new file with the empty tables, locked against other writers; return its descriptor."""
    for companion in (*companions(path), journal(path)):
        if os.path.lexists(companion):
            if os.path.lexists(path):
                # Of another recording, which may have been made a moment ago.
                raise RecordingError(f"{path}: {in_the_way(path)}") from FileExistsError(str(path))
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
    return in_the_way(path) if isinstance(error, FileExistsError) else f"cannot be created: {reason_of(error)}"


def _write_image(descriptor: int, meta: Mapping[str, str]) -> None:
    """Write the empty tables, their first page last: a file that is cut off before is known by its empty beginning.

    SQLite would write them through a rollback journal, which a kill would leave behind.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(f"PRAGMA page_size = {_PAGE_BYTES};\nBEGIN;\n{definition()}\nCOMMIT;")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)", [(key, encodable(value)) for key, value in meta.items()]
        )
        connection.commit()
        image = bytearray(connection.serialize())
    image[18:20] = b"\2\2"  # written and read through a log (https://www.sqlite.org/fileformat2.html, 1.3.3)
    for start, end in ((_PAGE_BYTES, len(image)), (0, _PAGE_BYTES)):
        while start < end:
            start += os.pwrite(descriptor, image[start:end], start)


def encodable(value: Any) -> Any:
    """``value``, or where it is text that UTF-8 cannot hold (a file name of odd bytes) its escaped form."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value


def reserve(path: Path) -> int | None:
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


def reason_of(error: OSError) -> str:
    """Why a file could not be written, in words."""
    return "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)


def enter_log(connection: sqlite3.Connection) -> None:
    """Write through a log from now on. Without a rollback journal even for the one page that says so."""
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")


def leave_log(connection: sqlite3.Connection) -> None:
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


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection, or one clear line."""
    if path.name.endswith(("-wal", "-shm")):
        raise RecordingError(f"{path}: is the log of a recording; give the recording's own name: {path.name[:-4]}")
    try:
        found = path.stat()
    except FileNotFoundError:
        beside = "; only its log is left" if any(name.exists() for name in companions(path)) else ""
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
        raise RecordingError(f"{path}: {EMPTY}")
    for companion in (*companions(path), journal(path)):
        _check_companion(path, companion)
    options = "mode=ro"
    log, _ = companions(path)
    if not os.access(path.parent, os.W_OK) and not (log.exists() and log.stat().st_size):
        # Without a log nothing can be missed, and SQLite would want to make an index of one beside the file.
        options += "&immutable=1"
    try:
        # One thread at a time uses it, but not always the same: a view, or who takes an Arrow stream.
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise RecordingError(f"{path}: {read_failure(error)}") from error


def begins_empty(path: Path) -> bool:
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
    if companion == journal(path) and found.st_size:
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


def is_no_database(error: BaseException | None) -> bool:
    """Whether SQLite found that a file is none of its own."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB


def read_failure(error: Exception) -> str:
    """Why a recording could not be read, in words."""
    code = getattr(error, "sqlite_errorcode", None)
    code = code & 0xFF if isinstance(code, int) else None
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return "was closed: it can be read no more"
    if code == sqlite3.SQLITE_NOTADB:
        return "is not a recording of Wallsocket (not an SQLite file)"
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, (OverflowError, MemoryError)):
        return f"damaged or hostile: a value is larger than {MAX_VALUE_BYTES >> 20} MiB"
    if code == sqlite3.SQLITE_INTERRUPT:
        return "damaged or hostile: reading it takes longer than its size allows"
    if code == sqlite3.SQLITE_CANTOPEN:
        return "cannot be opened: its log needs a folder that can be written; copy the file and its -wal elsewhere"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return "another program holds it"
    if code == sqlite3.SQLITE_IOERR:
        return "the disk failed while it was read, or the file was cut off"
    return f"damaged: {one_line(str(error))}"


def write_failure(error: sqlite3.OperationalError) -> str:
    """Why a recording could not be written, in words."""
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


def _descriptors_are_used_up() -> bool:
    try:
        os.close(os.open("/", os.O_PATH | os.O_CLOEXEC))
    except OSError as error:
        return error.errno in (errno.EMFILE, errno.ENFILE)
    return False


def one_line(text: str) -> str:
    """SQLite's words, which may quote the file: short and without anything that a terminal obeys."""
    text = " ".join(text.split())
    return ascii(text)[1:-1] if len(text) <= 120 else ascii(text[:120])[1:-1] + "…"
