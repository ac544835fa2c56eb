"""Files that a user named for what is written: new, nobody else's to read, never through what stands there.

What stands at a path may be a link, a pipe or a file that another user put there for us to follow or fill (open(2),
``O_EXCL``, ``O_NOFOLLOW``); so a file is made, or one of the user's own is replaced when that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from .errors import UsageError

__all__ = ["extend", "grow", "in_the_way", "refuse", "whole"]

#: The disk, the user's share of it, or the size that a file may have is used up; the disk fails (write(2)).
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def in_the_way(path: Path) -> str:
    """Why nothing is written to ``path``, where something stands."""
    try:
        found = path.lstat()
    except OSError:
        return "was made by another program at this moment"
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link; only plain files are written"
    if not stat.S_ISREG(found.st_mode):
        what = "directory" if stat.S_ISDIR(found.st_mode) else "special file"
        return f"is a {what}; only plain files are written"
    if found.st_uid != os.geteuid():
        return "exists already and belongs to another user; choose another name"
    return "exists already; choose another name, or replace it with --overwrite"


@contextlib.contextmanager
def whole(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[IO[bytes]]:
    """A file that gets its name when it is whole: an error leaves what was there. ``-`` is standard output.

    Args:
        path: the file; it is made with mode 0600.
        replace: a plain file of the user's own may stand there, and goes.

    Raises:
        UsageError: something else stands there.
        OSError: it cannot be written.
    """
    if os.fspath(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    refuse(target, replace=replace)
    beside, descriptor = _beside(target)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        _name(beside, target, replace=replace)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
            # write(2) knows no name.
            raise OSError(error.errno, error.strerror, os.fspath(target)) from error
        raise


def grow(path: str | os.PathLike[str], *, replace: bool = False) -> IO[bytes]:
    """A file, without a buffer, that has its name at once and grows before the eyes of others; otherwise as :func:`whole`."""
    target = Path(path)
    refuse(target, replace=replace)
    beside, descriptor = _beside(target)
    try:
        _name(beside, target, replace=replace)
    except BaseException:
        os.close(descriptor)
        beside.unlink(missing_ok=True)
        raise
    return os.fdopen(descriptor, "wb", 0)


def extend(path: str | os.PathLike[str]) -> int:
    """A descriptor that appends to a file, new or the user's own, which nobody else may then read.

    Raises:
        UsageError: something else stands there.
        OSError: it cannot be written.
    """
    # O_NONBLOCK: a pipe without a reader is an error, not a wait (fifo(7)).
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise UsageError(f"{os.fspath(path)}: {in_the_way(Path(path))}") from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        os.close(descriptor)
        raise UsageError(f"{os.fspath(path)}: {in_the_way(Path(path))}")
    os.fchmod(descriptor, 0o600)
    return descriptor


def refuse(path: Path, *, replace: bool) -> None:
    """Refuse a path at which something stands that is not to be replaced, before any work is done.

    Raises:
        UsageError: what stands there.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not (replace and stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()):
        raise UsageError(f"{path}: {in_the_way(path)}")


def _beside(target: Path) -> tuple[Path, int]:
    """A new file in the folder of the target, hidden, and its descriptor."""
    beside = target.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        return beside, os.open(beside, _NEW, 0o600)
    except OSError as error:
        # The name of the hidden file would tell nobody anything.
        raise OSError(error.errno, error.strerror, os.fspath(target)) from error


def _name(beside: Path, target: Path, *, replace: bool) -> None:
    """Give the file its name, in place of nothing that came meanwhile unless it may be replaced."""
    if replace:
        # rename(2) replaces a link and follows none.
        beside.replace(target)
        return
    try:
        os.link(beside, target, follow_symlinks=False)
    except FileExistsError as error:
        raise UsageError(f"{target}: {in_the_way(target)}") from error
    except OSError as error:
        # File systems without second names (link(2), EPERM).
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        beside.replace(target)
    else:
        beside.unlink()
