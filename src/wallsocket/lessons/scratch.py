"""Folders to try things in, which do not stay behind a run that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

__all__ = ["scratch"]

#: One that was just made may not be locked yet.
_MADE_S: Final = 60.0


@contextlib.contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder that is gone in the end. What runs that were killed have left is removed by the next one.

    Args:
        prefix: how its name begins, and those of the ones left behind.
    """
    _sweep(tempfile.gettempdir(), prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        # The lock says that somebody still is there: the kernel takes it away from a process that ends, however it does.
        lock = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


@cache  # once in the life of a process
def _sweep(place: str, prefix: str) -> None:
    """Remove our own folders of that kind that nobody has locked."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                _remove(entry)


def _remove(entry: os.DirEntry[str]) -> None:
    with contextlib.suppress(OSError):
        folder = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            found = os.fstat(folder)
            if found.st_uid == os.geteuid() and found.st_mtime < time.time() - _MADE_S:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(folder)
